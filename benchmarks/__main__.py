"""`make bench`: training, sampling, metrics, degradation, a picture, input, in turn.

Each of the other benchmarks is run by its own name, as `python -m benchmarks.first`. The Makefile sets the compilation
cache and pages of 2 MB.
"""

from __future__ import annotations

from benchmarks import degradation, input, measure, metrics, picture, sampling, training
from benchmarks.cases import STEPS

measure.main(training.ours, "train")
measure.main(sampling.ours, "sample", steps=STEPS)
metrics.main()
degradation.main()
picture.main()
input.main()
