"""The study on a GPU that is at hand for minutes: of the queue what fits, cut anywhere, gone on with later.

Here nothing is computed: a worker does the commands (`launch.gpu.worker`), and this process sees to the clock, packs
what has to come home (`launch.gpu.pack`) every few seconds, and kills the worker where the minutes are over. A finished
command leaves a row of its own (study "queue"), by which the next call knows it.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Protocol

import pandas as pd

from launch.gpu.pack import Pack
from launch.gpu.queue import COMPILE, LANES, SETUP, Command
from ldm.study.results import Store
from ldm.study.rows import Row

EVERY = 10.0  # seconds between two packings: what a kill can cost
ENDING = 15.0  # seconds before the end that the worker is killed, and the last packing begins
TICK = 0.25  # seconds that an answer is waited for before the clock is looked at
AHEAD = 4  # programs of the next commands that are compiled meanwhile


class Over(Exception):
    """The minutes are over, or a signal has come."""


class Works(Protocol):
    """What does the commands: `launch.gpu.worker.Worker`."""

    def ask(self, question: dict[str, object]) -> None:
        """Have a command done."""

    def answer(self, seconds: float) -> str | None:
        """Return what failed, empty if nothing did; None where it is not done within these seconds."""

    def end(self) -> None:
        """End the worker."""


def there(command: Command, store: Store) -> bool:
    """Return whether nothing of a command is left to do."""
    return command.made() if command.made else store.has(command.key)


def chain(command: Command, store: Store) -> list[Command]:
    """Return the command, after all that it needs and that is not there."""
    before = chain(command.needs, store) if command.needs and not there(command.needs, store) else []
    return [*before, command]


def timetable(commands: Sequence[Command], store: Store, minutes: float) -> pd.DataFrame:
    """Return the commands in order, one row each.

    Columns `why`, `c`, `minutes` (reckoned, with what it needs and is neither there nor done by an earlier one, and the
    wait for programs that could not be compiled meanwhile), `until` (minutes since the beginning), `done`, `fits` (into
    the minutes, after the ones before it that do) and `commands`.
    """
    at, ready, found = SETUP, 0.0, []
    doing: set[str] = set()
    compiled: set[tuple] = set()
    for command in commands:
        done = there(command, store) or command.text in doing
        steps = [] if done else [one for one in chain(command, store) if one.text not in doing]
        programs = {program for one in steps for program in one.programs} - compiled
        last = (
            max(ready + len(programs) * COMPILE / LANES, COMPILE) if programs else ready
        )  # compiled in the background
        until = max(at, last) + sum(one.minutes for one in steps)
        fits = not done and until <= minutes
        found.append((command.why, command.c, until - at, until, done, fits, "; ".join(one.text for one in steps)))
        if fits:
            at, ready, doing, compiled = until, last, doing | {one.text for one in steps}, compiled | programs
    columns = ["why", "c", "minutes", "until", "done", "fits", "commands"]
    return pd.DataFrame(found, columns=columns).astype({"c": "Int64", "done": bool, "fits": bool})


def timetable_text(planned: pd.DataFrame) -> str:
    """Return a plan to read: every command in a line, then what fits, as typed."""
    words = planned["done"].map({True: "done", False: "not reached"}).where(~planned["fits"], "now")
    until = planned["until"].map("{:.1f}".format).where(planned["fits"], "")
    numbers = {"minutes": planned["minutes"].map("{:.1f}".format), "until": until, "": words}
    lines = planned.assign(**numbers)[["why", "c", "minutes", "until", ""]]
    now = planned[planned["fits"]]
    said = (
        f"{len(now)} of {len(planned)} now, {now['until'].max() if len(now) else 0:.1f} minutes;"
        f" {planned['done'].sum()} are done."
    )
    typed = [f"python -m ldm {text}" for texts in now["commands"] for text in texts.split("; ")]
    return "\n".join([lines.to_string(na_rep=""), "", said, *typed])


def ahead(commands: Sequence[Command], now: Command, store: Store) -> list[tuple]:
    """Return the programs that the commands after this one want first."""
    later = commands[commands.index(now) + 1 :] if now in commands else commands
    wanted = (
        program
        for command in later
        if not there(command, store)
        for step in chain(command, store)
        for program in step.programs
        if program not in now.programs
    )
    return list(islice(dict.fromkeys(islice(wanted, 4 * AHEAD)), AHEAD))


def run(
    commands: Sequence[Command],
    worker: Works,
    *,
    minutes: float,
    out: Path,
    store: Store,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Do what fits into the minutes, in order; then what does not, until it is cut: its finished cells count.

    A command that fails is logged and left, as are those that need it; the next ones go on.

    Args:
        out: the folder that comes home, with log.txt.
    Returns: the sentences of what failed. Raises: SystemExit after a signal, when all is packed.
    """
    began, failed = clock(), []
    broken: set[str] = set()
    left = lambda: minutes - (clock() - began) / 60
    pack, log_file = Pack(store.root, out), out / "log.txt"

    def do(command: Command) -> str:
        """Have it done, packing meanwhile; return what failed."""
        log(f"begun, {left():.1f} minutes left: {command.text}", log_file)
        start = packed = clock()
        worker.ask(dict(text=command.text, programs=command.programs, ahead=ahead(commands, command, store)))
        while (problem := worker.answer(TICK)) is None:
            if received or 60 * left() <= ENDING:
                raise Over
            if clock() - packed > EVERY:
                bring(pack, log_file)
                packed = clock()
        if not problem:
            note(command, (clock() - start) / 60, store)
            log(f"{command.text}: {(clock() - start) / 60:.1f} minutes, {command.minutes:.1f} reckoned", log_file)
        return problem

    out.mkdir(parents=True, exist_ok=True)
    with signals() as received:
        try:
            log(f"{minutes:g} minutes for {len(commands)} commands", log_file)
            for whole in (True, False):
                for command in commands:
                    if there(command, store):
                        continue
                    steps = chain(command, store)
                    late = sum(one.minutes for one in steps) > left() if whole else 60 * left() <= ENDING
                    if late or any(one.text in broken for one in steps):
                        continue
                    for one in steps:
                        if problem := do(one):
                            failed.append(f"{one.text}: {problem}")
                            broken.add(one.text)
                            log(f"failed: {failed[-1]}", log_file)
                            break
            log("all that there is has been done", log_file)
        except Over:
            cause = f" by {signal.Signals(received[0]).name}" if received else ", since the minutes are over"
            log(f"cut{cause}", log_file)
        finally:
            worker.end()
            bring(pack, log_file, last=True)
            log(f"the end, {left():.1f} minutes left; {len(failed)} failed; no room for: {pack.without()}", log_file)
    if received:
        raise SystemExit(128 + received[0])
    return failed


def note(command: Command, took: float, store: Store) -> None:
    """Leave the row by which a finished command is known."""
    common = dict(study="queue", profile="gpu", task=command.text.split()[0], protocol="a GPU's queue", c=command.c)
    store.write(command.key, [Row(metric="minutes", value=took, lo=took, hi=took, n=1, seconds=60 * took, **common)])


def bring(pack: Pack, log_file: Path, *, last: bool = False) -> None:
    """Pack what is new; where that fails (a file that vanished, a full disk), the next time tries again."""
    try:
        pack.bring(last=last)
    except OSError as error:
        log(f"packing: {error}", log_file)


def log(line: str, log_file: Path) -> None:
    """Print a line with the time before it, and write it into the log."""
    line = f"{datetime.now(UTC):%H:%M:%S} {line}"
    with contextlib.suppress(OSError):  # a terminal that is gone ends nothing
        print(line, flush=True)
    with contextlib.suppress(OSError), log_file.open("a") as file:
        file.write(line + "\n")


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """Note SIGTERM and SIGINT in the list meanwhile; they end nothing by themselves."""
    received: list[int] = []
    note_it = lambda number, _: received.append(number)
    before = {number: signal.signal(number, note_it) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
