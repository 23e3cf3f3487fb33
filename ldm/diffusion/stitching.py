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
from jaxtyping import Array, Float

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
    """Join several networks as one, split as each of them is.

    until: falling times, one fewer (`ldm.diffusion.plan.handover`).
    Raises: ValueError where their number does not fit, or they rise.
    """
    if len(until) != len(networks) - 1 or np.any(until[1:] > until[:-1]):
        raise ValueError(
            f"until = {[float(t) for t in until]}: expected {len(networks) - 1} falling times for {len(networks)} "
            "networks, those below which the next one takes over; make them with `handover`."
        )
    return split(Stitched([merge(*network) for network in networks], until))
