"""A row: one metric value of one cell, with its interval, n, setting, and what made it."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
import math
import platform
from datetime import UTC, datetime
from typing import get_args, get_type_hints

import pyarrow as pa

STUDIES = (
    "real",
    "pretraining",
    "denoising",
    "sampling",
    "levers",
    "diversity",
    "superres",
    "dreambooth",
    "interpolation",
    "distillation",
    "tpu_plan",
    "metrics",
    "benchmark",
    "training",
    "queue",
)


@functools.cache
def installed_versions() -> str:
    """Return the versions that a row records, as JSON: Python and the packages that do the arithmetic."""
    names = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy")
    found = {name: importlib.metadata.version(name) for name in names}
    return json.dumps({"python": platform.python_version()} | found)


def now() -> str:
    """Return the time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One metric value of one cell. A column that does not apply to the study is None, never 0.

    `value` lies in the metric's own unit, `lo` and `hi` bound its interval, `n` counts the images (or runs) behind
    it. `cost` is the paper's normalised cost x steps, `nfe` counts network evaluations, `level` is how much of a
    scene its captions say, or how strongly pictures to restore are degraded, `gflops` are those of one evaluation
    on one image, `strength` is how much of `task` was done to the pictures, in the unit of that task. `lever` is
    what else was pulled besides size, steps and guidance, `dose` its setting, and `done` the GFLOPs truly done for
    one picture (`ldm.study.levers`).
    `contender` is who was timed by a benchmark, or what; `setting` is the rest of what it was timed with, such as a
    batch, or *cold*.
    `machine`, `dtype`, `micro_batches` of a step, `remat` (blocks computed twice) and `mesh` (data x fsdp) are what
    programs read of the conditions (`ldm.study.conditions`, also for older rows); `protocol` says them to people.
    Raises: ValueError for an unknown study, a value that is not finite, an interval upside down.
    """

    study: str
    profile: str
    task: str
    size: str | None = None
    c: int | None = None
    params: int | None = None
    gflops: float | None = None
    seed: int | None = None
    train_steps: int | None = None
    images_seen: int | None = None
    sampler: str | None = None
    steps: int | None = None
    guidance: float | None = None
    level: str | None = None
    nfe: int | None = None
    cost: float | None = None
    strength: float | None = None
    lever: str | None = None
    dose: str | None = None
    done: float | None = None
    metric: str
    protocol: str
    value: float
    lo: float
    hi: float
    n: int
    seconds: float | None = None
    machine: str | None = None
    dtype: str | None = None
    micro_batches: int | None = None
    remat: bool | None = None
    mesh: str | None = None
    contender: str | None = None
    setting: str | None = None
    key: str = ""  # filled in by Store.write
    created: str = dataclasses.field(default_factory=now)
    versions: str = dataclasses.field(default_factory=installed_versions)

    def __post_init__(self) -> None:
        if self.study not in STUDIES:
            raise ValueError(f"study is {self.study!r}; expected one of {', '.join(STUDIES)}.")
        name = f"the row of metric {self.metric!r}"
        if not (self.profile and self.task and self.metric and self.protocol):
            raise ValueError(f"{name} lacks its profile, task, metric or protocol; name all four.")
        for column in ("value", "lo", "hi"):
            number = getattr(self, column)
            if not math.isfinite(number):
                raise ValueError(
                    f"{name} has {column} = {number}; a row holds finite numbers only, so leave "
                    "out the row of a value that could not be computed."
                )
        if self.lo > self.hi:
            raise ValueError(f"{name} has the interval [{self.lo}, {self.hi}]; lo must not exceed hi.")
        if self.n < 1:
            raise ValueError(f"{name} has n = {self.n}; it must count at least one sample.")


def _schema() -> pa.Schema:
    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    hints = get_type_hints(Row)
    return pa.schema(
        (field.name, kinds[(get_args(hints[field.name]) or (hints[field.name],))[0]])
        for field in dataclasses.fields(Row)
    )


SCHEMA = _schema()
COLUMNS = SCHEMA.names
