"""How cost grows as work grows: `python -m benchmarks.growth`, seconds and memory of ever more of one thing.

Every amount is measured in a process of its own, so that its memory is its own: what the whole process holds at most
while it works, compiled before. Seconds are the middle of the rounds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import measure
from benchmarks.cases import CASES, Case
from ldm.hashing import later
from ldm.paths import ROOT

ROUNDS = 3
WIDTH, SIZE, BATCH, STEPS = 16, 8, 16, 4  # of a drawing, guided, but for what grows
FEATURES, REAL = 1280, 10_000  # of EfficientNet; pictures that distances are to
Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Growth:
    """So much of one kind of work, and what does not grow."""

    kind: str
    amount: int
    c: int = later(WIDTH)
    size: int = later(SIZE)
    batch: int = later(BATCH)
    steps: int = later(STEPS)
    features: int = later(FEATURES)
    real: int = later(REAL)


def drawing(*, c: int = WIDTH, size: int = SIZE, batch: int = BATCH, steps: int = STEPS) -> Call:
    """Return a call that draws a batch of latents, guided."""
    from benchmarks import sampling

    return sampling.ours(Case(task="sample", **{**CASES[0], "c": c, "size": size, "batch": batch, "steps": steps}))


def training(*, batch: int) -> Call:
    """Return a call that takes one training step of WIDTH."""
    from benchmarks import training

    return training.ours(Case(task="train", **{**CASES[0], "c": WIDTH, "batch": batch}))


def distance(name: str, n: int) -> Call:
    """Return a call that computes a distance, with its interval, of n pictures to REAL ones, from their features."""
    from ldm import metrics

    rng = np.random.default_rng(0)
    fake, real = (rng.gamma(k, 0.3, (m, FEATURES)).astype(np.float32) for k, m in ((0.5, n), (0.6, REAL)))
    ready = metrics.Gaussian.of(real) if name == "frechet" else metrics.Sample(features=real)
    return lambda: getattr(metrics, name)(fake, ready)


def reading(n: int) -> Call:
    """Return a call that asks a store of n recorded rows for those of one size."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ldm.study.results import Store
    from ldm.study.rows import SCHEMA

    place = Path(tempfile.mkdtemp())  # the process ends with the measurement, and main clears what it leaves
    recorded = pd.read_parquet(ROOT / "results/sampling-laptop-eps.parquet")
    names = recorded["metric"].unique()
    rows = pd.concat([recorded] * -(-n // len(recorded)), ignore_index=True)[:n]
    rows["metric"], rows["key"] = np.resize(names, n), [f"{i // len(names):016x}" for i in range(n)]
    (place / "results").mkdir()
    table = pa.Table.from_pandas(rows, SCHEMA, preserve_index=False)
    pq.write_table(table, place / "results/sampling-laptop-eps.parquet")
    return lambda: Store(place).rows(study="sampling", c=8)


KINDS: dict[str, tuple[tuple[int, ...], Callable[[int], Call]]] = {
    "pictures drawn at once": ((1, 4, 16, 64, 256), lambda n: drawing(batch=n)),
    "sampling steps": ((2, 4, 8, 16, 32), lambda n: drawing(steps=n)),
    "width c of the UNet": ((8, 16, 32, 64, 128), lambda n: drawing(c=n)),
    "positions of the latents": ((64, 256, 1024, 4096), lambda n: drawing(size=int(n**0.5), batch=2)),
    "images in a training batch": ((4, 16, 64, 256), lambda n: training(batch=n)),
    "pictures judged by FD": ((1_000, 3_000, 10_000, 30_000, 100_000), lambda n: distance("frechet", n)),
    "pictures judged by KID": ((1_000, 3_000, 10_000, 30_000), lambda n: distance("kid", n)),
    "rows in the store": ((1_000, 10_000, 100_000, 1_000_000), reading),
}


def one(kind: str, amount: int) -> None:
    """Measure an amount in this process, and print it as JSON: seconds of each round, gigabytes at most."""
    call = KINDS[kind][1](amount)
    call()  # compiles
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
    seconds = [measure.seconds(call) for _ in range(ROUNDS)]
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"seconds": seconds, "gigabytes": 1024 * int(peak.split()[1]) / 1e9}))


def main() -> None:
    """Measure every amount of every kind, print a line each, and keep rows."""
    for kind, (amounts, _) in KINDS.items():
        for amount in amounts:
            with tempfile.TemporaryDirectory() as place:
                done = subprocess.run(
                    [sys.executable, "-c", f"from benchmarks.growth import one; one({kind!r}, {amount})"],
                    env=os.environ | {"TMPDIR": place},
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{kind:28}{amount:10,}  {statistics.median(found['seconds']):9.4f} s  {found['gigabytes']:6.2f} GB",
                flush=True,
            )
            rows = [
                measure.row(values, kind, f"{amount:,}", task="growth", strength=float(amount), metric=metric)
                for metric, values in (
                    ("seconds", found["seconds"]),
                    ("gigabytes at most", [found["gigabytes"]]),
                )
            ]
            measure.keep(Growth(kind=kind, amount=amount), rows)


if __name__ == "__main__":
    main()
