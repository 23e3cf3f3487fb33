"""A small network and endless latents to train it on: shared by the tests of training and their other processes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ldm.diffusion.losses import keys_of_batch
from ldm.networks.initial import KeySource
from ldm.networks.layers import Conv, GroupNorm, Linear
from ldm.networks.structure import merge, split
from ldm.networks.time_embedding import timestep_embedding
from ldm.training.loop import TrainConfig

STEPS, BATCH = 20, 16
CONFIG = TrainConfig(images=STEPS * BATCH, batch=BATCH, learning_rate=1e-2, warmup_images=32)


class Mixer(nnx.Module):
    """Convolution, norm, convolution, with the time and the text added between."""

    def __init__(self, width: int = 64, context: int = 64, *, keys: KeySource):
        self.conv_in, self.conv_out = Conv(4, width, keys=keys), Conv(width, 4, keys=keys)
        self.time, self.text = Linear(64, width, keys=keys), Linear(context, width, keys=keys)
        self.norm = GroupNorm(width, 8)

    def __call__(self, x, t, context):
        h = self.conv_in(x) + (self.time(timestep_embedding(t, 64)) + self.text(context.mean(1)))[:, None, None]
        return self.conv_out(nnx.silu(self.norm(h)))


STRUCTURE, PARAMS = split(Mixer(keys=KeySource(jax.random.key(0))))


def loss(params, batch, key):
    """Noise is to be told from what it is added to: `diffusion_loss` with few draws, which XLA compiles slowly."""
    noise = jax.vmap(lambda k: jax.random.normal(k, (2, 2, 4)))(keys_of_batch(key, len(batch["latents"])))
    answer = merge(STRUCTURE, params)(batch["latents"] + noise, jnp.zeros(len(noise)), batch["context"])
    error = answer.astype(jnp.float32) - noise
    return jnp.square(error).mean(), {"error": jnp.abs(error).mean()}


def batches(step: int, rows: np.ndarray | slice = slice(None)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    batch = {"latents": rng.standard_normal((BATCH, 2, 2, 4)), "context": rng.standard_normal((BATCH, 2, 64))}
    return {name: x[rows].astype(np.float32) for name, x in batch.items()}


def line(params, batch, key):
    """The loss of a straight line: nothing is quicker to compile."""
    return jnp.square(batch["latents"].mean((1, 2)) @ params["w"] - 1 - jax.random.normal(key, (BATCH,))).mean(), {}
