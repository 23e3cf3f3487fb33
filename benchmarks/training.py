"""Training step: `python -m benchmarks.training` prints images a second, ours beside diffusers in torch.

Both draw noise, predict v, take the mean square error, clip the gradient, step Adam and average weights.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from benchmarks.cases import Case
from ldm.diffusion.losses import diffusion_loss
from ldm.diffusion.schedule import Schedule
from ldm.networks.dit import DiT
from ldm.networks.initial import KeySource
from ldm.networks.structure import Params, Structure, split
from ldm.networks.unet import UNet
from ldm.training.flat import Flat
from ldm.training.hurried import hurried
from ldm.training.loop import TrainConfig, init_state, make_train_step


def initial(case: Case) -> tuple[Structure, Params]:
    """Our network of a case, with initial weights; a transformer's layers as it is trained and drawn with."""
    keys = KeySource(jax.random.key(0))
    if case.transformer:
        return split(DiT(case.transformer, scan=False, keys=keys))
    return split(UNet(case.c, case.context, keys=keys))


def ours(case: Case, *, first: bool = False) -> Callable[[], None]:
    """A call that takes one training step; first: by the program that takes the first steps of a training."""
    structure, params = initial(case)
    null = jnp.zeros((case.tokens, case.context))
    config = TrainConfig(images=1_000_000, batch=case.batch)
    flat = Flat.of(params)  # as `fit` trains on one device
    step = make_train_step(diffusion_loss(structure, Schedule.sd(), null=null), config, None, flat)
    take = partial(hurried(step, last=1), 0) if first else step
    state = init_state(flat.join(params), config)
    batch = {
        "latents": jax.random.normal(jax.random.key(1), (case.batch, case.size, case.size, 4)),
        "context": jax.random.normal(jax.random.key(2), (case.batch, case.tokens, case.context)),
    }

    def run() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(take(state, batch))

    return run


if __name__ == "__main__":
    from benchmarks.measure import main

    main(ours, "train")
