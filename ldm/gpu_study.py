"""The study on a GPU that is at hand for minutes only: a queue of commands, ordered by what they add to the evidence.

Such a machine forgets what it has trained, so a *task* trains a model and judges it in one go, by commands that one would
type. It may be cut anywhere. What comes home are rows, pictures and weights that are small, packed after every command; a
finished task leaves a row of its own (study "queue"), by which the next call knows it, and how long it took, by which the
next plan is better.
"""

from __future__ import annotations

import shlex
import sys
import tarfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from ldm import cost, pretrain
from ldm.files import write_atomic
from ldm.meter import PASSES
from ldm.profiles import ROOT, RUNS, WEIGHTS, Profile
from ldm.racing import stages
from ldm.results import Row, Store, key

SHARE = 0.25  # of the matrix rate that training and drawing are taken to reach, until finished tasks have shown it
START = 0.5  # minutes of a command besides its networks: compilation, pictures to learn from
STEP = 8e-3 / 60  # minutes that a step of training takes at least, however small the network
CELL = 2 / 60  # minutes of judging the pictures of a cell
VOLUME = 15 * 2**20  # bytes of one file that comes home
FOUR = (64, 128, 192, 320)


class Command(NamedTuple):
    """What one types after `python -m ldm`; gflops: of all its networks' evaluations; minutes: of all else."""

    text: str
    gflops: float = 0.0
    minutes: float = START
    made: Path | None = None  # it has nothing to do where this file is


@dataclass(frozen=True, kw_only=True)
class Task:
    """Commands that belong together, since the later ones need what the first one trains: a model of width `c`."""

    why: str
    scale: Profile
    commands: tuple[Command, ...]
    c: int | None = None
    needs: tuple[Path, ...] = ()  # frozen parts without which it cannot begin

    @property
    def name(self) -> str:
        return "; ".join(command.text for command in self.commands)

    @property
    def key(self) -> str:
        return key(_Named(self.name))

    @property
    def makes(self) -> set[Path]:
        return {command.made for command in self.commands if command.made}

    def minutes(self, tflops: float, pace: float = 1.0, made: Collection[Path] = ()) -> float:
        """How long it takes where a matrix product runs at `tflops`, if tasks take `pace` times what is reckoned.

        made: files that will be there by then, besides those that are.
        """
        left = [c for c in self.commands if not (c.made and (c.made in made or c.made.is_file()))]
        return pace * sum(c.minutes + c.gflops / (SHARE * tflops * 1e3) / 60 for c in left)

    def ready(self, made: Collection[Path] = ()) -> bool:
        """Whether all that it needs is there, or will be."""
        return all(path in made or path.is_file() for path in self.needs)


@dataclass(frozen=True)
class _Named:
    commands: str


def mini_tasks(scale: Profile) -> list[Task]:
    """The family that ships, by two more seeds: how much of what the book says hangs on one training."""
    return [
        Task(why=f"the mini family by seed {seed}", scale=scale, c=c, commands=(
            trained(scale, c, seed), judged(scale, c, seed), drawn(scale, c, (1, 2, 4, 8, 16), (1.0, 1.5, 2.0, 3.0), seed),
        ))
        for seed in (1, 2) for c in scale.family
    ]  # fmt: skip


def large_tasks(scale: Profile) -> list[Task]:
    """Sizes of Table 1: what they stand on, quality by compute, by guidance and steps, the other sections, seeds."""
    rest = [c for c in scale.family if c not in FOUR and c <= max(FOUR)]
    autoencoder, detector, text, reference = (
        WEIGHTS / scale.weights / f"{name}.safetensors" for name in ("autoencoder", "detector", "text", "reference")
    )
    task = partial(Task, scale=scale, needs=(autoencoder, detector, text, reference))

    def part(name: str, minutes: float, made: Path | None, *needs: Path) -> Task:
        command = Command(f"part {name} --profile {scale.name}", minutes=minutes, made=made)
        return Task(why=f"what the {scale.scenes.size} px models stand on", scale=scale, needs=needs, commands=(command,))

    def learning(c: int, seed: int = 0) -> Task:
        why = f"quality by compute at {scale.scenes.size} px, seed {seed}"
        return task(why=why, c=c, commands=(trained(scale, c, seed), judged(scale, c, seed)))

    def guided(c: int, steps: Sequence[int]) -> Task:
        return task(why="guidance and steps", c=c, commands=(trained(scale, c), raced(scale, c, steps)))

    return [
        part("text", 3, text), part("detector", 3, detector), part("autoencoder", 5, autoencoder),
        part("decoder", 4, None, autoencoder), part("reference", 2, reference, detector),
        *(of(c) for c in FOUR for of in (learning, partial(guided, steps=(4, 8, 16)))),
        *(of(c) for c in rest for of in (learning, partial(guided, steps=(4, 8, 16)))),
        *(guided(c, steps=(32,)) for c in (*FOUR, *rest)),
        *(task(why="super-resolution", c=c, commands=(trained(scale, c), restored(scale, c), restoring(scale, c))) for c in FOUR),
        *(task(why="students", c=c, commands=(trained(scale, c), taught(scale, c), studied(scale, c))) for c in FOUR),
        *(
            task(why=sampler, c=c, commands=(trained(scale, c), drawn(scale, c, (4, 8, 16), (2.0, 4.0), sampler=sampler)))
            for sampler in ("ddpm", "dpm++") for c in FOUR
        ),
        *(learning(c, seed) for seed in (1, 2) for c in FOUR),
        *(
            task(why="speed, memory, first loss", c=c, commands=(trained(scale, c, images=100 * scale.train.batch),))
            for c in scale.family if c > max(FOUR)
        ),
    ]  # fmt: skip


