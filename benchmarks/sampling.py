"""Guided sampling, 20 DDIM steps: `python -m benchmarks.sampling`, ours beside diffusers in torch."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import torch
from diffusers import DDIMScheduler

from benchmarks import measure
from benchmarks.reference import twin
from ldm.diffusion.sampler import sample
from ldm.diffusion.schedule import Schedule
from ldm.diffusion.solvers import ddim
from ldm.networks.initial import KeySource
from ldm.networks.structure import split
from ldm.networks.unet import UNet

STEPS, SCALE = 20, 4.0


def ours(case: measure.Case) -> Callable[[], object]:
    structure, params = split(UNet(case.c, case.context, keys=KeySource(jax.random.key(0))))
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


def theirs(case: measure.Case, prepare: Callable = lambda net: net) -> Callable[[], object]:
    """The loop of diffusers' StableDiffusionPipeline."""
    call = prepare(twin(case.c, case.context, case.size))
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(case.steps)
    context = torch.randn(2 * case.batch, case.tokens, case.context)

    @torch.inference_mode()
    def run() -> object:
        x = torch.randn(case.batch, 4, case.size, case.size)
        for t in scheduler.timesteps:
            without, with_text = call(torch.cat([x, x]), t, context).sample.chunk(2)
            x = scheduler.step(without + SCALE * (with_text - without), t, x).prev_sample
        return x

    return run


if __name__ == "__main__":
    measure.main(ours, theirs, "sample", steps=STEPS)
