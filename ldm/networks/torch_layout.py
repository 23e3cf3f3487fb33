"""Weights as torch lays them out, and as we do.

Kernels OIHW for our HWIO, matrices (out, in) for our (in, out).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ldm.networks import weights
from ldm.networks.structure import Params


def to_torch(name: str, array: np.ndarray, linear: bool = False) -> np.ndarray:
    """Lay out kernels HWIO -> OIHW, matrices (in, out) -> (out, in), embeddings (rows, width) as they are.

    linear: the projections around a spatial transformer, for us 1 x 1 convolutions, are matrices there
    (Stable Diffusion 2's `use_linear_projection`); the numbers are the same.
    """
    if array.ndim == 4:
        kernel = array.transpose(3, 2, 0, 1)
        return kernel[:, :, 0, 0] if linear and _projection(name) else kernel
    return array.T if array.ndim == 2 and not _embedding(name) else array


def from_torch(name: str, array: np.ndarray, linear: bool = False) -> np.ndarray:
    """Undo `to_torch`; the result is contiguous."""
    if array.ndim == 2 and linear and _projection(name):
        array = array[:, :, None, None]
    order = {4: (2, 3, 1, 0), 2: (0, 1) if _embedding(name) else (1, 0)}.get(array.ndim, range(array.ndim))
    return np.ascontiguousarray(array.transpose(order))


def _projection(name: str) -> bool:
    return ".attentions." in name and name.split(".")[-2] in ("proj_in", "proj_out")


def _embedding(name: str) -> bool:
    return name.endswith("_embedding.weight")


def arrange(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    like: Mapping[str, weights.Shaped],
    *,
    linear: bool = False,
    rename: Callable[[str], str | None] = lambda name: name,
) -> Params:
    """Return the tensors that `path` held, in our layout.

    Args:
        like: names, shapes and dtypes of our network.
        linear: as in `to_torch`.
        rename: a name in the file -> our name; None for what is no weight of ours.
    Raises: ValueError, one sentence, for a tensor that is missing, not expected or of another shape (both
        shapes are named, in torch's layout).
    """
    ours = {mine: array for name, array in tensors.items() if (mine := rename(name)) is not None}
    weights.compare(path, ours, {name: _Torch(name, wanted, linear) for name, wanted in like.items()})
    return {name: from_torch(name, ours[name], linear) for name in like}


class _Torch:
    """The shape and dtype of one of our weights as the file should have it."""

    def __init__(self, name: str, ours: weights.Shaped, linear: bool):
        self.dtype = ours.dtype
        self.shape = to_torch(name, np.broadcast_to(np.zeros((), ours.dtype), ours.shape), linear).shape
