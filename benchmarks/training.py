"""Training step: `python -m benchmarks.training` prints images a second, ours beside diffusers in torch.

Both draw noise, predict v, take the mean square error, clip the gradient, step Adam and average weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks import measure
from benchmarks.reference import twin
from ldm.diffusion.losses import diffusion_loss
from ldm.diffusion.schedule import Schedule
from ldm.networks.initial import KeySource
from ldm.networks.structure import split
from ldm.networks.unet import UNet
from ldm.training.flat import Flat
from ldm.training.loop import TrainConfig, init_state, make_train_step


def ours(case: measure.Case) -> Callable[[], None]:
    structure, params = split(UNet(case.c, case.context, keys=KeySource(jax.random.key(0))))
    null = jnp.zeros((case.tokens, case.context))
    config = TrainConfig(images=1_000_000, batch=case.batch)
    flat = Flat.of(params)  # as `fit` trains on one device
    step = make_train_step(diffusion_loss(structure, Schedule.sd(), null=null), config, None, flat)
    state = init_state(flat.join(params), config)
    batch = {
        "latents": jax.random.normal(jax.random.key(1), (case.batch, case.size, case.size, 4)),
        "context": jax.random.normal(jax.random.key(2), (case.batch, case.tokens, case.context)),
    }

    def run() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(step(state, batch))

    return run


def theirs(case: measure.Case, prepare: Callable = lambda net: net) -> Callable[[], None]:
    net = twin(case.c, case.context, case.size).train()
    average = copy.deepcopy(net).requires_grad_(False)
    call = prepare(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, betas=(0.9, 0.99))
    alphas, sigmas = (torch.from_numpy(a.astype(np.float32)) for a in (Schedule.sd().alpha, Schedule.sd().sigma))
    x0 = torch.randn(case.batch, 4, case.size, case.size)
    context = torch.randn(case.batch, case.tokens, case.context)

    def run() -> None:
        t = torch.randint(0, 1000, (case.batch,))
        eps = torch.randn_like(x0)
        alpha, sigma = (a[t][:, None, None, None] for a in (alphas, sigmas))
        output = call(alpha * x0 + sigma * eps, t, context).sample
        loss = torch.nn.functional.mse_loss(output, alpha * eps - sigma * x0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1e-3)

    return run


if __name__ == "__main__":
    measure.main(ours, theirs, "train")
