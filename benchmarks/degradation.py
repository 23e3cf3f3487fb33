"""Pictures a second that the degradation makes, on one core: `python -m benchmarks.degradation`.

Crops of 128 pixels, sharpened and degraded, drawn anew in each round. It uses one core; two processes make twice as
many.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace

from benchmarks import measure
from ldm.data.degrade import degrade, sharpened
from ldm.data.scenes.dataset import Scenes
from ldm.profiles import OPEN_EPS


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is degraded, and how often."""

    side: int = 128
    crops: int = 128
    rounds: int = 5


def main(case: Case = Case()) -> None:  # noqa: B008
    """Time the rounds in seconds of the processor, which other processes do not lengthen; print and keep the rate."""
    images = Scenes(replace(OPEN_EPS.scenes, size=case.side), "val", case.crops).images(range(case.crops))
    degrade(sharpened(images[:8]), 0, range(8))  # imports and caches
    rates = []
    for seed in range(case.rounds):
        begin = time.process_time()
        degrade(sharpened(images), seed, range(case.crops))
        rates.append(case.crops / (time.process_time() - begin))
    rate = statistics.median(rates)
    row = measure.row(rates, f"{case.side} px crops, one core", task="degrade", metric="images per second")
    measure.keep(case, [row])
    print(
        f"degradation: {rate:.0f} crops of {case.side} px a second and core [{min(rates):.0f}, {max(rates):.0f}]",
        flush=True,
    )


if __name__ == "__main__":
    main()
