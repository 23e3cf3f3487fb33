"""Many rows through a compiled function, a batch at a time, the last one filled up: one compilation for any number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np


def full_batches(batch: int, *arrays: np.ndarray) -> Iterator[tuple[int, int, list[np.ndarray]]]:
    """Yield where a batch starts, how many of its rows count, and the arrays' rows, always `batch` of them.

    The last row is repeated until the last batch is full. Arrays are (n, ...), all of one length; none of n = 0.
    """
    for start in range(0, len(arrays[0]), batch):
        rows = [array[start : start + batch] for array in arrays]
        count = len(rows[0])
        yield start, count, [np.concatenate([r, np.repeat(r[-1:], batch - count, 0)]) for r in rows]


def in_batches(function: Callable[..., Any], *arrays: np.ndarray, batch: int) -> Any:
    """Return `function(*arrays)` as NumPy arrays, computed by `batch` rows at a time.

    Args:
        function: of arrays (batch, ...), a tree of arrays (batch, ...), a row for a row.
        arrays: (n, ...), all of one length; of n = 0 the answer has no rows, and the shapes of any other.
    """
    n = len(arrays[0])
    if not n:
        arrays = tuple(np.zeros((1, *array.shape[1:]), array.dtype) for array in arrays)
    answers = [jax.device_get(function(*jax.device_put(rows))) for _, _, rows in full_batches(batch, *arrays)]
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:n], *answers)
