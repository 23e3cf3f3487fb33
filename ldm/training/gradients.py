"""The gradient of a step: computed in bfloat16 where that is asked for, and over a batch in several micro-batches.

The weights stay float32 (master weights, Micikevicius et al. 2018): a loss sees a rounded copy, and the gradient goes
back through the rounding to float32. The layers compute in the type of their weights; norms, softmax and the last
layer stay float32, as do the loss, the optimiser and the averaged weights. bfloat16 has float32's range, so no
scaling of the loss is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from ldm.diffusion.losses import DeviceBatch, keys_of_batch
from ldm.networks.structure import Params

# What stays float32: statistics, what the loss sees, and the times of a handover between networks.
KEPT = re.compile(r"norm|conv_out\.|^(networks\.\d+\.)?proj_out|until$")


def half(params: Params) -> Params:
    """Return the parameters in bfloat16, but for those of the norms and of the last layer."""
    return {name: p if KEPT.search(name) else p.astype(jnp.bfloat16) for name, p in params.items()}


def gradient(
    loss: Callable[..., Any],
    params: Any,
    batch: DeviceBatch,
    key: Array,
    others: tuple[Any, ...] = (),
    *,
    seen: Callable[[Any], Params] = lambda params: params,
    micro_batches: int = 1,
) -> Any:
    """Return ((loss, its terms), gradient in the parameters), all float32.

    Args:
        others: what the loss takes besides: a teacher's weights, the averaged ones.
        seen: how the loss sees them all: rounded (`half`), gathered from devices, or by name (`training.flat`).
        micro_batches: the batch is seen in so many pieces, one after another, and the mean is taken. For losses that
            are means over images this is the whole batch's gradient, within rounding, at a fraction of its memory: the
            loss is given one key an image in place of one key, which `losses.keys_of_batch` hands on (other draws
            refuse it).
    """

    def run(batch: DeviceBatch, key: Array) -> Any:
        view = lambda params: loss(seen(params), batch, key, *map(seen, others))
        return jax.value_and_grad(view, has_aux=True)(params)

    if micro_batches == 1:
        return run(batch, key)
    pieces = divided(batch, micro_batches), divided({"key": keys_of_batch(key, size_of(batch))}, micro_batches)["key"]
    shapes = jax.eval_shape(run, *jax.tree.map(lambda x: x[0], pieces))
    total, _ = lax.scan(
        lambda total, piece: (jax.tree.map(jnp.add, total, run(*piece)), None),
        jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes),
        pieces,
    )
    return jax.tree.map(lambda x: x / micro_batches, total)


def divided(batch: DeviceBatch, micro_batches: int) -> DeviceBatch:
    """Return the batch (b, ...) as (micro_batches, b / micro_batches, ...); numbers are repeated.

    Micro-batch j holds the rows j, j + micro_batches, ...: those of a batch spread over devices then stay where they
    are.
    """
    size = size_of(batch)

    def cut(x: Array) -> Array:
        if x.ndim == 0:
            return jnp.broadcast_to(x, (micro_batches,))
        return x.reshape(size // micro_batches, micro_batches, *x.shape[1:]).swapaxes(0, 1)

    return {name: cut(x) for name, x in batch.items()}


def size_of(batch: DeviceBatch) -> int:
    """Return the number of images in a batch: the length of its arrays; it may hold plain numbers beside them."""
    return next(x.shape[0] for x in batch.values() if x.ndim)
