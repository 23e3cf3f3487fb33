"""Another network for other noise levels (T-Stitch, Pan et al. 2024): a small one first, say, and a large one last.

Networks that share latents, schedule, noise and what they predict are one network that looks at the time: the sampler
needs to know nothing of it. When one hands over to the next is data, so a sweep over that compiles once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from ldm.diffusion.plan import Plan
from ldm.networks.structure import Params, Structure, merge, split


class Stitched(nnx.Module):
    """Networks in the order in which a falling time meets them; network k + 1 takes over below time `until[k]`.

    All images of a batch are at one time. The answer is float32.
    """

    def __init__(self, networks: Sequence[nnx.Module], until: Float[np.ndarray, " k"]):
        self.networks = nnx.List(list(networks))
        self.until = nnx.Param(jnp.asarray(until, jnp.float32))

    def __call__(self, x: Float[Array, "b h w i"], t: Float[Array, " b"], context: Float[Array, "b m d"]) -> Array:
        def ask(net: nnx.Module, *asked: Array) -> Array:
            return net(*asked).astype(jnp.float32)

        which = (t[0] < self.until[...]).sum(dtype=jnp.int32)
        return lax.switch(which, [partial(ask, net) for net in self.networks], x, t, context)


def stitch(networks: Sequence[tuple[Structure, Params]], until: Float[np.ndarray, " k"]) -> tuple[Structure, Params]:
    """Join several networks as one, split as each of them is; `until`: falling times, one fewer (`handover`).

    Raises: ValueError where their number does not fit, or they rise.
    """
    if len(until) != len(networks) - 1 or np.any(until[1:] > until[:-1]):
        raise ValueError(
            f"until = {[float(t) for t in until]}: expected {len(networks) - 1} falling times for {len(networks)} "
            "networks, those below which the next one takes over; make them with `handover`."
        )
    return split(Stitched([merge(*network) for network in networks], until))


def handover(plan: Plan, rows: Sequence[int]) -> Float[np.ndarray, " k"]:
    """Return the times at which networks take over.

    Each but the last has had its share once so many rows are done, 0 for none, plan.n for all. A solver that asks twice
    at one time does so with one network.

    Raises: ValueError for rows that fall or lie outside the plan.
    """
    n = int(plan.n)
    if any(not 0 <= row <= n for row in rows) or list(rows) != sorted(rows):
        raise ValueError(f"rows = {list(rows)}: expected numbers that do not fall, from 0 to {n}, the plan's rows.")
    return np.array([np.inf if row == 0 else plan.t[row - 1] if row < n else -1.0 for row in rows], np.float32)


def owners(plan: Plan, until: Float[np.ndarray, " k"]) -> Int[np.ndarray, " n"]:
    """Return which network each row of a plan asks."""
    return (np.asarray(plan.t[: int(plan.n)])[:, None] < until).sum(1)