def gflops(scale: Profile, c: int) -> float:
    """Of one evaluation on one picture."""
    return cost.unet_gflops(c, scale.latent_shape[0], scale.tokens, scale.context)


def trained(scale: Profile, c: int, seed: int = 0, images: int = 0) -> Command:
    """A training up to the length where sizes are compared, or to so many images."""
    images = images or scale.length
    text = f"pretrain --profile {scale.name} --c {c} --seed {seed} --images {images}"
    minutes = 3 * START + STEP * images / scale.train.batch
    return Command(text, PASSES * gflops(scale, c) * images, minutes, pretrain.path_of(scale, c, images, seed, RUNS))


def judged(scale: Profile, c: int, seed: int = 0) -> Command:
    """Its models along the way, in the paper's one setting."""
    lengths = [length for length in scale.lengths if length <= scale.length]
    text = f"grid --study pretraining --profile {scale.name} --sizes {c} --seed {seed} --lengths {' '.join(map(str, lengths))}"
    return Command(text, len(lengths) * scale.n * 2 * 50 * gflops(scale, c), START + CELL * len(lengths))


def drawn(
    scale: Profile, c: int, steps: Sequence[int], guidance: Sequence[float], seed: int = 0, sampler: str = "ddim"
) -> Command:
    listed = " ".join(map(str, steps)), " ".join(f"{g:g}" for g in guidance)
    text = f"grid --profile {scale.name} --sizes {c} --steps {listed[0]} --guidance {listed[1]} --seed {seed} --sampler {sampler}"
    evaluations = scale.n * sum(steps) * sum(1 + (g != 1) for g in guidance)
    return Command(text, evaluations * gflops(scale, c), START + CELL * len(steps) * len(guidance))


def raced(scale: Profile, c: int, steps: Sequence[int]) -> Command:
    """All guidance values, pictures going to those that may be the best: half of them are taken to fall at each stage."""
    pictures = sum(len(scale.guidance) * n / 2**i for i, n in enumerate(stages(scale.n)))
    text = f"race --profile {scale.name} --sizes {c} --steps {' '.join(map(str, steps))} --metric kid_scene"
    return Command(text, pictures * 2 * sum(steps) * gflops(scale, c), START + 2 * CELL * len(steps) * len(scale.guidance))


def restored(scale: Profile, c: int) -> Command:
    images = 32_000
    text = f"superres --profile {scale.name} --c {c} --images {images}"
    return Command(text, PASSES * gflops(scale, c) * images, 4 * START)


def restoring(scale: Profile, c: int) -> Command:
    steps = (4, 8, 20, 50, 100)
    text = f"grid --study superres --profile {scale.name} --sizes {c} --lengths 4000 32000 --steps {' '.join(map(str, steps))}"
    return Command(text, scale.n * (sum(steps) + 2 * 50) * gflops(scale, c), START + CELL * (2 + len(steps)))


def taught(scale: Profile, c: int) -> Command:
    return Command(f"distill codi --profile {scale.name} --c {c}", 6 * scale.distilled * gflops(scale, c), 3 * START)


def studied(scale: Profile, c: int) -> Command:
    text = f"grid --study distillation --profile {scale.name} --kinds codi --sizes {c} --steps 1 2 4 8 --guidance 2 4"
    return Command(text, scale.n * 2 * 15 * gflops(scale, c), START + CELL * 8)


class Device(NamedTuple):
    kind: str
    memory: float  # GB
    tflops: float  # of a bfloat16 matrix product


