"""Low-rank updates of attention's matrices: little learns, beside weights that stay as they are.

LoRA (Hu et al. 2021, arXiv:2106.09685). A matrix W (in, out) acts as W + down @ up, with down (in, r) and up (r, out).
`up` begins as zeros, so a network begins as it was. As is usual for diffusion models, the matrices are those of
attention: queries, keys, values and what leaves it.
"""

from __future__ import annotations

import jax.numpy as jnp

from ldm.networks.initial import KeySource, normal
from ldm.networks.structure import Params

ADAPTED = (".to_q.weight", ".to_k.weight", ".to_v.weight", ".to_out.0.weight")
DOWN, UP = ".down", ".up"  # after a matrix's name


def updates(params: Params, rank: int, keys: KeySource) -> Params:
    """Return first updates of a network's attention matrices, two small matrices each, by name.

    `down` is drawn from N(0, 1 / rank^2), as in diffusers; there is no further factor (alpha = rank).

    Raises: ValueError for a rank below 1, or for a network without attention.
    """
    if rank < 1:
        raise ValueError(f"rank = {rank}: expected 1 or more; a usual one is 4.")
    found = {}
    for name, matrix in params.items():
        if name.endswith(ADAPTED):
            found[name + DOWN] = normal(keys(), (matrix.shape[0], rank), 1 / rank)
            found[name + UP] = jnp.zeros((rank, matrix.shape[1]))
    if not found:
        raise ValueError(f"No name ends in {', '.join(ADAPTED)}: the network has no attention that could be adapted.")
    return found


def updated(params: Params, learnt: Params) -> Params:
    """Return a network's parameters with the updates in `learnt` added; updates among `params` are left out."""
    plain = {name: p for name, p in params.items() if not name.endswith((DOWN, UP))}
    sums = {name: p + learnt[name + DOWN] @ learnt[name + UP] for name, p in plain.items() if name + DOWN in learnt}
    return {**plain, **sums}
