"""How long a training waits for its batches: `python -m benchmarks.input`, by where they come from.

The same compiled step is fed from memory, from shards whose batches are made when asked for, and from shards whose
batches are made ahead in threads; latents, and pictures that are encoded on the way. The share of the time spent in
getting batches is what `ldm.training.meter` measures in every training. On a CPU, threads that make batches take from
the step, so the step's time counts, too.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import measure
from ldm.data import shard_writer, shards
from ldm.data.feed import Feed
from ldm.data.latents import Encoded, LatentSet
from ldm.data.scenes.dataset import Scenes
from ldm.diffusion.losses import diffusion_loss
from ldm.diffusion.schedule import Schedule
from ldm.profiles import OPEN_EPS
from ldm.tasks import pretrain
from ldm.training import hurried
from ldm.training.loop import fit

SCENES = 2048
METRIC = "share of the time spent on getting batches"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Width, batch, and laps of so many steps, before which one lap compiles and warms up."""

    c: int
    batch: int = 64
    laps: int = 6
    steps: int = 5


def sources(folder: Path) -> dict[str, Encoded]:
    """Name -> where batches come from, all of the same scenes."""
    frozen = pretrain.frozen_networks(OPEN_EPS)
    data = Scenes(OPEN_EPS.scenes, "train", SCENES)
    opened = {}
    kinds = {"latents": shard_writer.latents(data, *frozen), "pictures": shard_writer.pictures(data)}
    for kind, encode in kinds.items():
        opened[kind] = shards.open_shards(shard_writer.write(str(folder / kind), SCENES, *encode), folder)
    made = {
        name: lambda kind, n=n: Feed(opened[kind], *frozen, OPEN_EPS.scenes.size, OPEN_EPS.latent_shape, threads=n)
        for name, n in {"when asked for": 0, "ahead": 4}.items()
    }
    whole = made["when asked for"]("latents").batch(0, 0, SCENES)
    return {"memory": LatentSet(**whole)} | {
        f"shards of {kind}, {name}": feed(kind) for kind in opened for name, feed in made.items()
    }


def batch_of(source: Encoded, size: int, step: int) -> dict:
    return source.batch(0, step, size)


def main(sizes: tuple[int, ...] = (8, 32)) -> None:
    """Train each size for a moment on each source; print and keep shares and step times."""
    hurried.FIRST = 0  # every step by the well compiled program
    with tempfile.TemporaryDirectory() as folder:
        feeds = sources(Path(folder))
        null = pretrain.frozen_networks(OPEN_EPS)[1].null(1)[0]
        for case in (Case(c=c) for c in sizes):
            structure, params = pretrain.network(OPEN_EPS, case.c)
            loss = diffusion_loss(structure, Schedule.sd(), OPEN_EPS.predict, null=null, drop=OPEN_EPS.dropped)
            config = replace(OPEN_EPS.train, images=case.batch * case.steps * (case.laps + 1), batch=case.batch)
            rows = []
            for name, source in feeds.items():
                laps: list[dict] = []
                fit(
                    loss,
                    params,
                    partial(batch_of, source, case.batch),
                    config,
                    log_steps=case.steps,
                    on_log=laps.append,
                    title=f"c={case.c}, {name}",
                )
                shares, seconds = ([lap[part] for lap in laps[1:]] for part in ("input_share", "step_seconds"))
                print(
                    f"c = {case.c:3}  {name:38} {statistics.median(shares):7.2%} [{min(shares):.2%}, {max(shares):.2%}]"
                    f" of the time, step {1e3 * statistics.median(seconds):.0f} ms [{1e3 * min(seconds):.0f},"
                    f" {1e3 * max(seconds):.0f}]",
                    flush=True,
                )
                rows += [
                    measure.row(values, name, f"batch {case.batch}", task="input", c=case.c, metric=metric)
                    for metric, values in ((METRIC, shares), ("seconds a step", seconds))
                ]
            measure.keep(case, rows)


if __name__ == "__main__":
    main()
