"""Negative prompts for scenes: of each picture a caption that guidance may lead away from.

It says the same parts of a scene as the picture's own caption, as far as there are such, and not the same of all.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np

from ldm.data.scenes.captions import caption
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.record import scene
from ldm.data.scenes.truth import untrue

Unwanted = Literal["one thing changed", "another scene"]
SEED = 31  # of what is changed


def unwanted(data: Scenes, indices: Sequence[int], what: Unwanted) -> list[str]:
    """Return the negative prompt of each picture; the empty caption has the empty one.

    "one thing changed": the picture's own caption, changed so that it no longer holds (`ldm.data.scenes.truth.untrue`).
    "another scene": the same parts of the next scene of the split, as far as it has them, that read otherwise.
    """

    def changed(i: int, parts: Collection[str]) -> str:
        return untrue(data.config, data.scene(i), parts, np.random.default_rng([SEED, i]))

    def another(i: int, parts: Collection[str]) -> str:
        following = (scene(data.config, data.split, i + k, data.seed) for k in itertools.count(1))
        return next(text for each in following if (text := caption(each, parts)) != data.caption(i))

    find = changed if what == "one thing changed" else another
    return [find(i, parts) if (parts := data.said(i)) else "" for i in indices]
