"""`make bench`: training, sampling, metrics, degradation, a picture, input, in turn; `ARGS="--only sample"` one alone.

Each of the other benchmarks is run by its own name, as `python -m benchmarks.first`. The Makefile sets the compilation
cache and pages of 2 MB.
"""

from __future__ import annotations

import argparse

from benchmarks import degradation, input, measure, metrics, picture, sampling, training
from benchmarks.cases import STEPS

PARTS = {
    "train": lambda: measure.main(training.ours, "train"),
    "sample": lambda: measure.main(sampling.ours, "sample", steps=STEPS),
    "metrics": metrics.main,
    "degrade": degradation.main,
    "picture": picture.main,
    "input": input.main,
}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these alone; default: all")
for part in parser.parse_args().only:
    PARTS[part]()
