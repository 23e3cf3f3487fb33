"""Losses: each is a function (params, batch, key) -> (loss, parts) for the training loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ldm.diffusion.denoiser import conditioned
from ldm.diffusion.schedule import Predict, Schedule, check_predict, target
from ldm.networks.layers import Params, Structure, merge

Batch = dict[str, Array]


def image_keys(key: Array, count: int) -> Array:
    """One key an image, the index folded in: image i draws the same whatever the batch it stands in.

    Keys that are one an image already, (count,), are given back: so a part of a batch draws what the whole one would.
    """
    if key.ndim:
        return key
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))


def diffusion_loss(
    structure: Structure,
    schedule: Schedule,
    predict: Predict = "v",
    *,
    null: Array,
    drop: float = 0.1,
):
    """The denoising loss: mean square error of the network's prediction at a uniformly drawn time.

    Args:
        structure: of the UNet (`layers.split`).
        null: the text embedding of the empty caption, (m, d); it replaces each caption's with
            probability `drop`, so that the network can be guided (Ho and Salimans 2022).

    Returns:
        loss(params, batch, key): batch has "latents" (b, h, w, 4) float32 and "context" (b, m, d). It may have a
        "condition" (b, h, w, k) that the network sees (`denoiser.conditioned`), and "weight" (b,), by which each
        picture's error counts (its mean is then no mean of errors, but their sum over b).
        Parts: "loss_low", "loss_high", the means over the less and the more noisy half of the times.

    Raises: ValueError for an unknown prediction, and for eps on a schedule without signal at its end.
    """
    check_predict(predict, schedule.alpha)
    alphas, sigmas = (jnp.asarray(a, jnp.float32) for a in (schedule.alpha, schedule.sigma))

    def draw(key: Array, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
        time_key, noise_key, drop_key = jax.random.split(key, 3)
        t = jax.random.randint(time_key, (), 0, schedule.length)
        return t, jax.random.normal(noise_key, shape), jax.random.bernoulli(drop_key, drop)

    def loss(params: Params, batch: Batch, key: Array) -> tuple[Array, dict[str, Array]]:
        x0, context = batch["latents"], batch["context"]
        t, eps, dropped = jax.vmap(lambda k: draw(k, x0.shape[1:]))(image_keys(key, len(x0)))
        context = jnp.where(dropped[:, None, None], null, context)
        alpha, sigma = (a[t][:, None, None, None] for a in (alphas, sigmas))
        net = merge(structure, params)
        if "condition" in batch:
            net = conditioned(net, batch["condition"])
        output = net(alpha * x0 + sigma * eps, t, context).astype(jnp.float32)
        errors = jnp.square(output - target(predict, x0, eps, alpha, sigma)).mean((1, 2, 3))
        high = t >= schedule.length // 2
        parts = {
            "loss_low": jnp.sum(errors, where=~high) / jnp.maximum(jnp.sum(~high, dtype=jnp.float32), 1),
            "loss_high": jnp.sum(errors, where=high) / jnp.maximum(jnp.sum(high, dtype=jnp.float32), 1),
        }
        return (errors * batch.get("weight", 1.0)).mean(), parts

    return loss
