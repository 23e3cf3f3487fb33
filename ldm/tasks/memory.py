"""What a training asks of a device's memory, reckoned from shapes; and the micro-batches that make it fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax

from ldm.training.config import TrainConfig
from ldm.training.gradients import half
from ldm.training.loop import new_state

USED = 0.8  # share of a device's memory that is reckoned with: what is freed leaves gaps


def bytes_of(tree: Any) -> int:
    """Return the bytes of all arrays (or shapes) of a tree."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def state_bytes(params: Mapping[str, Any], config: TrainConfig) -> int:
    """Return what a training holds whatever its batch: weights, averages, Adam's moments; gradient, and its sum.

    params: arrays or shapes. A rounded copy of the weights is among what the loss keeps (`kept_bytes`).
    """
    return bytes_of(jax.eval_shape(partial(new_state, config=config), dict(params))) + 2 * bytes_of(params)


def kept_bytes(
    loss: Callable[..., Any], params: Mapping[str, Any], config: TrainConfig, batch: Mapping[str, Any]
) -> int:
    """Return what a loss keeps of a batch for its gradient, before a compiler finds what it can do without."""

    def back(params: Any, batch: Any, key: Any) -> Any:
        rounded = lambda params: loss(half(params) if config.bf16 else params, batch, key)
        return jax.vjp(rounded, params, has_aux=True)[1]

    return bytes_of(jax.eval_shape(back, dict(params), dict(batch), jax.eval_shape(lambda: jax.random.key(0))))


def micro_batches(held: int, kept: int, batch: int, limit: int) -> int:
    """Return the fewest micro-batches of a batch, a power of two, of which one fits into `limit` bytes at a time.

    Args: held, kept: bytes of all trainings, and of their whole batches (`state_bytes`, `kept_bytes`).
    Raises: ValueError where a single picture does not.
    """
    room, count = USED * limit - held, 1
    while count <= batch and batch % count == 0:
        if kept / count <= room:
            return count
        count *= 2
    raise ValueError(
        f"The states ask {held / 1e9:.1f} GB and a batch of {batch} {kept / 1e9:.1f} GB: expected at most"
        f" {USED:.0%} of the device's {limit / 1e9:.1f} GB; train fewer side by side, or a smaller width."
    )
