"""The study on a GPU that is at hand for minutes only: of the queue (`launch.gpu.queue`) what fits, cut anywhere, gone
on with later.

What comes home (`launch.gpu.pack`) is packed every minute and at the end. A finished command leaves a row of its own
(study "queue"), by which the next call knows it, and how long it took, by which the next plan is better.
"""

from __future__ import annotations

import contextlib
import gc
import shlex
import signal
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from launch.gpu.pack import pack, start_of_machine
from launch.gpu.queue import Task
from ldm.profiles import Profile
from ldm.study.results import Row, Store
from ldm.tasks import models

EVERY = 60.0  # seconds between two packings: what a kill can cost


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


def paces(store: Store, device: Device, profile: Profile) -> dict[str, float]:
    """Kind of command -> how many times the reckoned minutes it took on this kind of device, in the middle."""
    rows = store.rows(study="queue", profile=profile.name, protocol=device.kind, metric="times reckoned")
    return rows.groupby("task")["value"].median().to_dict()


def there(task: Task, store: Store) -> bool:
    """Whether there is nothing left to do of it."""
    return task.made() if task.made else store.has(task.key)


def timetable(tasks: Sequence[Task], store: Store, device: Device, minutes: float, profile: Profile) -> pd.DataFrame:
    """The tasks in order, one row each.

    Columns `why`, `c`, `done`, `minutes` (reckoned, with all that it needs and is neither there nor made by an earlier
    one), `fits` (into those given, the ones before it done first), `commands`.
    """
    pace, at, found = paces(store, device, profile), 0.0, []
    doing: set[str] = set()
    for task in tasks:
        done = there(task, store)
        chain = [] if done else chain_of(task, store, doing)
        needs = reckoned(chain, pace, device)
        fits = not done and holds(device, task) and at + needs <= minutes
        if fits:
            at, doing = at + needs, doing | {one.text for one in chain}
        found.append((task.why, task.c, done, needs, fits, "; ".join(one.text for one in chain)))
    return pd.DataFrame(found, columns=["why", "c", "done", "minutes", "fits", "commands"]).astype({"c": "Int64"})


def chain_of(task: Task, store: Store, doing: Collection[str] = ()) -> list[Task]:
    """The task after all that it needs and that is neither there nor among the commands that will have been done."""
    return [one for one in [*task.first(lambda one: there(one, store)), task] if one.text not in doing]


def reckoned(chain: Sequence[Task], pace: dict[str, float], device: Device) -> float:
    """Minutes of a chain, a kind that has been timed here by its pace."""
    return sum(pace.get(task.kind, 1.0) * task.reckoned(device.tflops) for task in chain)


def holds(device: Device, task: Task) -> bool:
    """Whether the device has the memory, as far as it says."""
    return not device.memory or task.memory <= device.memory


def timetable_text(planned: pd.DataFrame) -> str:
    """A plan to read: every task in a line, then the commands of those that fit."""
    words = planned["done"].map({True: "done", False: ""}).where(~planned["fits"], "now")
    lines = planned.assign(minutes=planned["minutes"].map("{:.1f}".format), **{"": words})[["why", "c", "minutes", ""]]
    now = planned[planned["fits"]]
    commands = [f"python -m ldm {command}" for commands in now["commands"] for command in commands.split("; ")]
    said = (
        f"{len(now)} of {len(planned)} tasks now, {now['minutes'].sum():.1f} minutes; {planned['done'].sum()} are done."
    )
    return "\n".join([lines.to_string(na_rep=""), "", said, *commands])


def progress(tasks: Sequence[Task], store: Store) -> pd.DataFrame:
    """How far the queue has come: a row a reason, with the sizes, the tasks done and their number."""
    found = pd.DataFrame([(task.why, task.c, there(task, store)) for task in tasks], columns=["why", "c", "done"])
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
    profile: Profile,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Do what fits into the minutes, in order.

    A task is begun only if it and what it needs will probably end in time. One that fails is told of and left, as are
    those that need it; the next ones go on.

    Args:
        call: runs a command, given as its words. out: the folder of the packed files (`pack`).

    Returns: the sentences of what failed.
    """
    began, failed = clock(), []
    broken: set[str] = set()

    def do(task: Task) -> None:
        models.note_models(profile)  # before anything is drawn with them
        gc.collect()  # evaluators refer to themselves, and hold a model on the device
        start = clock()
        call(shlex.split(task.text))
        took = (clock() - start) / 60
        row = dict(
            study="queue", profile=profile.name, task=task.kind, protocol=device.kind, c=task.c, n=1, seconds=60 * took
        )
        values = {"minutes": took, "times reckoned": took / task.reckoned(device.tflops)}
        store.write(task.key, [Row(metric=name, value=v, lo=v, hi=v, **row) for name, v in values.items()])
        print(f"{task.text}: {took:.1f} minutes, {values['times reckoned']:.2f} of what was reckoned", flush=True)

    with terminable(), brought(store.root, out):
        for task in tasks:
            if there(task, store) or not holds(device, task):
                continue
            pace, chain, left = paces(store, device, profile), chain_of(task, store), minutes - (clock() - began) / 60
            if any(one.text in broken for one in chain):
                continue
            needs = reckoned(chain, pace, device)
            if needs > left:
                continue
            print(
                f"{task.why}: {'; '.join(one.text for one in chain)} (about {needs:.1f} of {left:.1f} minutes)",
                flush=True,
            )
            for one in chain:
                try:
                    do(one)
                except Exception as error:  # whatever it is, minutes are short: what does not stand on it goes on
                    failed.append(f"{one.text}: {type(error).__name__}: {error}")
                    broken.add(one.text)
                    traceback.print_exc()
                    break
    return failed


@contextlib.contextmanager
def brought(root: Path, out: Path) -> Iterator[None]:
    """Meanwhile, and at the end however it comes, what has to come home is packed into `out`."""
    start_of_machine(root)
    over = threading.Event()

    def keep_bringing() -> None:
        while not over.wait(EVERY):
            pack(root, out)

    thread = threading.Thread(target=keep_bringing, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        pack(root, out)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends what runs as Ctrl-C does, so that what is finished is packed; a training ends after its step, by its
    own handler.
    """

    def leave(*_: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
