"""Guided sampling, 20 DDIM steps: `python -m benchmarks.sampling`, ours beside diffusers in torch."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.cases import SCALE, STEPS, Case
from benchmarks.training import initial
from ldm.diffusion.sampler import sample
from ldm.diffusion.schedule import Schedule
from ldm.diffusion.solvers import ddim


def ours(case: Case) -> Callable[[], object]:
    structure, params = initial(case)
    keys = jax.random.split(jax.random.key(1), case.batch)
    context, null = jax.random.normal(jax.random.key(2), (2, case.batch, case.tokens, case.context))
    plan = ddim(Schedule.sd(), case.steps)

    def run() -> object:
        return sample(
            structure,
            params,
            plan,
            context,
            null,
            jnp.float32(SCALE),
            keys,
            predict="v",
            shape=(case.size, case.size, 4),
        ).block_until_ready()

    return run


if __name__ == "__main__":
    from benchmarks.measure import main

    main(ours, "sample", steps=STEPS)
