"""The study on a GPU that is at hand for minutes: of the queue what fits, cut anywhere, gone on with later.

A finished command leaves a row of its own (study "queue"), by which the next call knows it. What comes home is packed
every minute (`launch.gpu.pack`), and so is a log of what was done and how long it took.
"""

from __future__ import annotations

import contextlib
import gc
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from launch.gpu.pack import Pack
from launch.gpu.queue import Command
from ldm import profiles
from ldm.study.results import Row, Store
from ldm.tasks import models

EVERY = 60.0  # seconds between two packings: what a kill can cost
ENDING = 15.0  # seconds before the end that the last packing begins


class Over(SystemExit):
    """The minutes are over, or SIGTERM has come."""


def there(command: Command, store: Store) -> bool:
    """Whether there is nothing left to do of it."""
    return command.made() if command.made else store.has(command.key)


def chain(command: Command, store: Store) -> list[Command]:
    """The command after all that it needs and that is not there."""
    before = chain(command.needs, store) if command.needs and not there(command.needs, store) else []
    return [*before, command]


def timetable(commands: Sequence[Command], store: Store, minutes: float) -> pd.DataFrame:
    """The commands in order, one row each.

    Columns `why`, `c`, `minutes` (reckoned, with what it needs and is neither there nor done by an earlier one),
    `done`, `fits` (into the minutes, after the ones before it that do) and `commands`.
    """
    at, found = 0.0, []
    doing: set[str] = set()
    for command in commands:
        done = there(command, store) or command.text in doing
        steps = [] if done else [one for one in chain(command, store) if one.text not in doing]
        needs = sum(one.minutes for one in steps)
        fits = not done and at + needs <= minutes
        if fits:
            at, doing = at + needs, doing | {one.text for one in steps}
        found.append((command.why, command.c, needs, done, fits, "; ".join(one.text for one in steps)))
    columns = ["why", "c", "minutes", "done", "fits", "commands"]
    return pd.DataFrame(found, columns=columns).astype({"c": "Int64", "done": bool, "fits": bool})


def timetable_text(planned: pd.DataFrame) -> str:
    """A plan to read: every command in a line, then what fits, as typed."""
    words = planned["done"].map({True: "done", False: ""}).where(~planned["fits"], "now")
    lines = planned.assign(minutes=planned["minutes"].map("{:.1f}".format), **{"": words})[["why", "c", "minutes", ""]]
    now = planned[planned["fits"]]
    said = f"{len(now)} of {len(planned)} now, {now['minutes'].sum():.1f} minutes; {planned['done'].sum()} are done."
    typed = [f"python -m ldm {text}" for texts in now["commands"] for text in texts.split("; ")]
    return "\n".join([lines.to_string(na_rep=""), "", said, *typed])


def progress(commands: Sequence[Command], store: Store) -> pd.DataFrame:
    """How far the queue has come: a row a reason, with the sizes, the commands done and their number."""
    found = pd.DataFrame([(one.why, one.c, there(one, store)) for one in commands], columns=["why", "c", "done"])
    groups = found.groupby("why", sort=False)
    sizes = groups["c"].agg(lambda c: ", ".join(f"{size:g}" for size in sorted(set(c.dropna()))) or "-")
    return pd.DataFrame({"c": sizes, "tasks": groups["done"].size(), "done": groups["done"].sum()}).reset_index()


def run(
    commands: Sequence[Command],
    call: Callable[[list[str]], None],
    *,
    minutes: float,
    out: Path,
    store: Store,
    ahead: Callable[[Command], None] = lambda command: None,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Do what fits into the minutes, in order.

    A command is begun only if it and what it needs will probably end in time; what runs when the minutes are over is
    cut. One that fails is told of and left, as are those that need it; the next ones go on.

    Args:
        call: runs a command, given as its words. out: the folder that comes home. ahead: prepares the next training.
    Returns: the sentences of what failed.
    """
    began, failed = clock(), []
    broken: set[str] = set()
    left = lambda: minutes - (clock() - began) / 60

    def do(command: Command) -> None:
        for name in ("laptop-eps", "gpu-eps"):  # whose registers are those of the other settings, too
            models.note_models(profiles.get(name))  # before anything is drawn with them
        gc.collect()  # evaluators refer to themselves, and hold a model on the device
        start = clock()
        call(shlex.split(command.text))
        took = (clock() - start) / 60
        common = dict(study="queue", profile="gpu", task=command.text.split()[0], protocol="a GPU's queue", c=command.c)
        store.write(
            command.key,
            [Row(metric="minutes", value=took, lo=took, hi=took, n=1, seconds=60 * took, **common)],
        )
        say(f"{command.text}: {took:.1f} minutes, {command.minutes:.1f} reckoned")

    with brought(store.root, out), ended(60 * minutes - ENDING):
        say(f"{minutes:g} minutes for {len(commands)} commands")
        for command in commands:
            if there(command, store):
                continue
            steps = chain(command, store)
            if any(one.text in broken for one in steps) or sum(one.minutes for one in steps) > left():
                continue
            for one in steps:
                say(f"begun, {left():.1f} minutes left: {one.text}")
                try:
                    if one.training:
                        for training in _trainings(commands, one, store):
                            ahead(training)
                    do(one)
                except Exception as error:  # whatever it is, minutes are short: what does not stand on it goes on
                    failed.append(f"{one.text}: {type(error).__name__}: {error}")
                    broken.add(one.text)
                    say(traceback.format_exc())
                    break
        say(f"the end, {left():.1f} minutes left; {len(failed)} failed")
    return failed


def _trainings(commands: Sequence[Command], now: Command, store: Store) -> list[Command]:
    """This training and the next one in the list that is not there."""
    waiting = [one for one in commands if one.training and one.text != now.text and not there(one, store)]
    later = commands.index(now) if now in commands else -1
    return [now, *(one for one in waiting if commands.index(one) > later)][:2]


def say(line: str) -> None:
    """Print a line with the time before it."""
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)


class Copied:
    """What is printed, and the same in a file."""

    def __init__(self, path: Path, terminal: object):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file, self.terminal = path.open("a", buffering=1), terminal

    def write(self, text: str) -> int:
        self.file.write(text)
        return self.terminal.write(text)

    def __getattr__(self, name: str) -> object:  # flush, encoding ...
        return getattr(self.terminal, name)


@contextlib.contextmanager
def brought(root: Path, out: Path) -> Iterator[None]:
    """Meanwhile, and at the end however it comes, what has to come home is packed into `out`; log.txt lies there."""
    pack, over = Pack(root, out), threading.Event()

    def keep_bringing() -> None:
        while not over.wait(EVERY):
            try:
                pack.bring()
            except OSError as error:  # a file that vanished, a full disk: the next round tries again
                say(f"packing: {error}")

    thread = threading.Thread(target=keep_bringing, daemon=True)
    copy = Copied(out / "log.txt", sys.stdout)
    with contextlib.redirect_stdout(copy):
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            pack.bring(last=True)
            copy.file.close()


@contextlib.contextmanager
def ended(seconds: float) -> Iterator[None]:
    """After so many seconds, or at SIGTERM, what runs is left by `Over`, so that what is finished is packed.

    A training catches SIGTERM itself, and ends after its step.
    """

    def leave(number: int, _: object) -> None:
        raise Over(0 if number == signal.SIGALRM else 128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGALRM, signal.SIGTERM)}
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
