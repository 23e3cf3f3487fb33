"""Weights in eight bits: one scale for each output channel, and the layers compute in the scale's type.

A network's dict of parameters stays a dict of arrays: a weight becomes int8, and its scale stands beside it under its
name with SCALE. `structure.merge` puts the two together again, so a file, and what is sent to a device, has a quarter
of float32's bytes; the arithmetic is that of the scale's type, and no faster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

SCALE = ":scale"  # no attribute's name holds a colon
KEPT = re.compile(r"norm|conv_in\.|conv_out\.|bias$|until$")  # as they are: few, or what all signals pass through
LEVELS = 127  # from -127 to 127: the same on both sides of 0


def quantized(params: Mapping[str, Any], dtype: Any = np.float32) -> dict[str, Any]:
    """Return parameters with int8 in place of their large weights, and scales of this dtype.

    A weight's last axis is that of its outputs; each has the scale ``max |w| / 127``, so w = scale q within scale / 2.
    What stays is not cast: weights in half precision (`ldm.training.gradients.half`) want a dtype of bfloat16.
    """
    found = {}
    for name, array in params.items():
        if KEPT.search(name) or array.ndim < 2:
            found[name] = array
            continue
        weight = np.asarray(array, np.float32)
        largest = np.abs(weight).max(tuple(range(weight.ndim - 1)))
        scale = np.where(largest > 0, largest / np.float32(LEVELS), np.float32(1)).astype(dtype)
        q = np.rint(weight / scale.astype(np.float32))
        found[name] = np.clip(q, -LEVELS, LEVELS).astype(np.int8)
        found[name + SCALE] = scale
    return found


def dequantized(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters again: int8 times scale where there is one, others as they are."""
    found = {}
    for name, array in params.items():
        scale = params.get(name + SCALE)
        if not name.endswith(SCALE):
            found[name] = array if scale is None else jnp.asarray(array).astype(scale.dtype) * scale
    return found


def nbytes(params: Mapping[str, Any]) -> int:
    """Count the bytes of all arrays."""
    return sum(array.nbytes for array in params.values())
