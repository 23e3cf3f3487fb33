"""A sampler is a table: every step of DDIM, DDPM and DPM-Solver++ is

    x <- a x + b x0 + c x0_prev + d z

with x0 the denoiser's estimate, x0_prev that of the step before and z fresh noise. A solver is the NumPy
function that makes the columns, in float64; one loop runs all of them, so a network compiles once
whatever the solver, the number of steps and the guidance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Key

from ldm.denoiser import denoiser, guided
from ldm.layers import Params, Structure, merge
from ldm.schedule import Predict, Schedule, Spacing

ROWS = 1000  # of every table, so that all have one shape; the loop ends after row n


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["t", "alpha", "sigma", "x", "x0", "x0_prev", "z", "n"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class Plan:
    """One row a step: where the network is asked, and the coefficients of the step. Rows >= n are empty."""

    t: Int[Array, " s"]  # training time, 999 ... 0
    alpha: Float[Array, " s"]  # signal and noise at t
    sigma: Float[Array, " s"]
    x: Float[Array, " s"]  # coefficients of x, of x0, of the x0 before, and of fresh noise
    x0: Float[Array, " s"]
    x0_prev: Float[Array, " s"]
    z: Float[Array, " s"]
    n: Int[Array, ""]  # steps


def _plan(schedule: Schedule, times: np.ndarray, **columns: np.ndarray) -> Plan:
    n = len(times)
    zeros = np.zeros(n)
    columns = {"alpha": schedule.alpha[times], "sigma": schedule.sigma[times], "x0_prev": zeros, "z": zeros} | columns
    padded = {name: np.pad(column, (0, ROWS - n)).astype(np.float32) for name, column in columns.items()}
    return Plan(t=np.pad(times, (0, ROWS - n)).astype(np.int32), n=np.int32(n), **padded)


def _levels(schedule: Schedule, times: np.ndarray) -> tuple[np.ndarray, ...]:
    """alpha, sigma at each time, and those that each step goes to; the last goes to alpha = 1, sigma = 0."""
    alpha, sigma = schedule.alpha[times], schedule.sigma[times]
    return alpha, sigma, np.append(alpha[1:], 1.0), np.append(sigma[1:], 0.0)


def ddim(schedule: Schedule, steps: int, *, eta: float = 0.0, spacing: Spacing = "trailing") -> Plan:
    """DDIM (Song et al. 2020, eqs. 12 and 16); eta 0 is deterministic, eta 1 is DDPM's noise.

    Raises: ValueError for an impossible number of steps or spacing, or eta outside [0, 1].
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta = {eta}: expected 0 (deterministic) to 1 (as noisy as DDPM); choose in between.")
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    noise = eta * s2 / s * np.sqrt(np.maximum(1 - a**2 / a2**2, 0))
    direction = np.sqrt(np.maximum(s2**2 - noise**2, 0))
    return _plan(schedule, times, x=direction / s, x0=a2 - a * direction / s, z=noise)


def ddpm(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """DDPM's posterior on the respaced times (Ho et al. 2020, eq. 7; Nichol and Dhariwal 2021)."""
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    ratio = (a / a2) ** 2  # alpha of the respaced chain
    beta = 1 - ratio
    return _plan(
        schedule, times,
        x=np.sqrt(ratio) * s2**2 / s**2, x0=a2 * beta / s**2, z=np.sqrt(beta) * s2 / s,
    )  # fmt: skip


def dpmpp_2m(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), with first and last step of order 1."""
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    with np.errstate(divide="ignore"):
        log_snr = np.log(a / s)
        h = np.log(a2) - np.log(s2) - log_snr  # the last one is infinite: x becomes x0
    c = a2 * (1 - np.exp(-h))
    second = np.zeros(steps)
    second[1:-1] = c[1:-1] * h[1:-1] / (2 * h[:-2]) if steps > 2 else 0.0  # c / (2 r), r = h_prev / h
    return _plan(schedule, times, x=s2 / s, x0=c + second, x0_prev=-second)


def initial_noise(keys: Key[Array, " b"], shape: tuple[int, ...]) -> Float[Array, "b ..."]:
    """The latents that sampling starts from: one standard normal a key."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 0), shape))(keys)


@partial(jax.jit, static_argnames=("structure", "predict", "shape"))
def sample(
    structure: Structure,
    params: Params,
    plan: Plan,
    context: Float[Array, "b m d"],
    null: Float[Array, "b m d"],
    scale: Float[Array, ""],
    keys: Key[Array, " b"],
    *,
    predict: Predict,
    shape: tuple[int, int, int],
) -> Float[Array, "b h w c"]:
    """Latents of b pictures, one key each. Compiles once a network and batch shape.

    Noise at step i is drawn from the image's key with i + 1 folded in: image k is the same in any batch.
    """
    denoise = guided(denoiser(merge(structure, params), predict), null, scale)
    x = initial_noise(keys, shape)

    def step(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        x, previous = carry
        row = jax.tree.map(lambda column: column[i] if column.ndim else column, plan)
        t = jnp.full(x.shape[:1], row.t, jnp.float32)
        x0 = denoise(x, t, row.alpha, row.sigma, context)
        z = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, i + 1), shape))(keys)
        return row.x * x + row.x0 * x0 + row.x0_prev * previous + row.z * z, x0

    return lax.fori_loop(0, plan.n, step, (x, jnp.zeros_like(x)))[0]
