"""Distances and scores: functions of feature arrays to an Estimate, with a 95 % interval.

Every score here is a function of sample means (or nearly), so each image has an *influence* on it: the
derivative of the score as that image gains weight (Hampel 1974). The infinitesimal jackknife (Jaeckel 1972;
Efron 1982) reads the interval off the n influences, with no resampling and no second run of a network::

    variance of the score   =  variance of the influences / n
    variance of a difference of two scores on the same captions and noise
                            =  variance of the differences of influences / n

A bootstrap would not do: it repeats images, which lowers the effective n and so inflates a Frechet
distance, whose bias is of order 1/n.

An interval says what other images *from the same generator, as many of them*, would give. It does
not contain the scatter of trainings by other seeds (`ldm.statistics.evidence` adds it), nor, for a
Frechet distance, its bias: compare Frechet distances only at equal n. Kernel distances and `frechet_inf`
have no such bias, or less. How often the intervals hold the truth is simulated in `benchmarks.calibration`.

The numbers are called FD-<network> and KID-<network>: "FID" is Inception's pool3 and nothing else.

In reading order: estimate, features, frechet, kernel, manifold, sliced, scores, pixels, matching, catalogue,
protocol, reference, stored, extraction, scoring, nearness.
"""

from __future__ import annotations

from ldm.metrics.estimate import Estimate, Measured, Z, difference
from ldm.metrics.features import features_of
from ldm.metrics.frechet import Gaussian, frechet, frechet_between, frechet_inf
from ldm.metrics.kernel import Sample, cmmd, kid, kid_subsets, median_bandwidth, mmd
from ldm.metrics.manifold import Manifold, manifold
from ldm.metrics.pixels import psnr, ssim
from ldm.metrics.scores import clip_score, inception_score, mean, mean_difference, subject_similarity
from ldm.metrics.sliced import sliced_wasserstein

__all__ = [
    "Estimate",
    "Gaussian",
    "Manifold",
    "Measured",
    "Sample",
    "Z",
    "clip_score",
    "cmmd",
    "difference",
    "features_of",
    "frechet",
    "frechet_between",
    "frechet_inf",
    "inception_score",
    "kid",
    "kid_subsets",
    "manifold",
    "mean",
    "mean_difference",
    "median_bandwidth",
    "mmd",
    "psnr",
    "sliced_wasserstein",
    "ssim",
    "subject_similarity",
]
