"""Means, shares, CLIP score, subject similarity and Inception Score."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from ldm import metrics
from ldm.metrics import difference
from tests.golden import metrics as golden
from tests.synthetic import features

THEIRS = golden.theirs()

REPEATS = 300


def covered(estimates, truth: float) -> float:
    return float(np.mean([e.lo <= truth <= e.hi for e in estimates]))


@pytest.mark.parametrize("share", [0.03, 0.5, 0.9])
def test_intervals_of_proportions_hold_the_truth_even_near_the_ends(share):
    rng = np.random.default_rng(0)
    noise = rng.random((REPEATS, 100, 3))
    a = noise[..., 0] < share
    b = np.where(noise[..., 1] < 0.8, noise[..., 0], noise[..., 2]) < share
    assert 0.90 <= covered([metrics.mean(x) for x in a], share) <= 0.99
    pairs = [metrics.mean_difference(x, y) for x, y in zip(a, b, strict=True)]
    assert 0.92 <= covered(pairs, 0.0) <= 1.0


def test_wilsons_interval_is_scipys():
    hits = np.arange(60) < 7
    theirs = scipy.stats.binomtest(7, 60).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(metrics.mean(hits)[1:3], [theirs.low, theirs.high])


def test_a_clip_score_is_a_hundred_times_the_mean_cosine_and_never_below_0():
    images = np.array([[1.0, 0], [0, 2], [1, 1]])
    texts = np.array([[3.0, 0], [0, -1], [1, 0]])
    assert metrics.clip_score(images, texts).value == pytest.approx((100 + 0 + 100 * np.sqrt(0.5)) / 3)
    with pytest.raises(ValueError, match="needs a text an image"):
        metrics.clip_score(images, texts[:2])


def test_subject_similarity_is_the_mean_cosine_of_all_pairs():
    x, y = features(30, 6, 0), features(4, 6, 1)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a in x for b in y]
    assert metrics.subject_similarity(x, y).value == pytest.approx(np.mean(cosines))
    assert metrics.subject_similarity(x, x[:1]).n == 30  # one photograph will do


@pytest.mark.parametrize("n, splits", golden.SCORES)
def test_inception_score_equals_torch_fidelitys(n, splits):
    found = metrics.inception_score(golden.logits(n), splits=splits).value
    assert found == pytest.approx(THEIRS[f"inception score {n} {splits}"])


def test_the_influence_on_an_inception_score_is_that_of_leaving_each_image_out():
    logits = np.random.default_rng(0).normal(0, 2, (40, 5))
    without = [metrics.inception_score(np.delete(logits, i, 0), splits=1).value for i in range(40)]
    expected = 39 * (np.mean(without) - without)
    np.testing.assert_allclose(metrics.inception_score(logits, splits=1).influences[0], expected, rtol=1e-9)


def test_intervals_of_an_inception_score_hold_its_mean_with_twenty_images_a_split():
    logits = np.random.default_rng(0).normal(0, 2, (1000, 200, 16))
    estimates = [metrics.inception_score(x) for x in logits]
    assert 0.93 <= covered(estimates, np.mean([e.value for e in estimates])) <= 0.97


def test_sure_and_even_images_score_as_many_classes_as_there_are():
    sure = np.tile(1e4 * np.eye(10), (6, 1))
    assert metrics.inception_score(sure, splits=6)[:3] == pytest.approx((10, 10, 10))
    assert metrics.inception_score(np.zeros((30, 10)))[:3] == pytest.approx((1, 1, 1))
    with pytest.raises(ValueError, match="2 images a split"):
        metrics.inception_score(sure, splits=31)


def test_paired_differences_of_shares_know_that_most_pairs_agree():
    a = np.arange(200) < 150
    b = np.where(np.arange(200) < 4, ~a, a)
    assert metrics.mean_difference(a, b).se < 0.4 * difference(metrics.mean(a), metrics.mean(np.roll(b, 77))).se
