"""The study on a GPU that is at hand for minutes only: of the queue (`ldm.gpu_queue`) what fits, cut anywhere, gone on with later.

What comes home (`ldm.pack`) is packed after every command, and when it is told to stop. A finished task leaves a row of its
own (study "queue"), by which the next call knows it, and how long it took, by which the next plan is better.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from ldm import pretrain
from ldm.gpu_queue import Task
from ldm.pack import pack, start_of_machine
from ldm.profiles import Profile
from ldm.results import Row, Store


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


def pace(store: Store, device: Device, scale: Profile) -> float:
    """How many times the reckoned minutes a profile's tasks have taken on this kind of device, in the middle; 1 before any has."""
    rows = store.rows(study="queue", profile=scale.name, metric="times reckoned")
    rows = rows[rows["protocol"] == device.kind]
    return float(rows["value"].median()) if len(rows) else 1.0


def ready(task: Task, store: Store, device: Device, doing: Collection[str] = ()) -> bool:
    """Whether the frozen parts that it needs are done, or will be, and the device has the memory, as far as it says."""
    stands = all(store.has(other.key) or other.key in doing for other in task.needs)
    return stands and (not device.memory or task.memory <= device.memory)


def plan(tasks: Sequence[Task], store: Store, device: Device, minutes: float) -> pd.DataFrame:
    """The tasks in order, one row each: `done`, `minutes` (reckoned), `fits` (into those given, the ones before it done first)."""
    paces = {task.scale.name: pace(store, device, task.scale) for task in tasks}
    at, found = 0.0, []
    made: set[Path] = set()
    doing: set[str] = set()
    for task in tasks:
        done, needs = store.has(task.key), task.minutes(device.tflops, paces[task.scale.name], made)
        fits = not done and ready(task, store, device, doing) and at + needs <= minutes
        if fits:
            at, made, doing = at + needs, made | task.makes, doing | {task.key}
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
    start_of_machine(store.root)
    began, failed = clock(), []

    def left() -> float:
        return minutes - (clock() - began) / 60

    def do(task: Task) -> None:
        for command in task.commands:
            if command.is_made:
                continue
            try:
                call(shlex.split(command.text))
            finally:
                pretrain.note_models(task.scale)
                pack(store.root, out)

    with terminable():
        for task in tasks:
            if store.has(task.key) or not ready(task, store, device):
                continue
            reckoned = task.minutes(device.tflops, pace(store, device, task.scale))
            if reckoned > left():
                continue
            print(f"{task.why}: {task.name} (about {reckoned:.1f} of {left():.1f} minutes)", flush=True)
            start, plain = clock(), task.minutes(device.tflops)
            try:
                do(task)
            except (ValueError, OSError, RuntimeError) as error:
                failed.append(f"{task.name}: {type(error).__name__}: {error}")
                print(failed[-1], file=sys.stderr, flush=True)
                continue
            took = (clock() - start) / 60
            row = dict(study="queue", profile=task.scale.name, task=task.why, protocol=device.kind, n=1, seconds=60 * took)
            values = {"minutes": took, "times reckoned": took / plain if plain else 1.0}
            store.write(task.key, [Row(metric=name, value=v, lo=v, hi=v, **row) for name, v in values.items()])
            pack(store.root, out)
    return failed


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends what runs as Ctrl-C does, so that what is finished is packed; a training saves first, by its own handler."""

    def leave(*_: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
