"""Distances against references and double loops; intervals against simulated repeats."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from ldm import metrics
from ldm.metrics import Estimate, Gaussian, Sample


def features(n: int, d: int, seed: int, *, shift: float = 0, scale: float = 1) -> np.ndarray:
    """Correlated, skewed and not negative, as pooled features are."""
    mix = np.random.default_rng(d).normal(size=(d, d)) / np.sqrt(d)
    x = np.random.default_rng(seed).normal(size=(n, d)) / np.sqrt(1 + np.arange(d))
    return np.abs(shift + scale * x @ mix)


def frechet_by_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    """The textbook formula."""
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(s @ t)
    gap = x.mean(0) - y.mean(0)
    return float(gap @ gap + np.trace(s + t - 2 * root.real))


# --- Frechet distance ---------------------------------------------------------------------------


@pytest.mark.parametrize("n", [40, 400], ids=["n below d", "n above d"])
def test_frechet_equals_the_matrix_square_root_formula(n):
    x, y = features(n, 64, 0, shift=0.2), features(2000, 64, 1)
    assert metrics.frechet(x, Gaussian.of(y)).value == pytest.approx(
        frechet_by_sqrtm(x, y), rel=1e-5
    )


def test_frechet_and_kid_equal_torch_fidelitys():
    x = np.random.default_rng(0).gamma(0.5, 0.3, (300, 64)).astype(np.float32)
    y = np.random.default_rng(1).gamma(0.6, 0.3, (400, 64)).astype(np.float32)
    # torch-fidelity 0.4.0: fid_statistics_to_metric; kid_features_to_metric with one subset of all.
    assert metrics.frechet(x, Gaussian.of(y)).value == pytest.approx(0.44646509269, rel=1e-5)
    assert metrics.kid(x, Sample(features=y[:300])).value == pytest.approx(0.0032093525, rel=2e-4)


def test_frechet_of_one_dimension_is_the_difference_of_means_and_spreads():
    x, y = np.random.default_rng(0).normal(size=(2, 500, 1)) * [[[1.0]], [[3.0]]]
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert metrics.frechet(x, Gaussian.of(y)).value == pytest.approx(expected)


@pytest.mark.parametrize("n", [20, 100], ids=["n below d", "n above d"])
def test_an_images_influence_is_the_derivative_by_its_weight(n):
    x, real = features(n, 30, 0, shift=0.1), Gaussian.of(features(500, 30, 1))
    _, influence = metrics._frechet(x, real)

    def weighted(weight: np.ndarray) -> float:
        mean = weight @ x / weight.sum()
        y = (x - mean) * np.sqrt(weight / weight.sum() * n / (n - 1))[:, None]
        gap = mean - real.mean
        roots = np.linalg.svd(y @ real.factor, compute_uv=False).sum()
        return gap @ gap + np.square(y).sum() + np.trace(real.covariance) - 2 * roots

    for i in (0, 7):
        step = 1e-4 * np.eye(n)[i]
        slope = (weighted(1 + step) - weighted(1 - step)) / 2e-4
        assert influence[i] / n == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_the_principal_part_is_the_distance_of_projected_features():
    x, y = features(200, 40, 0, shift=0.2), features(900, 40, 1)
    _, vectors = np.linalg.eigh(np.cov(y, rowvar=False))
    basis = vectors[:, -5:]
    part = metrics.frechet(x, Gaussian.of(y), components=5)
    assert part.value == pytest.approx(frechet_by_sqrtm(x @ basis, y @ basis), rel=1e-6)
    whole = metrics.frechet(x, Gaussian.of(y), components=40)
    assert whole.value == pytest.approx(metrics.frechet(x, Gaussian.of(y)).value, rel=1e-6)


def test_streamed_and_merged_statistics_equal_those_of_the_whole():
    x = features(501, 12, 0) + 1000
    whole = Gaussian.of(x)
    streamed = Gaussian.stream(np.array_split(x, 7))
    assert streamed.n == whole.n == 501
    np.testing.assert_allclose(streamed.mean, np.mean(x, axis=0), rtol=1e-12)
    np.testing.assert_allclose(streamed.covariance, np.cov(x, rowvar=False), rtol=1e-9)


def test_saved_statistics_come_back_bit_by_bit(tmp_path):
    real = Gaussian.of(features(50, 9, 0))
    real.save(tmp_path / "real.safetensors")
    again = Gaussian.load(tmp_path / "real.safetensors")
    assert again.n == real.n
    np.testing.assert_array_equal(again.mean, real.mean)
    np.testing.assert_array_equal(again.covariance, real.covariance)


def test_the_order_of_the_images_does_not_matter():
    x, y = features(150, 16, 0, shift=0.1), features(300, 16, 1)
    shuffled = x[np.random.default_rng(0).permutation(len(x))]
    for score in (
        lambda x: metrics.frechet(x, Gaussian.of(y)),
        lambda x: metrics.kid(x, Sample(features=y)),
        lambda x: metrics.mean(x[:, 0]),
    ):
        np.testing.assert_allclose(score(x), score(shuffled), rtol=1e-8)


def test_the_extrapolated_distance_loses_most_of_the_bias():
    real = Gaussian.of(features(50_000, 16, 0))
    samples = [features(400, 16, seed) for seed in range(1, 21)]
    plain = np.mean([metrics.frechet(x, real).value for x in samples])
    limit = np.mean([metrics.frechet_inf(x, real).value for x in samples])
    assert abs(limit) < 0.2 * plain


# --- Kernel distance ----------------------------------------------------------------------------


def test_kid_equals_a_double_loop():
    x, y = features(12, 5, 0, shift=0.3), features(9, 5, 1)

    def k(a, b):
        return (a @ b / 5 + 1) ** 3

    within_x = np.mean([k(x[i], x[j]) for i in range(12) for j in range(12) if i != j])
    within_y = np.mean([k(y[i], y[j]) for i in range(9) for j in range(9) if i != j])
    between = np.mean([k(a, b) for a in x for b in y])
    expected = within_x + within_y - 2 * between
    assert metrics.kid(x, Sample(features=y)).value == pytest.approx(expected, rel=1e-10)


def test_kid_of_a_fresh_sample_is_zero_on_average_whatever_n():
    for n in (20, 200):
        values = [
            metrics.kid(features(n, 8, s), Sample(features=features(100, 8, 1000 + s))).value
            for s in range(60)
        ]
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)


def test_kid_of_subsets_agrees_with_kid_of_all_pairs():
    x, real = features(300, 8, 0, shift=0.5), Sample(features=features(300, 8, 1))
    subsets = metrics.kid_subsets(x, real, subsets=200, size=100)
    assert subsets.n == 100
    assert abs(subsets.value - metrics.kid(x, real).value) < 4 * subsets.se / np.sqrt(200)
    assert metrics.kid_subsets(x, real, subsets=2, size=300).value == pytest.approx(
        metrics.kid(x, real).value
    )


# --- Intervals ----------------------------------------------------------------------------------


def coverage(estimates: list[Estimate], truth: float) -> float:
    return float(np.mean([e.lo <= truth <= e.hi for e in estimates]))


REPEATS = 300


@pytest.mark.parametrize("d, n", [(8, 200), (64, 48)], ids=["n above d", "n below d"])
def test_frechet_intervals_hold_their_sizes_expectation_19_times_in_20(d, n):
    real = Gaussian.of(features(5000, d, 1))
    singles, differences = [], []
    for seed in range(REPEATS):
        a = features(n, d, 10_000 + seed, shift=0.3, scale=1.2)
        b = 0.8 * a + 0.3 * features(n, d, 20_000 + seed)
        singles.append(metrics.frechet(a, real))
        differences.append(metrics.frechet_difference(a, b, real))
    for estimates in (singles, differences):
        expectation = np.mean([e.value for e in estimates])
        assert 0.90 <= coverage(estimates, expectation) <= 0.98


def test_the_extrapolated_intervals_hold_the_true_distance():
    real = Gaussian.of(features(20_000, 8, 1))
    truth = metrics.frechet(features(200_000, 8, 2, shift=0.3, scale=1.2), real).value
    estimates = [
        metrics.frechet_inf(features(400, 8, 10_000 + s, shift=0.3, scale=1.2), real)
        for s in range(REPEATS)
    ]
    assert 0.90 <= coverage(estimates, truth) <= 0.98


def test_kid_intervals_hold_the_true_distance():
    # 32-d: of 8 skewed numbers the cubed kernel is so skewed itself that a symmetric interval holds
    # only 87 % where the distance is small; network features have more directions than that.
    def score(n: int, seed: int) -> Estimate:
        reference = Sample(features=features(n, 32, 20_000 + seed))
        return metrics.kid(features(n, 32, 10_000 + seed, shift=0.3), reference)

    truth = np.mean([score(600, 5000 + seed).value for seed in range(30)])
    estimates = [score(150, seed) for seed in range(REPEATS)]
    assert 0.90 <= coverage(estimates, truth) <= 0.98


@pytest.mark.parametrize("share", [0.03, 0.5, 0.9])
def test_intervals_of_proportions_hold_the_truth_even_near_the_ends(share):
    rng = np.random.default_rng(0)
    noise = rng.random((REPEATS, 100, 3))
    a = noise[..., 0] < share
    b = np.where(noise[..., 1] < 0.8, noise[..., 0], noise[..., 2]) < share
    assert 0.90 <= coverage([metrics.mean(x) for x in a], share) <= 0.99
    pairs = [metrics.mean_difference(x, y) for x, y in zip(a, b, strict=True)]
    assert 0.92 <= coverage(pairs, 0.0) <= 1.0


def test_wilsons_interval_is_scipys():
    hits = np.arange(60) < 7
    theirs = scipy.stats.binomtest(7, 60).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(metrics.mean(hits)[1:3], [theirs.low, theirs.high])


def test_paired_differences_are_sharper_than_two_intervals_when_the_images_go_together():
    a, reference = features(300, 16, 0, shift=0.2), features(600, 16, 1)
    b = a + 0.05 * features(300, 16, 2)
    real, sample = Gaussian.of(reference), Sample(features=reference)
    for one, difference in (
        (lambda x: metrics.frechet(x, real), metrics.frechet_difference(a, b, real)),
        (lambda x: metrics.kid(x, sample), metrics.kid_difference(a, b, sample)),
        (lambda x: metrics.mean(x[:, 0]), metrics.mean_difference(a[:, 0], b[:, 0])),
    ):
        assert difference.value == pytest.approx(one(a).value - one(b).value)
        assert difference.se < 0.5 * np.hypot(one(a).se, one(b).se)
        swapped = np.array([-difference.value, -difference.hi, -difference.lo])
        again = {  # b minus a is minus (a minus b)
            "frechet": metrics.frechet_difference(b, a, real),
            "kid": metrics.kid_difference(b, a, sample),
            "mean": metrics.mean_difference(b[:, 0], a[:, 0]),
        }
        assert any(np.allclose(swapped, e[:3]) for e in again.values())


# --- Streams and bad input ----------------------------------------------------------------------


def test_features_of_a_stream_are_the_networks_on_single_images_and_batches():
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)

    def network(batch):
        return batch.reshape(len(batch), -1).astype(np.float32)

    single = metrics.features_of(iter(images), network, progress="scoring")
    batches = metrics.features_of(iter([images[:3], images[3:]]), network)
    np.testing.assert_array_equal(single, network(images))
    np.testing.assert_array_equal(batches, network(images))


X = features(20, 4, 0)
REAL = Gaussian.of(features(50, 4, 1))
SAMPLE = Sample(features=features(50, 4, 1))


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: metrics.frechet(X[:1], REAL), r"shape \(1, 4\)"),
        (lambda: metrics.frechet(X[:, :3], REAL), "3-d and the reference 4-d"),
        (lambda: metrics.kid(X[:, :3], SAMPLE), "3-d and the reference 4-d"),
        (lambda: metrics.frechet(np.where(X == X[3, 0], np.nan, X), REAL), "1 of 20 images"),
        (lambda: metrics.frechet(X, REAL, components=5), "components is 5, expected 1 to 4"),
        (lambda: metrics.frechet_inf(X, REAL, parts=(1, 16)), "20 images"),
        (lambda: metrics.frechet_difference(X, X[1:], REAL), "paired difference"),
        (lambda: metrics.kid_difference(X, X[1:], SAMPLE), "paired difference"),
        (lambda: metrics.mean_difference(X[:, 0], X[1:, 0]), "20 and 19"),
        (lambda: metrics.kid_subsets(X, SAMPLE, size=30), "size 30, expected .* 2 to 20"),
        (lambda: metrics.mean(X), "scores have shape"),
        (lambda: metrics.features_of([], len), "no images"),
        (lambda: Gaussian.stream([]), "no features"),
    ],
)
def test_bad_input_is_told_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call()
