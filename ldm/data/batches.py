"""Which samples make up a batch, as a function of the step, and work that several processes share in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import numpy as np

CORES = os.cpu_count() or 1
T = TypeVar("T")


def in_order(draw: Callable[[range], T], n: int, length: int, workers: int) -> Iterator[T]:
    """Yield `draw(rows)` of all n rows in order, `length` at a time.

    Several processes draw (which have to be able to pickle `draw`), started from a script with the usual `if __name__
    == "__main__":`, or this one alone. Few lie ready before they are asked for.
    """
    spans = [range(i, min(i + length, n)) for i in range(0, n, length)]
    if workers < 2 or len(spans) < 2:
        yield from map(draw, spans)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        ahead = deque()
        for span in spans:
            if len(ahead) == 2 * workers:
                yield ahead.popleft().result()
            ahead.append(pool.submit(draw, span))
        yield from (one.result() for one in ahead)


def batch_indices(seed: int, step: int, batch: int, n: int) -> np.ndarray:
    """Return which of n items make up the batch of a step: int64 (batch,).

    Items are taken in the order of one permutation of range(n) after another (epochs), `batch` at
    a time; a batch may span two epochs. Nothing is stored: each place in the endless row of items
    is computed from (seed, place) by itself.
    """
    if step < 0 or batch < 1 or n < 1:
        raise ValueError(f"step={step}, batch={batch}, n={n}: expected step >= 0, others >= 1.")
    epoch, place = np.divmod(np.arange(step * batch, (step + 1) * batch, dtype=np.uint64), n)
    return _permuted(place.astype(np.uint64), epoch, seed, n).astype(np.int64)


def _permuted(place: np.ndarray, epoch: np.ndarray, seed: int, n: int) -> np.ndarray:
    """Return where a permutation of range(n), one for each (seed, epoch), sends `place`.

    A Feistel network permutes a power of four that is at least n; places that land outside
    range(n) are sent on until they are inside (Black and Rogaway, 2002).
    """
    half = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    key = _mixed(_mixed(np.full_like(epoch, seed % 2**64)) + epoch)
    out = place
    outside = np.ones(out.shape, bool)
    while outside.any():
        left, right = out >> half, out & mask
        for turn in range(8):
            left, right = right, left ^ (_mixed(key + np.uint64(turn << 40) + right) & mask)
        out = np.where(outside, (left << half) | right, out)
        outside = out >= n
    return out


def _mixed(x: np.ndarray) -> np.ndarray:
    """SplitMix64's output function: uint64 to uint64, every bit depends on all."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
