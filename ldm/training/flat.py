"""All parameters of a network end to end in one vector.

Adam, the limit on the gradient's norm and the averages are then a few operations on one long vector, where they were
dozens on each of 700 arrays: a training step of c = 32 takes three quarters of the time on a CPU, and is traced in
half. The loss still sees each parameter under its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ldm.networks.structure import Params


@dataclass(frozen=True)
class Flat:
    """Where each parameter lies in the vector: in the order of the names."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Flat:
        """Return it for arrays, or their shapes, by name."""
        return cls(tuple((name, tuple(params[name].shape)) for name in sorted(params)))

    def join(self, params: Mapping[str, Any]) -> Float[np.ndarray, " n"]:
        """Return the parameters end to end, on the host."""
        return np.concatenate([np.ravel(params[name]) for name, _ in self.shapes])

    def split(self, vector: Float[Array, " n"] | Float[np.ndarray, " n"]) -> Params:
        """Return the parameters by name; of a vector on the host they are views."""
        ends = np.cumsum([prod(shape) for _, shape in self.shapes])[:-1]
        parts = jnp.split(vector, ends) if isinstance(vector, jax.Array) else np.split(vector, ends)
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes, parts, strict=True)}

    def split_all(self, tree: Any) -> Any:
        """Return a tree on the host, with every such vector in it split."""
        split = lambda leaf: self.split(np.asarray(leaf)) if np.ndim(leaf) else leaf
        return jax.tree.map(split, jax.device_get(tree))

    def join_all(self, tree: Any) -> Any:
        """Return a tree that `split_all` gave with its vectors whole again, on the host."""
        names = {name for name, _ in self.shapes}
        whole = lambda leaf: isinstance(leaf, Mapping) and set(leaf) == names
        return jax.tree.map(lambda leaf: self.join(leaf) if whole(leaf) else leaf, tree, is_leaf=whole)
