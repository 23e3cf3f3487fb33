"""The loss of a training, drawn while it goes on; and a small training to look at."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ldm.figures.charts import interactive
from ldm.profile import Profile

EVERY = 2.0  # seconds at least between two drawings of a loss that goes on


def no_losses(profile: Profile) -> str:
    """Say in Markdown what is missing where a profile's held-out losses are, and what makes them."""
    return (
        f"*No such losses are recorded of the profile {profile.name}: `python -m ldm grid --study denoising --profile"
        f" {profile.name}` makes those of the models that are here.*"
    )


def loss_curve(history: pd.DataFrame | Sequence[dict[str, Any]], *, bins: int = 120) -> alt.LayerChart:
    """Plot training loss against images seen: mean and 95 % interval of the mean in up to `bins` bins.

    `history`: `loss` and `images_seen` (or `step`), one record an optimizer step; optionally
    `model`, for a curve each.
    """
    data = pd.DataFrame(history)
    x = "images_seen" if "images_seen" in data else "step"
    if missing := {"loss", x} - set(data.columns):
        raise ValueError(f"the history lacks {sorted(missing)}: pass what ldm.training.loop.fit recorded.")
    if data.empty:
        raise ValueError("the history is empty: train at least one step before drawing its loss.")
    if "model" not in data:
        data["model"] = "loss"
    data["bin"] = (data[x] - data[x].min()) * bins // (np.ptp(data[x]) + 1)
    grouped = data.groupby(["model", "bin"], sort=False)
    spread = 1.96 * grouped["loss"].std().fillna(0) / np.sqrt(grouped["loss"].size())
    means = pd.DataFrame({"x": grouped[x].mean(), "loss": grouped["loss"].mean()})
    means = means.assign(lo=means["loss"] - spread, hi=means["loss"] + spread).reset_index()
    one = means["model"].nunique() == 1
    hue = alt.Color("model:N", title=None, **({"legend": None} if one else {}))
    across = alt.X("x:Q", title=x.replace("_", " "), scale=alt.Scale(nice=False), axis=alt.Axis(format="~s"))
    base = alt.Chart(means[["model", "x", "loss", "lo", "hi"]]).encode(x=across, color=hue)
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("lo:Q", scale=alt.Scale(zero=False)), y2="hi:Q")
    line = base.mark_line().encode(
        y=alt.Y("loss:Q", title="training loss"),
        tooltip=[
            alt.Tooltip("x:Q", title=x.replace("_", " "), format=",.0f"),
            alt.Tooltip("loss:Q", format=".4f"),
            alt.Tooltip("lo:Q", title="from", format=".4f"),
            alt.Tooltip("hi:Q", title="to (95 % interval of the mean)", format=".4f"),
        ],
    )
    return alt.layer(band, line).properties(
        width="container", height=240, description="training loss against images seen"
    )


class LiveLoss:
    """The loss chart of a training that is still going on.

    Call it with one record a step, as `fit(..., on_log=lambda record: chart(**record))` would; it redraws in place at
    most every two seconds, and `close()` (or leaving the `with`) draws the end. Outside IPython
    it only collects `history`. Under papermill, which keeps the last drawing alone, it draws once.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, Any]] = []
        self._live, self._last, self._handle = interactive(), time.monotonic(), None

    def __call__(self, **record: Any) -> None:
        self.history.append(record)
        if self._live and time.monotonic() - self._last > EVERY:
            self._draw()

    def __enter__(self) -> LiveLoss:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Draw everything that was recorded, once more."""
        if self.history:
            self._draw()

    def _draw(self) -> None:
        from IPython import get_ipython
        from IPython.display import display

        self._last = time.monotonic()
        if get_ipython() is None:
            return
        if self._handle is None:
            self._handle = display(loss_curve(self.history), display_id=True)
        else:
            self._handle.update(loss_curve(self.history))


def pretrain(profile: Profile, c: int, images: int, scenes: int = 2_048) -> None:
    """Train width c from scratch on a few scenes, drawing its loss; nothing is kept. 0 images: nothing."""
    from ldm.tasks import pretrain as pretraining

    if not images:
        return
    _, text = pretraining.frozen_networks(profile)
    config = replace(
        profile.training(c), images=images, warmup_images=min(profile.train.warmup_images, max(1, images // 4))
    )
    with tempfile.TemporaryDirectory() as folder, LiveLoss() as chart:
        pretraining.pretrain(
            profile,
            c,
            data=pretraining.training_set(profile, scenes),
            null=text.null(1)[0],
            config=config,
            lengths=(),
            root=Path(folder),
            on_log=lambda record: chart(**record),
            log_steps=1,
        )
