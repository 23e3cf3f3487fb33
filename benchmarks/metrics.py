"""A Frechet distance of 2 x 10,000 images from cached 2048-d features: `python -m benchmarks.metrics`.

Timed are means and covariances of float32 features in float64 and the distance; not the network, nor reading
the features. "Reference ready" takes the real images' Gaussian as given, as when many generators are compared
with one reference. The textbook's matrix square root, on the same features, says how exact ours is.
On a machine that others use too, give it a core of its own and OPENBLAS_NUM_THREADS=1: BLAS threads that wait
for each other take ten times as long.
"""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.linalg

from benchmarks import measure
from ldm import metrics
from ldm.metrics import Gaussian


@dataclass(frozen=True, kw_only=True)
class Case:
    """Two samples of n feature vectors of width d."""

    n: int = 10_000
    d: int = 2048

    def features(self, seed: int, shape: float) -> np.ndarray:
        """float32 (n, d), skewed and not negative, as pooled features are."""
        return np.random.default_rng(seed).gamma(shape, 0.3, (self.n, self.d)).astype(np.float32)


def by_sqrtm(a: Gaussian, b: Gaussian) -> float:
    """The distance as the formula has it, in float64."""
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
    return float(np.square(a.mean - b.mean).sum() + np.trace(a.covariance + b.covariance - 2 * root))


VALUE, INTERVAL = "ldm, reference ready", "ldm, reference ready, with interval"


def main(case: Case = Case()) -> None:  # noqa: B008
    """Time the contenders in turns, compare their values, print a table, and keep the rows."""
    fake, real = case.features(0, 0.5), case.features(1, 0.6)
    ready = Gaussian.of(real)
    contenders = {
        "ldm": lambda: metrics.frechet_between(Gaussian.of(fake), Gaussian.of(real)),
        VALUE: lambda: metrics.frechet_between(Gaussian.of(fake), ready),
        INTERVAL: lambda: metrics.frechet(fake, ready).value,
        "scipy sqrtm": lambda: by_sqrtm(Gaussian.of(fake), Gaussian.of(real)),
    }
    exact = contenders["scipy sqrtm"]()
    errors = {name: abs(call() / exact - 1) for name, call in contenders.items()}
    seconds = {name: [1 / rate for rate in rates] for name, rates in measure.race(contenders, 1).items()}
    # Round by round, so that a machine that is busy for a while is busy for both.
    ratios = [a / b for a, b in zip(seconds[INTERVAL], seconds[VALUE], strict=True)]
    threads = os.environ.get("OPENBLAS_NUM_THREADS", os.cpu_count())
    what = (
        f"Frechet distance, 2 x {case.n} images, {case.d}-d features cached; {measure.machine()}, {threads} BLAS"
        " threads"
    )
    measured = [
        *(("seconds", name, times) for name, times in seconds.items()),
        *(("relative error", name, [error]) for name, error in errors.items()),
        ("times the value alone", INTERVAL, ratios),
    ]
    rows = [
        measure.row(values, name, task="metrics", metric=metric, protocol=f"{name}; {what}")
        for metric, name, values in measured
    ]
    measure.keep(case, rows, threads=threads)
    table = pd.DataFrame(
        {
            "seconds": {name: statistics.median(times) for name, times in seconds.items()},
            "fastest": {name: min(times) for name, times in seconds.items()},
            "off scipy's by": errors,
        }
    )
    print(what)
    print(table.to_string(float_format="{:.3g}".format))
    print(f"An interval costs {statistics.median(ratios):.2f} times the value alone.", flush=True)


if __name__ == "__main__":
    main()
