"""How good a subject's pictures are: like the subject, true to the caption, and the class as it was.

Pictures are judged by the networks of the profile (EfficientNet-Lite0 and the scene network), which stand in for the
DINO and CLIP-I of Ruiz et al. 2023 (section 4.1). The likeness of whole pictures is mostly that of their backgrounds,
so it is also measured whether a picture is liker to the true picture of its caption than to that with any other thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8

from ldm.data.scenes.record import Scene
from ldm.metrics import subject_similarity
from ldm.metrics.features import unit
from ldm.metrics.perceptual.alignment import placed, shows, surroundings
from ldm.metrics.perceptual.detections import Detections

Features = Mapping[str, Float[np.ndarray, "n d"]]  # by network: "effnet" and "scene"


def cosine(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Return the cosine of row i of both."""
    return (unit(a) * unit(b)).sum(1)


def similarity(
    features: Features,
    networks: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    pictures: UInt8[np.ndarray, "k S S 3"],
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return similar_*: mean cosine of each picture with the subject's own, as DreamBooth measures it."""
    found = {name: subject_similarity(x, networks[name](pictures)) for name, x in features.items()}
    return {f"similar_{name}": e.value + e.influences[0] for name, e in found.items()}


def recognition(
    features: Features, things: Mapping[str, Float[np.ndarray, "m n d"]], me: int
) -> dict[str, Float[np.ndarray, " n"] | Bool[np.ndarray, " n"]]:
    """Compare a picture with the true pictures of its caption, one for each of m things.

    Thing `me` is the subject.

    true_*  Cosine with the true picture.
    wrong_*  Mean cosine with those of all other things but the last, the class: what a wrong subject would get.
    recognised_*  Whether the true picture is the nearest of all m; by chance in 1 of m.
    """
    out = {}
    for name, x in features.items():
        likes = np.stack([cosine(x, thing) for thing in things[name]])
        others = [i for i in range(len(likes) - 1) if i != me]
        out |= {
            f"true_{name}": likes[me],
            f"wrong_{name}": likes[others].mean(0),
            f"recognised_{name}": likes.argmax(0) == me,
        }
    return out


def obedience(seen: Detections, scenes: Sequence[Scene]) -> dict[str, Bool[np.ndarray, " n"]]:
    """Return whether pictures of a subject that the detector does not know follow their captions otherwise.

    prompt is kind, colours and place together. The style is told by the drawing of an object, so of unknown ones the
    detector often mistakes it, on real pictures too: it is measured, and left out of prompt.
    """
    found = surroundings(seen, scenes) | {"place": placed(seen, scenes)}
    return found | {"prompt": found["kind"] & found["colours"] & found["place"]}


def kept(seen: Detections, noun: str) -> Bool[np.ndarray, " n"]:
    """Return whether the detector sees the class on pictures of the class."""
    wanted = [seen.labels.objects.index(noun)]
    return np.array([shows(shares, wanted) for shares in seen.shares])
