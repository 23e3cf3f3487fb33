"""What every metric of the study's rows is called on an axis, which end is good, and which rows may be compared.

A name here is a metric *and* the network behind it (`kid_effnet`), as rows have it and files keep it. The metrics of
the command `score`, whose network is the user's choice, stand in `ldm.metrics.scoring`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from ldm.metrics.protocol import single


class Metric(NamedTuple):
    """How a metric is called on an axis, and which end of it is good."""

    title: str
    better: str  # "lower" | "higher"
    biased: bool = False  # it moves with n, so that only values at equal n may be compared


METRICS: dict[str, Metric] = {
    "kid_effnet": Metric("KID, EfficientNet-Lite0 (x1000)", "lower"),
    "fd_effnet": Metric("FD, EfficientNet-Lite0", "lower", biased=True),
    "kid_scene": Metric("KID, scene network (x1000)", "lower"),
    "fd_scene": Metric("FD, scene network", "lower", biased=True),
    "kid_effnet_decoded": Metric("KID, EfficientNet-Lite0, against decoded scenes (x1000)", "lower"),
    "fd_effnet_decoded": Metric("FD, EfficientNet-Lite0, against decoded scenes", "lower", biased=True),
    "kid_scene_decoded": Metric("KID, scene network, against decoded scenes (x1000)", "lower"),
    "fd_scene_decoded": Metric("FD, scene network, against decoded scenes", "lower", biased=True),
    "denoising": Metric("held-out denoising loss", "lower"),
    "denoising_at": Metric("held-out denoising loss at a time", "lower"),
    "alignment": Metric("scene alignment", "higher"),
    "subject": Metric("subjects named right", "higher"),
    "style": Metric("styles named right", "higher"),
    "kind": Metric("background kinds named right", "higher"),
    "colours": Metric("colours named right", "higher"),
    "relation": Metric("relations right", "higher"),
    "readable": Metric("pictures that show A, B or both", "higher"),
    "entropy": Metric("entropy of the object named, bits", "lower"),
    "detour": Metric("length of the way / distance of its ends", "lower"),
    "largest_step": Metric("largest step's share of the way", "lower"),
    "similar_effnet": Metric("similarity to the subject's pictures, EfficientNet-Lite0", "higher"),
    "similar_scene": Metric("similarity to the subject's pictures, scene network", "higher"),
    "true_effnet": Metric("similarity to the true picture, EfficientNet-Lite0", "higher"),
    "true_scene": Metric("similarity to the true picture, scene network", "higher"),
    "wrong_effnet": Metric("similarity to wrong subjects, EfficientNet-Lite0", "lower"),
    "wrong_scene": Metric("similarity to wrong subjects, scene network", "lower"),
    "recognised_effnet": Metric("subjects recognised, EfficientNet-Lite0", "higher"),
    "recognised_scene": Metric("subjects recognised, scene network", "higher"),
    "place": Metric("places right", "higher"),
    "prompt": Metric("kind, colours and place right", "higher"),
    "diversity": Metric("difference of two pictures of a caption", "higher"),
    "class_kept": Metric("class named right, without the rare token", "higher"),
    "class_leak": Metric("pictures of the class that show the subject", "lower"),
    "class_drift": Metric("change of the class's pictures", "lower"),
    # those below are measured in the chapter about metrics alone (`ldm.study.probes`)
    "mmd_effnet": Metric("Gaussian-kernel MMD, EfficientNet-Lite0 (x1000)", "lower"),
    "cmmd_effnet": Metric("MMD as CMMD has it, EfficientNet-Lite0 (x1000)", "lower"),
    "fdinf_effnet": Metric("FD at infinite n, EfficientNet-Lite0", "lower"),
    "mmd_scene": Metric("Gaussian-kernel MMD, scene network (x1000)", "lower"),
    "cmmd_scene": Metric("MMD as CMMD has it, scene network (x1000)", "lower"),
    "fdinf_scene": Metric("FD at infinite n, scene network", "lower"),
    "precision": Metric("precision, EfficientNet-Lite0", "higher", biased=True),
    "recall": Metric("recall, EfficientNet-Lite0", "higher", biased=True),
    "density": Metric("density, EfficientNet-Lite0", "higher", biased=True),
    "coverage": Metric("coverage, EfficientNet-Lite0", "higher", biased=True),
    # of settings whose pictures are drawn again for it (`ldm.study.diversity`)
    "precision_decoded": Metric("precision, EfficientNet-Lite0, against decoded scenes", "higher", biased=True),
    "recall_decoded": Metric("recall, EfficientNet-Lite0, against decoded scenes", "higher", biased=True),
    "density_decoded": Metric("density, EfficientNet-Lite0, against decoded scenes", "higher", biased=True),
    "coverage_decoded": Metric("coverage, EfficientNet-Lite0, against decoded scenes", "higher", biased=True),
    # of pictures that the small CLIP chose by it (`ldm.study.levers`), and of what it chose from
    "similarity": Metric("fit to the caption, by the small CLIP that chose", "higher"),
    "similarity_first": Metric("fit to the caption, by the small CLIP, without a choice", "higher"),
    "lpips_effnet": Metric("distance to the true picture, EfficientNet-Lite0", "lower"),
    "psnr": Metric("PSNR (dB)", "higher"),
    "ssim": Metric("SSIM", "higher"),
    "is_effnet": Metric("Inception Score's formula, EfficientNet-Lite0", "higher", biased=True),
}


def metric_of(name: str) -> Metric:
    """Return the title and direction of a metric; `ValueError` for one that METRICS does not hold."""
    if name not in METRICS:
        raise ValueError(f"metric {name!r} has no entry in ldm.metrics.catalogue.METRICS; known: {', '.join(METRICS)}.")
    return METRICS[name]


def short(name: str) -> str:
    """Return the name of a metric as sentences and tables use it: `KID-EfficientNet`, `subjects named right`."""
    title = metric_of(name).title.removesuffix(" (x1000)")
    return re.sub(r"^(KID|FD), (EfficientNet|scene)(-Lite0| network)", r"\1-\2", title)


def brief(name: str) -> str:
    """Return the name of a metric as a page uses it that says once what distances are measured from: `FD-scene`."""
    return short(name).removesuffix(", against decoded scenes")


def told_apart(names: Iterable[str]) -> dict[str, str]:
    """Return each metric's brief name, or the long one of all where two brief ones are the same."""
    found = {name: brief(name) for name in names}
    return found if len(set(found.values())) == len(found) else {name: short(name) for name in found}


def comparable(rows: pd.DataFrame, metric: str) -> None:
    """Raise ValueError if rows of one metric were not all measured in the same way, or of a biased one at one n."""
    single(rows, ("protocol", "n") if metric_of(metric).biased else ("protocol",))