def preflight(side: int = 8192, rounds: int = 5) -> Device:
    """What this machine is and does, in a few seconds: the median rate of a product of two matrices of `side`."""
    device = jax.devices()[0]
    side = side if device.platform != "cpu" else side // 16
    a = jax.random.normal(jax.random.key(0), (side, side), jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        product(a, a).block_until_ready()
        seconds.append(time.perf_counter() - began)
    memory = (device.memory_stats() or {}).get("bytes_limit", 0) / 1e9
    return Device(device.device_kind, memory, 2 * side**3 / float(np.median(seconds)) / 1e12)


def pace(store: Store, device: Device) -> float:
    """How many times the reckoned minutes tasks have taken on this kind of device, in the middle; 1 before any has."""
    rows = store.rows(study="queue", metric="times reckoned")
    rows = rows[rows["protocol"] == device.kind]
    return float(rows["value"].median()) if len(rows) else 1.0


def plan(tasks: Sequence[Task], store: Store, device: Device, minutes: float) -> pd.DataFrame:
    """The tasks in order, one row each: `done`, `minutes` (reckoned), `fits` (into those given, the ones before it done first)."""
    known, at, found = pace(store, device), 0.0, []
    made: set[Path] = set()
    for task in tasks:
        done, needs = store.has(task.key), task.minutes(device.tflops, known, made)
        fits = not done and task.ready(made) and at + needs <= minutes
        if fits:
            at, made = at + needs, made | task.makes
        found.append((task.why, task.c, done, needs, fits, task.name))
    return pd.DataFrame(found, columns=["why", "c", "done", "minutes", "fits", "commands"]).astype({"c": "Int64"})


def table(planned: pd.DataFrame) -> str:
    """A plan to read: every task in a line, then the commands of those that fit."""
    words = planned["done"].map({True: "done", False: ""}).where(~planned["fits"], "now")
    lines = planned.assign(minutes=planned["minutes"].map("{:.1f}".format), **{"": words})[["why", "c", "minutes", ""]]
    now = planned[planned["fits"]]
    commands = [f"python -m ldm {command}" for commands in now["commands"] for command in commands.split("; ")]
    said = f"{len(now)} of {len(planned)} tasks now, {now['minutes'].sum():.1f} minutes; {planned['done'].sum()} are done."
    return "\n".join([lines.to_string(na_rep=""), "", said, *commands])


def progress(tasks: Sequence[Task], store: Store) -> pd.DataFrame:
    """How far the queue has come: a row a reason, with the sizes, the tasks done and their number."""
    found = pd.DataFrame([(task.why, task.c, store.has(task.key)) for task in tasks], columns=["why", "c", "done"])
    groups = found.groupby("why", sort=False)
    sizes = groups["c"].agg(lambda c: ", ".join(f"{size:g}" for size in sorted(set(c.dropna()))) or "-")
    return pd.DataFrame({"c": sizes, "tasks": groups["done"].size(), "done": groups["done"].sum()}).reset_index()


def run(
    tasks: Sequence[Task],
    call: Callable[[list[str]], None],
    *,
    minutes: float,
    out: Path,
    store: Store,
    device: Device,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Do what fits into the minutes, in order; pack what there is to bring home after every command.

    A task is begun only if it will probably end in time. One that fails is told of and left; the next ones go on.

    Args:
        call: runs a command, given as its words. out: the folder of the packed files (`pack`).

    Returns: the sentences of what failed.
    """
    began, since, failed = clock(), time.time(), []

    def left() -> float:
        return minutes - (clock() - began) / 60

    for task in tasks:
        reckoned = task.minutes(device.tflops, pace(store, device))
        if store.has(task.key) or not task.ready() or reckoned > left():
            continue
        print(f"{task.why}: {task.name} (about {reckoned:.1f} of {left():.1f} minutes)", flush=True)
        start, plain = clock(), task.minutes(device.tflops)
        try:
            for command in task.commands:
                try:
                    call(shlex.split(command.text))
                finally:
                    pretrain.record_models(task.scale, since)
                    pack(out, since)
        except (ValueError, OSError, RuntimeError) as error:
            failed.append(f"{task.name}: {type(error).__name__}: {error}")
            print(failed[-1], file=sys.stderr, flush=True)
            continue
        took = (clock() - start) / 60
        row = dict(study="queue", profile=task.scale.name, task=task.why, protocol=device.kind, n=1, seconds=60 * took)
        values = {"minutes": took, "times reckoned": took / plain if plain else 1.0}
        store.write(task.key, [Row(metric=name, value=v, lo=v, hi=v, **row) for name, v in values.items()])
        pack(out, since)
    return failed


def pack(out: Path, since: float) -> list[Path]:
    """What this machine has made since a time, into a few tar files: `tar xf` them in the checkout at home, then `ldm compact`.

    Rows and pictures, the registers of models, and frozen parts; models of sizes stay, being large.
    """
    wanted = [
        *(ROOT / "runs/rows").glob("*.parquet"), *(ROOT / "runs/files").glob("*/[!.]*"),
        *WEIGHTS.glob("*/models.json"), *WEIGHTS.glob("*/*.safetensors"),
    ]  # fmt: skip
    new = [path for path in wanted if path.stat().st_mtime >= since and path.stat().st_size <= VOLUME]
    new.sort(key=lambda path: path.stat().st_mtime)  # what an earlier call packed stays in its volume
    volumes: list[list[Path]] = [[]]
    size = 0
    for path in new:
        room = path.stat().st_size + 2048  # a header, and what fills the last block
        if volumes[-1] and size + room > VOLUME:
            volumes.append([])
            size = 0
        volumes[-1].append(path)
        size += room
    return [write_atomic(out / f"home-{i}.tar", _tar(paths)) for i, paths in enumerate(volumes) if paths]


def _tar(paths: Sequence[Path]) -> bytes:
    with BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in paths:
                archive.add(path, path.relative_to(ROOT))
        return buffer.getvalue()
