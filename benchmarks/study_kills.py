"""A study killed at random: `python -m benchmarks.study_kills` kills one ten times, lets it end, and compares its rows.

Every start is a new process, as a reader's command is, and SIGKILL falls a random few seconds after it: while it
imports, compiles, draws, scores or writes. The rows have to be those of a run that nobody disturbed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ldm import profiles
from ldm.paths import ROOT
from ldm.study.results import Store
from ldm.study.sampling import sampling_grid

KILLS = 10
MOMENTS = 1.0, 12.0  # seconds from the start to the kill
CELLS = sampling_grid(profiles.get("smoke"), (8,), (2, 4), (1.5, 4.0), n=16)
MEASURED = ["key", "metric", "protocol", "value", "lo", "hi", "n"]

# What a reader's command does, with the rows going to a folder of their own.
STUDY = """
import sys
from benchmarks.study_kills import CELLS
from ldm import profiles
from ldm.study.results import Store
from ldm.study.run import run
from ldm.study.sampling import SamplingEvaluator
run(CELLS, store=Store(sys.argv[1]), evaluator=SamplingEvaluator(profiles.get("smoke")))
"""


def start(root: Path, environment: Mapping[str, str] = os.environ) -> subprocess.Popen:
    """The study in a process of its own, its rows under `root`."""
    environment = {**environment, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", STUDY, str(root)], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )


def finish(root: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Run it to its end. Raises: RuntimeError where it fails."""
    if status := start(root, environment).wait():
        raise RuntimeError(f"The study ended with status {status}; let `start` keep its stderr to see why.")


def killed(root: Path, kills: int, environment: Mapping[str, str] = os.environ, seed: int = 0) -> None:
    """Start it so many times and kill it, then let it end."""
    moments = random.Random(seed)
    for _ in range(kills):
        process = start(root, environment)
        time.sleep(moments.uniform(*MOMENTS))
        process.kill()
        process.wait()
    finish(root, environment)


def measured(root: Path) -> pd.DataFrame:
    """What was measured; the seconds that it took are another matter."""
    return Store(root).rows()[MEASURED]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "undisturbed", Path(folder) / "killed"
        finish(one)
        killed(other, KILLS)
        same = measured(one).equals(measured(other))
    print(f"killed {KILLS} times: the rows are {'the same' if same else 'DIFFERENT'}")
    sys.exit(not same)


if __name__ == "__main__":
    main()
