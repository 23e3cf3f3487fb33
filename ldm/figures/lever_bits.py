"""Weights in fewer bits: the bytes that they save, the seconds that they do not, and what pictures lose."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown

from ldm.figures import tables
from ldm.figures.levels import SAYS
from ldm.figures.levers import MISSING
from ldm.metrics.catalogue import brief
from ldm.profile import Profile
from ldm.statistics import comparisons
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.worth import PLAIN
from ldm.study import lever_record
from ldm.study.lever_cells import Stored
from ldm.study.levers import WHOLE
from ldm.study.results import Store

FULL = "float32"


@lru_cache(maxsize=16)
def bytes_of(profile: Profile, c: int) -> dict[str, int]:
    """Return kind of number -> the bytes of a network's weights. None of them is computed: zeros have the same size."""
    from ldm.networks.quantization import nbytes, quantized
    from ldm.networks.structure import abstract
    from ldm.tasks.pretrain import build_network
    from ldm.training.gradients import half

    _, shapes = abstract(lambda keys: build_network(profile, c, keys))
    zeros = {name: np.zeros(array.shape, array.dtype) for name, array in shapes.items()}
    return {FULL: nbytes(zeros), "bfloat16": nbytes(half(zeros)), "int8": nbytes(quantized(zeros))}


def prices(store: Store, profile: Profile, sizes: Sequence[int]) -> Markdown:
    """Say as a table how many bytes the weights of each size take, and how long a pass of two takes for a picture.

    Times are of the machine that was measured last, and left out where none was.
    """
    timed = lever_record.seconds_a_pass(store, profile)
    lines = []
    for c in sizes:
        for kind, count in bytes_of(profile, c).items():
            asked = c, WHOLE if kind == FULL else kind
            line = {"c": c, "weights": kind, "MB": f"{count / 1e6:.2f}"}
            lines.append(line | ({"ms a pass": f"{1000 * timed[asked]:.2f}"} if asked in timed else {}))
    return Markdown(tables.table(pd.DataFrame(lines), what="Bytes and seconds") if lines else MISSING)


def in_fewer_bits(
    rows: pd.DataFrame,
    levels: Sequence[str],
    metrics: Sequence[str],
    influences: InfluencesOf,
) -> list[Any]:
    """Say as a table by how much pictures by weights in fewer bits are worse, in the same settings."""
    lines = []
    for level in levels:
        part = rows[rows["level"] == level]
        stored = part[part["lever"] == Stored.name]
        same = part[part["lever"] == PLAIN].merge(stored[["c", "steps", "guidance", "metric"]].drop_duplicates())
        both = pd.concat([same, stored], ignore_index=True)
        for metric in metrics if len(stored) else ():
            gaps = comparisons.beside(both, metric, "", influences(both, metric), by="dose")
            lines += [
                {
                    "weights": gap.dose,
                    "c": gap.c,
                    "the caption says": SAYS[level],
                    "by": brief(metric),
                    "worse by": words,
                }
                for gap, words in zip(gaps.itertuples(), comparisons.in_words(gaps), strict=True)
            ]
    return [Markdown(tables.table(pd.DataFrame(lines)) if lines else MISSING)]
