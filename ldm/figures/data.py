"""What the data chapter says about scenes and about the autoencoder, as numbers and tables."""

from __future__ import annotations

import pandas as pd

from ldm.data.scenes.config import SceneConfig
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.emoji import emojis
from ldm.data.scenes.record import held_out
from ldm.metrics.catalogue import metric_of
from ldm.study.scene_metrics import Measurement


def of(config: SceneConfig, n: int) -> dict[str, float]:
    """Return shares among n training scenes and among all combinations."""
    scenes = Scenes(config, "train", n)
    pairs = sum(len(scenes.scene(i).objects) > 1 for i in range(n)) / n
    combinations = [held_out(e.name, style) for e in emojis()[: config.vocabulary] for style in config.styles]
    return {"pairs": pairs, "held_out_styles": sum(combinations) / len(combinations)}


def ceiling_table(real: Measurement, rebuilt: Measurement) -> pd.DataFrame:
    """Return the metrics on real scenes and on the same scenes through the autoencoder, with intervals."""

    def cell(found: Measurement, name: str) -> str:
        return f"{found.estimates[name][0]:.3g}"

    return pd.DataFrame(
        [
            {
                "metric": metric_of(name).title,
                "real scenes": cell(real, name),
                "through the autoencoder": cell(rebuilt, name),
                "pictures": e.n,
            }
            for name, (e, _) in real.estimates.items()
        ]
    )
