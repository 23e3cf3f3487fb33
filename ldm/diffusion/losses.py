"""Losses: each is a function (params, batch, key) -> (loss, terms) for the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key

from ldm.diffusion.denoiser import conditioned
from ldm.diffusion.schedule import Predict, Schedule, Times, check_predict, target, to_eps, to_x0
from ldm.networks.layers import AnyArray
from ldm.networks.structure import Params, Structure, merge

Batch = Mapping[str, AnyArray]  # what training is given for a step; the first axis is that of its pictures
DeviceBatch = Mapping[str, Array]  # the same within the compiled step


def keys_of_batch(key: Array, count: int) -> Array:
    """Return one key an image, the index folded in: image i draws the same whatever the batch it stands in.

    Keys that are one an image already, (count,), are given back: so a part of a batch draws what the whole one would.
    """
    if key.ndim:
        return key
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))


def diffusion_loss(
    structure: Structure,
    schedule: Schedule,
    predict: Predict | tuple[Predict, ...] = "v",
    *,
    null: AnyArray,
    drop: float = 0.1,
    times: Times = "uniform",
):
    """Return the denoising loss: mean square error of the network's prediction at a drawn time.

    Args:
        structure: of the UNet (`structure.split`).
        predict: what the network predicts; of several, the one whose place is batch["predicts"].
        null: the text embedding of the empty caption, (m, d); it replaces each caption's with
            probability `drop`, so that the network can be guided (Ho and Salimans 2022).
        times: how they are drawn (`drawn_time`).

    Returns:
        loss(params, batch, key): batch has "latents" (b, h, w, 4) float32 and "context" (b, m, d). It may have a
        "condition" (b, h, w, k) that the network sees (`denoiser.conditioned`), and "weight" (b,), by which each
        picture's error counts (its mean is then no mean of errors, but their sum over b).
        Terms: "loss_low", "loss_high", the means over the less and the more noisy half of the times.

    Raises: ValueError for an unknown prediction or draw of times, and for eps on a schedule without signal at its end.
    """
    several = (predict,) if isinstance(predict, str) else predict
    for one in several:
        check_predict(one, schedule.alpha)
    check_times(times)
    alphas, sigmas = (jnp.asarray(a, jnp.float32) for a in (schedule.alpha, schedule.sigma))

    def draw(key: Array, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
        time_key, noise_key, drop_key = jax.random.split(key, 3)
        t = drawn_time(time_key, schedule.length, times)
        return t, jax.random.normal(noise_key, shape), jax.random.bernoulli(drop_key, drop)

    def loss(params: Params, batch: DeviceBatch, key: Array) -> tuple[Array, dict[str, Array]]:
        x0, context = batch["latents"], batch["context"]
        t, eps, dropped = jax.vmap(lambda k: draw(k, x0.shape[1:]))(keys_of_batch(key, len(x0)))
        context = jnp.where(dropped[:, None, None], null, context)
        alpha, sigma = (a[t][:, None, None, None] for a in (alphas, sigmas))
        net = merge(structure, params)
        if "condition" in batch:
            net = conditioned(net, batch["condition"])
        output = net(alpha * x0 + sigma * eps, t, context).astype(jnp.float32)
        wanted = [target(one, x0, eps, alpha, sigma) for one in several]
        wanted = jnp.stack(wanted)[batch["predicts"]] if len(several) > 1 else wanted[0]
        errors = jnp.square(output - wanted).mean((1, 2, 3))
        high = t >= schedule.length // 2
        terms = {
            "loss_low": jnp.sum(errors, where=~high) / jnp.maximum(jnp.sum(~high, dtype=jnp.float32), 1),
            "loss_high": jnp.sum(errors, where=high) / jnp.maximum(jnp.sum(high, dtype=jnp.float32), 1),
        }
        return (errors * batch.get("weight", 1.0)).mean(), terms

    return loss


def drawn_time(key: Key[Array, ""], length: int, times: Times) -> Int[Array, ""]:
    """Return a training time, 0 ... length - 1: each as likely, or more often one in the middle.

    logit-normal: the share of the path gone is the logistic function of a standard normal number (Esser et al. 2024,
    eq. 19 with m = 0, s = 1), so that half of the draws fall on the middle third.
    """
    if times == "uniform":
        return jax.random.randint(key, (), 0, length)
    share = jax.nn.sigmoid(jax.random.normal(key))
    return jnp.clip(jnp.floor(length * share), 0, length - 1).astype(jnp.int32)


def check_times(times: Times) -> None:
    """Raise ValueError for an unknown name of times, naming the known ones."""
    if times not in get_args(Times):
        raise ValueError(f"times = {times!r}: expected one of {', '.join(get_args(Times))}; choose one of them.")


@partial(jax.jit, static_argnames=("structure", "predict"))
def denoising_errors(
    structure: Structure,
    params: Params,
    alphas: Float[Array, " k"],
    sigmas: Float[Array, " k"],
    times: Int[Array, " k"],
    latents: Float[Array, "b h w z"],
    context: Float[Array, "b m d"],
    keys: Key[Array, " b"],
    *,
    predict: Predict,
) -> Float[Array, "b k"]:
    """Return each picture's error in estimating its noise at k noise levels, the mean square over its latents.

    The unit is the same whatever the network predicts: the mean square of eps_hat - eps, with eps_hat from x0_hat where
    the network predicts v, x0 or flow. Image i meets the same noise at every level, in every model: its key's.
    """
    net = merge(structure, params)
    eps = jax.vmap(lambda key: jax.random.normal(key, latents.shape[1:]))(keys)

    def at(level: tuple[Array, Array, Array]) -> Float[Array, " b"]:
        alpha, sigma, t = level
        x = alpha * latents + sigma * eps
        output = net(x, jnp.full(x.shape[:1], t, jnp.float32), context).astype(jnp.float32)
        x0 = to_x0(predict, x, output, alpha, sigma)
        return jnp.square(to_eps(x, x0, alpha, sigma) - eps).mean((1, 2, 3))

    return lax.map(at, (alphas, sigmas, times)).T
