"""Random weights that both sides of a comparison can make: each tensor is a function of its name and shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from flax import nnx

from ldm.networks.initial import KeySource
from ldm.networks.structure import abstract
from ldm.networks.torch_layout import to_torch


def draw(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """float32 tensors that keep a network's signal at its size, however deep; shapes as torch has them."""

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng(list(name.encode()))
        if len(shape) > 1:
            return rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        if name.endswith((".weight", "running_var", "lambda1")):
            return rng.uniform(0.5, 1.5, shape)
        return 0.1 * rng.standard_normal(shape)

    return {name: tensor(name, shape).astype(np.float32) for name, shape in shapes.items()}


def shapes_of(build: Callable[[KeySource], nnx.Module]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a module's weights, as torch has them."""
    _, like = abstract(build)
    return {name: to_torch(name, np.broadcast_to(np.float32(0), a.shape)).shape for name, a in like.items()}
