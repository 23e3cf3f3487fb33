"""The only training loop: state, step, fit. Tasks bring a loss and batches that are functions of the step.

Training is horizon-free, after Karras et al. 2024 (EDM2): the learning rate falls as 1 / sqrt(t) after
`decay_images`, and the average of the weights is taken with a power of time, so that it spans the same
share of the run whenever one looks. One run therefore gives a finished model at *every* length, and can
be continued: which is what a study of quality against training compute needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array
from tqdm import tqdm

from ldm.layers import Params

Batch = dict[str, Array]
Loss = Callable[[Params, Batch, Array], tuple[Array, dict[str, Array]]]  # (params, batch, key) -> loss, parts


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What determines a run besides its data and its network."""

    images: int  # training length, in images seen
    batch: int = 64
    learning_rate: float = 1e-3  # reached after the warm-up
    warmup_images: int = 10_000
    decay_images: int = 100_000  # from here on, learning_rate * sqrt(decay_images / images)
    clip: float = 1.0  # global norm of the gradient
    ema: float = 6.94  # gamma of the power average; 6.94 spans about the last 10 % of the run
    seed: int = 0

    def __post_init__(self):
        for name in ("images", "batch", "learning_rate", "warmup_images", "decay_images", "clip", "ema"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a positive number; change it in the training configuration.")

    @property
    def steps(self) -> int:
        return -(-self.images // self.batch)

    def rate(self, step: Array) -> Array:
        """Learning rate at an optimiser step (EDM2, eq. 67, with linear warm-up)."""
        images = (step + 1) * self.batch
        return self.learning_rate * jnp.minimum(
            jnp.minimum(images / self.warmup_images, 1), jnp.sqrt(self.decay_images / jnp.maximum(images, self.decay_images))
        )

    def optimizer(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.clip), optax.adam(self.rate, b1=0.9, b2=0.99))


class TrainState(NamedTuple):
    step: Array  # int32, steps done
    params: Params
    ema: Params  # the weights that are evaluated and shipped
    opt: optax.OptState


def init_state(params: Params, config: TrainConfig) -> TrainState:
    return TrainState(jnp.zeros((), jnp.int32), params, jax.tree.map(jnp.copy, params), config.optimizer().init(params))


def make_train_step(loss: Loss, config: TrainConfig) -> Callable[[TrainState, Batch], tuple[TrainState, dict]]:
    """One step, jitted, its state donated. The key of step k is fold_in(key(seed), k)."""
    tx = config.optimizer()

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, dict]:
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        (value, parts), grads = jax.value_and_grad(loss, has_aux=True)(state.params, batch, key)
        updates, opt = tx.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        beta = (1 - 1 / (state.step + 1.0)) ** (config.ema + 1)  # EDM2, eq. 121
        ema = jax.tree.map(lambda e, p: beta * e + (1 - beta) * p, state.ema, params)
        logs = {"loss": value, "grad_norm": optax.global_norm(grads), **parts}
        return TrainState(state.step + 1, params, ema, opt), logs

    return jax.jit(train_step, donate_argnums=0)
