"""`python -m benchmarks`: every benchmark, one after the other."""

from __future__ import annotations

from benchmarks import measure, sampling, training

measure.main(training.bench, "train")
measure.main(sampling.bench, "sample", steps=sampling.STEPS)
