"""`make bench`: how fast training, sampling, metrics, degradation, a picture, input and a warm start are, in turn.

Each of the other benchmarks is run by its own name, as `python -m benchmarks.plan`. The Makefile sets the compilation
cache and pages of 2 MB.
"""

from __future__ import annotations

from benchmarks import degradation, input, measure, metrics, picture, sampling, training, warm_start

measure.main(training.ours, training.theirs, "train")
measure.main(sampling.ours, sampling.theirs, "sample", steps=sampling.STEPS)
metrics.main()
degradation.main()
picture.main()
input.main()
warm_start.main()
