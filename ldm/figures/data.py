"""What the data chapter says about scenes and about the autoencoder, as numbers and tables."""

from __future__ import annotations

import pandas as pd

from ldm.data.scenes.config import SceneConfig
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.emoji import emojis
from ldm.data.scenes.record import held_out
from ldm.metrics import Estimate
from ldm.metrics.catalogue import metric_of
from ldm.study.real import DECODED, TRUE


def of(config: SceneConfig, n: int) -> dict[str, float]:
    """Return shares among n training scenes and among all combinations."""
    scenes = Scenes(config, "train", n)
    pairs = sum(len(scenes.scene(i).objects) > 1 for i in range(n)) / n
    combinations = [held_out(e.name, style) for e in emojis()[: config.vocabulary] for style in config.styles]
    return {"pairs": pairs, "held_out_styles": sum(combinations) / len(combinations)}


def ceiling_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics on real scenes and on the same scenes through the autoencoder, with intervals.

    rows: of both of `ldm.study.real`'s tasks, at one level of caption.
    """
    told = rows.assign(told=[f"{Estimate(row.value, row.lo, row.hi, row.n):.3g}" for row in rows.itertuples()])
    by_task = {task: part.set_index("metric")["told"] for task, part in told.groupby("task")}
    measured = rows[rows["task"] == TRUE]
    return pd.DataFrame(
        {
            "metric": [metric_of(name).title for name in measured["metric"]],
            "real scenes": by_task[TRUE][measured["metric"]].to_numpy(),
            "through the autoencoder": by_task[DECODED][measured["metric"]].to_numpy(),
            "pictures": measured["n"].to_numpy(),
        }
    )
