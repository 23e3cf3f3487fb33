"""Scores of images one by one, and their means: shares, CLIP score, subject similarity, Inception Score."""

from __future__ import annotations

import numpy as np
import scipy

from ldm.metrics.estimate import Estimate, Measured, Z
from ldm.metrics.features import blocks, checked, checked_scores, same_width, unit
from ldm.metrics.stored import Features


def mean(values: np.ndarray) -> Measured:
    """Return the mean of n scores (n,). Of booleans: the share that is true, with Wilson's (1927) interval."""
    x = checked_scores(values)
    n, centre = len(x), x.mean()
    found = Measured.by(centre, x - centre)
    if np.asarray(values).dtype != bool:
        return found
    middle = (centre + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(centre * (1 - centre) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    lo, hi = min(middle - half, centre), max(middle + half, centre)  # at 0 and 1 they are equal but for rounding
    return Measured(float(centre), float(lo), float(hi), n).remembering(found.influences)


def mean_difference(values_a: np.ndarray, values_b: np.ndarray) -> Estimate:
    """Return the mean of a minus mean of b, entry i of both from the same caption and noise.

    Of booleans: the interval of Bonett & Price (2012), which holds where few pairs differ.
    """
    a, b = checked_scores(values_a), checked_scores(values_b)
    if len(a) != len(b):
        raise ValueError(f"got {len(a)} and {len(b)} scores; a paired difference needs as many.")
    if np.asarray(values_a).dtype != bool or np.asarray(values_b).dtype != bool:
        return mean(a - b)
    n, value = len(a), float((a - b).mean())
    wins, losses = (np.sum(a > b) + 1) / (n + 2), (np.sum(a < b) + 1) / (n + 2)
    half = Z * np.sqrt((wins + losses - (wins - losses) ** 2) / (n + 2))
    middle = wins - losses
    return Estimate(value, float(middle - half), float(middle + half), n)


def clip_score(images: Features, texts: Features) -> Measured:
    """Return the mean of 100 max(cos, 0) of image and text features (n, d), row i of both a pair; 0 to 100.

    Hessel et al. 2021, eq. 1, whose weight of 2.5 nearly everyone replaces by 100. Which CLIP made the
    features belongs into the protocol: ViT-B/32 and ViT-L/14 differ by several points.
    """
    x, y = checked(images), checked(texts)
    if x.shape != y.shape:
        raise ValueError(f"images have features {x.shape} and texts {y.shape}; a CLIP score needs a text an image.")
    x, y = unit(x), unit(y)
    return mean(np.concatenate([100 * np.maximum((x[rows] * y[rows]).sum(1), 0) for rows in blocks(x)]))


def subject_similarity(fake: np.ndarray, subject: np.ndarray) -> Measured:
    """Return the mean cosine of generated images (n, d) with the photographs of a subject (m, d); -1 to 1.

    DINO and CLIP-I of DreamBooth (Ruiz et al. 2023, section 4.1), over all pairs. The interval is about
    other generated images: the few photographs count as the subject itself.
    """
    x, y = checked(fake), checked(subject, least=1)
    same_width(x, y.shape[1])
    return mean(unit(x) @ unit(y).mean(0))


def inception_score(logits: Features, *, splits: int = 10, order: np.ndarray | None = None) -> Measured:
    """Return the Inception Score of class logits (n, classes): 1 to the number of classes, higher is better.

    Salimans et al. 2016, section 4: IS = exp(mean_i KL(p_i | q)), q the mean of the p_i, over `splits`
    consecutive parts, and the mean of these. As a difference of entropies, IS = exp(H(q) - mean_i H(p_i)), it
    is so cheap that the interval leaves out each image in turn, exactly: with few images a part, each pulls
    q so much to itself that the derivative alone would miss some of the scatter.

    The "plus or minus" of papers is the standard deviation between parts: the scatter of *one* of ten scores
    of n / 10 images, no interval of their mean. The interval here is that of the mean, around what n images
    give: few images leave classes out, so the score grows with n / splits; compare at equal n and splits.
    Photographs of ImageNet's classes are what it knows; on other pictures it says little.

    order: a permutation (n,) that the parts are taken from. Pictures that lie sorted by their classes need one: a part
        of few classes scores low.
    """
    x = checked(logits)
    n = len(x)
    if splits < 1 or n < 2 * splits or x.shape[1] < 2:
        raise ValueError(
            f"logits have shape {x.shape} for {splits} splits, expected (n, classes) with 2 or more classes, and "
            "at least 2 images a split."
        )
    scores, influence = np.empty(splits), np.empty(n)
    order = np.arange(n) if order is None else np.asarray(order)
    if not np.array_equal(np.sort(order), np.arange(n)):
        raise ValueError(f"order is no permutation of the {n} images; give each of 0 to {n - 1} once.")
    ends = [split * n // splits for split in range(splits + 1)]
    for split, (begin, end) in enumerate(zip(ends, ends[1:], strict=False)):
        among = np.sort(order[begin:end])
        part, size = x[among], end - begin
        chances = lambda rows, part=part: scipy.special.softmax(part[rows], axis=1)
        entropy = np.concatenate([scipy.special.entr(chances(rows)).sum(1) for rows in blocks(part)])
        q = sum(chances(rows).sum(0) for rows in blocks(part)) / size
        scores[split] = np.exp(scipy.special.entr(q).sum() - entropy.mean())
        entropy_of_q = [
            scipy.special.entr(np.maximum(q + (q - chances(rows)) / (size - 1), 0)).sum(1) for rows in blocks(part)
        ]
        entropy_without = entropy.mean() + (entropy.mean() - entropy) / (size - 1)
        without = np.exp(np.concatenate(entropy_of_q) - entropy_without)
        # The mean over parts counts an image of a smaller part more.
        influence[among] = (without.mean() - without) * (size - 1) * n / (splits * size)
    return Measured.by(scores.mean(), influence)
