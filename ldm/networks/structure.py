"""A network as what is compiled and what is trained: its structure, and a flat dict of its weights, path -> array."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array

from ldm.networks.initial import KeySource
from ldm.networks.layers import AnyArray
from ldm.networks.quantization import dequantized

Params = Mapping[str, AnyArray]
Structure = nnx.GraphDef


def split(module: nnx.Module) -> tuple[Structure, Params]:
    """Return a module as its structure and a flat dict, path -> array: what training, EMA and checkpoints handle."""
    structure, state = nnx.split(module, nnx.Param)
    return structure, {".".join(map(str, path)): leaf.get_value() for path, leaf in nnx.to_flat_state(state)}


def abstract(build: Callable[[KeySource], nnx.Module]) -> tuple[Structure, dict[str, jax.ShapeDtypeStruct]]:
    """Split as `split(build(keys))`, with shapes and dtypes in place of arrays: no weight is computed."""
    seen = []

    def init(key: Array) -> Params:
        structure, params = split(build(KeySource(key)))
        seen.append(structure)
        return params

    params = jax.eval_shape(init, jax.random.key(0))
    return seen[0], params


def merge(structure: Structure, params: Params) -> Any:
    """Return the module again; in jit this is free at run time, but for 8-bit weights (`ldm.networks.quantization`)."""

    def steps(path: str) -> tuple[Any, ...]:
        return tuple(int(part) if part.isdigit() else part for part in path.split("."))

    arrays = dequantized(params)
    return nnx.merge(structure, nnx.from_flat_state({steps(p): nnx.Param(a) for p, a in arrays.items()}))
