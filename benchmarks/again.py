"""What one waits for once the study has run: `python -m benchmarks.again`, after `make study`.

The study where nothing has changed, a chapter that only reads recorded rows, and the book of notebooks that have been
executed. Each is a command as one types it, in a new process.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from benchmarks import measure
from ldm.paths import ROOT

ROUNDS = 3
CHAPTER = "12_verdicts"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command that finds the study done."""

    what: str


def commands(place: str) -> dict[str, list[str]]:
    """What is waited for, and the command; a chapter goes to this place."""
    return {
        "make study, where nothing has changed": ["make", "study"],
        "make book, of executed notebooks": ["make", "book"],
        f"a chapter of recorded rows ({CHAPTER})": [sys.executable, "-m", "ldm", "notebook", CHAPTER, "--out", place],
    }


def main() -> None:
    """Wait for each command in turns, print the middle of the rounds, and keep rows."""
    run = lambda command: subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    run(["make", "study"])  # what has changed is done first
    waited: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as place:
            for what, command in commands(f"{place}/chapter.ipynb").items():
                waited.setdefault(what, []).append(measure.seconds(lambda: run(command)))  # noqa: B023
    for what, values in waited.items():
        print(f"{what:50}{statistics.median(values):6.1f} s  [{min(values):.1f}, {max(values):.1f}]")
        measure.keep(Case(what=what), [measure.row(values, what, task="again", metric="seconds")])


if __name__ == "__main__":
    main()
