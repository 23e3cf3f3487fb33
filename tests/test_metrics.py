"""What holds for every score: differences, order, noise, long streams, and input that is no sample."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldm import metrics
from ldm.metrics import Estimate, Gaussian, Sample, difference, kernel
from tests.synthetic import features

REFERENCE = features(80, 6, 1)
REAL, SAMPLE = Gaussian.of(REFERENCE), Sample(features=REFERENCE)
TEXTS = features(40, 6, 2)
SCORES = {
    "frechet": lambda x: metrics.frechet(x, REAL),
    "frechet, principal": lambda x: metrics.frechet(x, REAL, components=3),
    "frechet_inf": lambda x: metrics.frechet_inf(x, REAL),
    "kid": lambda x: metrics.kid(x, SAMPLE),
    "mmd": lambda x: metrics.mmd(x, SAMPLE, bandwidth=1.0),
    "cmmd": lambda x: metrics.cmmd(x, SAMPLE),
    "precision": lambda x: metrics.manifold(x, REFERENCE).precision,
    "recall": lambda x: metrics.manifold(x, REFERENCE).recall,
    "density": lambda x: metrics.manifold(x, REFERENCE).density,
    "coverage": lambda x: metrics.manifold(x, REFERENCE).coverage,
    "subject_similarity": lambda x: metrics.subject_similarity(x, REFERENCE[:4]),
    "inception_score": lambda x: metrics.inception_score(x, splits=1),
    "mean": lambda x: metrics.mean(x[:, 0]),
}
PAIRED = ("frechet", "kid", "mmd", "cmmd", "subject_similarity", "mean", "inception_score")
WORSE_WITH_NOISE = {"frechet": 1, "kid": 1, "mmd": 1, "cmmd": 1, "density": -1, "subject_similarity": -1}
seeds = st.integers(0, 10_000)


# --- Every score --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCORES)
@given(seed=seeds)
def test_the_order_of_the_images_does_not_matter(name, seed):
    x = features(40, 6, seed, shift=0.2)
    shuffled = x[np.random.default_rng(seed).permutation(40)]
    if name == "frechet_inf":  # which image falls into which part is drawn: the limit is the same but for chance
        assert abs(SCORES[name](x).value - SCORES[name](shuffled).value) < SCORES[name](x).se * 3
    else:
        np.testing.assert_allclose(SCORES[name](x)[:3], SCORES[name](shuffled)[:3], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", SCORES)
@given(seed=seeds, n=st.integers(8, 40))
def test_value_and_interval_are_finite_and_in_order(name, seed, n):
    found = SCORES[name](features(n, 6, seed))
    assert np.isfinite(found[:3]).all() and found.lo <= found.value <= found.hi and found.n == n
    assert all(abs(part.mean()) < 1e-8 * (1 + abs(part).max()) for part in found.influences)


@pytest.mark.parametrize("name", WORSE_WITH_NOISE)
@given(seed=seeds)
def test_noise_added_to_the_features_makes_every_score_worse(name, seed):
    rng = np.random.default_rng(seed)
    x, noise = features(200, 6, 20_000 + seed), rng.normal(size=(200, 6))
    values = [WORSE_WITH_NOISE[name] * SCORES[name](x + sigma * noise).value for sigma in (0, 0.5, 1, 2)]
    assert values == sorted(values)


@given(seed=seeds, n=st.integers(8, 40), d=st.integers(1, 12))
def test_distances_do_not_care_which_sample_is_called_real(seed, n, d):
    x, y = features(n, d, seed, shift=0.3), features(30, d, seed + 1)
    a, b = Gaussian.of(x), Gaussian.of(y)
    assert metrics.frechet_between(a, b) == pytest.approx(metrics.frechet_between(b, a), rel=1e-6, abs=1e-7)
    for score in (metrics.kid, metrics.cmmd, lambda x, y: metrics.mmd(x, y, bandwidth=1)):
        assert score(x, Sample(features=y)).value == pytest.approx(score(y, Sample(features=x)).value, abs=1e-9)
    here, there = metrics.manifold(x, y, k=3), metrics.manifold(y, x, k=3)
    assert here.precision.value == there.recall.value and here.recall.value == there.precision.value


@given(seed=seeds, n=st.integers(2, 40), d=st.integers(1, 12))
def test_of_a_sample_with_itself_each_score_is_at_its_best(seed, n, d):
    x = features(n, d, seed)
    assert metrics.frechet(x, Gaussian.of(x)).value == pytest.approx(0, abs=1e-6)
    assert metrics.kid(x, Sample(features=x)).value <= 1e-9  # below 0, as an image is not compared with itself
    assert metrics.clip_score(x, x).value == pytest.approx(100)
    assert metrics.subject_similarity(x, x[:1]).hi <= 1 + metrics.subject_similarity(x, x[:1]).se * 2
    if n > 4:
        found = metrics.manifold(x, x, k=3)
        assert found.precision.value == found.recall.value == found.coverage.value == 1


@given(seed=seeds, cuts=st.lists(st.integers(1, 39), max_size=5, unique=True))
def test_a_stream_may_be_cut_anywhere(seed, cuts):
    x = features(40, 6, seed)
    streamed, whole = Gaussian.stream(np.split(x, sorted(cuts))), Gaussian.of(x)
    np.testing.assert_allclose(streamed.mean, whole.mean, rtol=1e-10)
    np.testing.assert_allclose(streamed.covariance, whole.covariance, rtol=1e-8, atol=1e-12)


# --- Differences --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRED)
def test_a_paired_difference_is_sharper_than_two_intervals_when_the_images_go_together(name):
    a = features(300, 6, 0, shift=0.2)
    b = a + 0.05 * features(300, 6, 2)
    one, other = SCORES[name](a), SCORES[name](b)
    found, back = difference(one, other), difference(other, one)
    assert found.value == one.value - other.value
    assert found.se < 0.5 * np.hypot(one.se, other.se)
    np.testing.assert_allclose(back[:3], [-found.value, -found.hi, -found.lo])


def test_a_difference_of_nothing_to_do_with_each_other_adds_the_variances():
    a, b = (metrics.mean(np.random.default_rng(seed).normal(size=20_000)) for seed in (0, 1))
    assert difference(a, b).se == pytest.approx(np.hypot(a.se, b.se), rel=0.02)


def test_a_score_in_another_unit_keeps_its_influences():
    found = metrics.kid(TEXTS, SAMPLE)
    scaled = found.times(1000)
    assert scaled[:3] == pytest.approx([1000 * v for v in found[:3]]) and scaled.n == found.n
    np.testing.assert_allclose(scaled.influences[0], 1000 * found.influences[0])
    assert isinstance(scaled, Estimate) and len(scaled) == 4


# --- Streams ------------------------------------------------------------------------------------


def test_features_of_a_stream_are_the_networks_on_single_images_and_batches():
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)

    def network(batch):
        return batch.reshape(len(batch), -1).astype(np.float32)

    single = metrics.features_of(iter(images), network, progress="scoring")
    batches = metrics.features_of(iter([images[:3], images[3:]]), network)
    np.testing.assert_array_equal(single, network(images))
    np.testing.assert_array_equal(batches, network(images))


def peak(call) -> int:
    """Most bytes that a call held at once."""
    tracemalloc.start()
    call()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_a_hundred_thousand_images_need_no_more_memory_than_a_thousand():
    def stream(n: int):
        for start in range(0, n, 250):
            images = np.random.default_rng(start).integers(0, 256, (250, 4, 4, 3), dtype=np.uint8)
            yield images.reshape(250, 48).astype(np.float32)

    peaks = [peak(lambda n=n: Gaussian.stream(stream(n))) for n in (1_000, 100_000)]
    assert peaks[1] < 1.2 * peaks[0] < 1_000_000  # the features alone would be 19 MB
    assert Gaussian.stream(stream(100_000)).n == 100_000


def test_kernels_are_summed_in_blocks_of_constant_size(monkeypatch):
    monkeypatch.setattr(kernel, "BLOCK", 128)
    peaks = []
    for n in (1_000, 4_000):
        x, real = features(n, 4, 0), Sample(features=features(n, 4, 1))
        peaks.append(peak(lambda x=x, real=real: metrics.kid(x, real)))
    assert peaks[1] < 2_000_000  # one whole kernel matrix would be 128 MB
    assert peaks[1] < 4 * peaks[0]


# --- Input that is no sample --------------------------------------------------------------------

X = features(40, 6, 0)
FUNCTIONS = {
    **{name: score for name, score in SCORES.items() if name != "mean"},
    "Gaussian.of": Gaussian.of,
    "Gaussian.stream": lambda x: Gaussian.stream([x]),
    "clip_score": lambda x: metrics.clip_score(x, x),
    "clip_score's texts": lambda x: metrics.clip_score(X, x),
    "kid's reference": lambda x: metrics.kid(X, Sample(features=x)),
    "manifold's reference": lambda x: metrics.manifold(X, x),
    "median_bandwidth": lambda x: metrics.median_bandwidth(Sample(features=x)),
    "kid_subsets": lambda x: metrics.kid_subsets(x, SAMPLE, size=10),
}
BAD = {
    "nothing": (np.empty((0, 6)), r"shape \(0, 6\)"),
    "one image": (X[:1], r"shape \(1, 6\)|those of one image"),
    "no features": (np.empty((40, 0)), r"shape \(40, 0\)"),
    "a vector": (X[:, 0], r"shape \(40,\)"),
    "images": (np.zeros((40, 8, 8, 3), np.uint8), r"shape \(40, 8, 8, 3\), expected \(n, d\)"),
    "nan": (np.where(X == X[3, 0], np.nan, X), "1 of 40 images have features that are not finite"),
    "inf": (np.where(X == X[3, 0], np.inf, X), "1 of 40 images have features that are not finite"),
    "words": (np.full((40, 6), "a"), "features are <U1, expected real numbers"),
    "complex numbers": (X + 1j, "features are complex128, expected real numbers"),
    "booleans": (X > 0, "features are bool, expected real numbers"),
    "objects": (X.astype(object), "features are object, expected real numbers"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_no_sample_is_refused_in_one_sentence(name, bad):
    x, says = BAD[bad]
    with pytest.raises(ValueError, match=says) as error:
        FUNCTIONS[name](x)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize("values", [np.empty(0), np.ones(1), X, [1, np.nan], [1, np.inf], np.array(["a", "b"])])
@pytest.mark.usefixtures("any_types")
def test_what_is_no_list_of_scores_is_refused(values):
    for call in (metrics.mean, lambda v: metrics.mean_difference(v, v)):
        with pytest.raises(ValueError, match="scores (have shape|are <U1)"):
            call(values)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32, np.uint8])
def test_other_real_numbers_are_widened_to_float64(dtype):
    x = (10 * X).astype(dtype)
    for name in ("frechet", "kid", "recall", "inception_score"):
        assert SCORES[name](x) == SCORES[name](x.astype(np.float64))


CONSTANT = np.full((40, 6), 0.5)
OF_CONSTANT = {
    "frechet": lambda: np.sum((0.5 - REAL.mean) ** 2) + np.trace(REAL.covariance),
    "frechet_inf": lambda: np.sum((0.5 - REAL.mean) ** 2) + np.trace(REAL.covariance),
    "inception_score": lambda: 1.0,
    "mean": lambda: 0.5,
}


@pytest.mark.parametrize("name", SCORES)
def test_images_that_are_all_alike_have_a_value_and_an_interval(name):
    found = SCORES[name](CONSTANT)
    assert np.isfinite(found[:3]).all() and found.lo <= found.value <= found.hi
    if name in OF_CONSTANT:
        assert found[:3] == pytest.approx([OF_CONSTANT[name]()] * 3, abs=1e-6)


@pytest.mark.parametrize("name", ["frechet", "frechet_inf", "kid", "mmd", "cmmd", "recall", "inception_score"])
def test_fewer_images_than_dimensions_have_a_value_and_an_interval(name):
    wide = features(30, 64, 1)
    real, sample = Gaussian.of(wide), Sample(features=wide)
    scores = {
        "frechet": lambda x: metrics.frechet(x, real),
        "frechet_inf": lambda x: metrics.frechet_inf(x, real),
        "kid": lambda x: metrics.kid(x, sample),
        "mmd": lambda x: metrics.mmd(x, sample, bandwidth=1.0),
        "cmmd": lambda x: metrics.cmmd(x, sample),
        "recall": lambda x: metrics.manifold(x, wide).recall,
        "inception_score": lambda x: metrics.inception_score(x, splits=2),
    }
    found = scores[name](features(20, 64, 0, shift=0.2))
    assert np.isfinite(found[:3]).all() and found.lo <= found.value <= found.hi
    if name == "frechet":
        a = Gaussian.of(features(20, 64, 0, shift=0.2))
        assert found.value == pytest.approx(metrics.frechet_between(a, real), rel=1e-5)


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: metrics.frechet(X[:, :3], REAL), "3-d and the reference 6-d"),
        (lambda: metrics.kid(X[:, :3], SAMPLE), "3-d and the reference 6-d"),
        (lambda: metrics.cmmd(X[:, :3], SAMPLE), "3-d and the reference 6-d"),
        (lambda: metrics.manifold(X[:, :3], REFERENCE), "3-d and the reference 6-d"),
        (lambda: metrics.subject_similarity(X[:, :3], REFERENCE), "3-d and the reference 6-d"),
        (lambda: metrics.frechet_between(REAL, Gaussian.of(X[:, :3])), "6-d and 3-d"),
        (lambda: metrics.frechet(X, REAL, components=7), "components is 7, expected 1 to 6"),
        (lambda: metrics.frechet_inf(X, REAL, parts=(1, 32)), "40 images"),
        (lambda: difference(metrics.kid(X, SAMPLE), metrics.kid(X[1:], SAMPLE)), r"\(40, 80\) and \(39, 80\)"),
        (lambda: difference(metrics.kid(X, SAMPLE), metrics.frechet(X, REAL)), r"\(40, 80\) and \(40,\)"),
        (lambda: metrics.mean_difference(X[:, 0], X[1:, 0]), "40 and 39"),
        (lambda: metrics.kid_subsets(X, SAMPLE, size=50), "size 50, expected .* 2 to 40"),
        (lambda: metrics.cmmd(0 * X, SAMPLE), "40 of 40 images have features that are all 0"),
        (lambda: metrics.clip_score(X, 0 * X), "40 of 40 images have features that are all 0"),
        (lambda: metrics.features_of([], len), "no images"),
        (lambda: Gaussian.stream([]), "no features"),
    ],
)
def test_bad_input_is_told_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_what_rounding_leaves_of_nought_is_written_as_nought():
    assert f"{Estimate(1.1e-16, -0.0824, 0.0824, 9):.3g}" == "0 [-0.0824, 0.0824]"
    assert f"{Estimate(-8.7e-19, -0.1, 0.1, 9):+.0%}" == "+0% [-10%, +10%]"
    assert f"{Estimate(1e-12, 1e-12, 1e-12, 9):.1e}" == "1.0e-12 [1.0e-12, 1.0e-12]", "a small value is not nought"
    assert f"{Estimate(5, -np.inf, np.inf, 9):.3g}" == "5 [-inf, inf]"
