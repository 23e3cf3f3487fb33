"""Sweep the learning rate of one size: `python -m tools.learning_rates laptop-eps 8 40000 5e-4 1e-3 2e-3`.

Every rate sees the same pictures, times and noise in the same order, so that losses can be compared; what is printed
is the mean over the last quarter of the run, with its standard error over steps. Nothing is kept.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from ldm import profiles
from ldm.tasks import pretrain


def losses(name: str, c: int, images: int, rate: float) -> np.ndarray:
    """Return the loss of every step of a training of width c at this rate."""
    chosen, found = profiles.get(name), []
    _, text = pretrain.frozen_networks(chosen)
    config = replace(chosen.train, images=images, learning_rate=rate)
    with tempfile.TemporaryDirectory() as folder:
        pretrain.pretrain(
            chosen,
            c,
            data=pretrain.training_set(chosen),
            null=text.null(1)[0],
            config=config,
            lengths=(),
            root=Path(folder),
            on_log=lambda record: found.append(record["loss"]),
            log_steps=1,
            checkpoints=False,
        )
    return np.array(found)


def main() -> None:
    """Print the mean loss of the last quarter of a training at each rate, with its standard error."""
    name, c, images, *rates = sys.argv[1:]
    for rate in map(float, rates):
        found = losses(name, int(c), int(images), rate)
        last = found[-(len(found) // 4) :]
        error = last.std(ddof=1) / np.sqrt(len(last))
        print(f"c = {c}, {int(images):,} images, rate {rate:g}: loss {last.mean():.4f} +- {error:.4f}", flush=True)


if __name__ == "__main__":
    main()
