"""What the notebooks do while one looks on: train a small model, show cells' pictures, check the record."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ldm import pretrain as task
from ldm.charts import metric_of
from ldm.plots import LiveLoss
from ldm.profiles import Profile
from ldm.results import Store
from ldm.study import Evaluation, Laboratory, run


def pretrain(scale: Profile, c: int, images: int, scenes: int = 2_048) -> None:
    """Train width c from scratch on a few scenes, drawing its loss; nothing is kept. 0 images: nothing."""
    if not images:
        return
    _, text = task.frozen_parts(scale)
    config = replace(scale.train, images=images, warmup_images=min(scale.train.warmup_images, max(1, images // 4)))
    with tempfile.TemporaryDirectory() as folder, LiveLoss() as chart:
        task.pretrain(
            scale, c, data=task.training_set(scale, scenes), null=text.null(1)[0], config=config, lengths=(),
            root=Path(folder), on_log=lambda record: chart(**record), log_steps=1,
        )  # fmt: skip


def first_pictures(
    store: Store, lab: Laboratory, cells: Sequence[Evaluation], *, by: str = "images", pictures: int = 2
) -> dict[tuple[int, int], np.ndarray]:
    """(c, value of the field `by`) -> the first pictures of that cell, stacked: uint8 (pictures h, w, 3)."""
    found = {}
    for cell in cells:
        path = store.file(lab.key(cell), "strip.webp")
        if path is None:
            raise ValueError(f"The pictures of {cell} are missing: run the cell, or restore results/files.")
        strip = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
        side = strip.shape[0]
        found[cell.c, getattr(cell, by)] = np.concatenate(
            [strip[:, k * side : (k + 1) * side] for k in range(pictures)]
        )
    return found


def recompute(cells: Sequence[Evaluation], *, store: Store, lab: Laboratory) -> pd.DataFrame:
    """Run recorded cells again on this machine and set the values side by side, one row a metric.

    `agrees`: the new value lies within the recorded interval.
    """
    if not cells:
        return pd.DataFrame()
    keys = [lab.key(cell) for cell in cells]
    recorded = store.rows(key=keys, only="recorded")
    if recorded.empty:
        recorded = store.rows(key=keys)
    new = run(cells, store=store, lab=lab, again=True, title="again")
    both = recorded.merge(new, on=["key", "metric"], suffixes=("", "_again"))
    return pd.DataFrame({
        "c": both["c"], "steps": both["steps"], "guidance": both["guidance"],
        "metric": [metric_of(name).title for name in both["metric"]],
        "recorded": both["value"].round(4), "lo": both["lo"].round(4), "hi": both["hi"].round(4), "n": both["n"],
        "again": both["value_again"].round(4),
        "agrees": (both["lo"] <= both["value_again"]) & (both["value_again"] <= both["hi"]),
    })  # fmt: skip
