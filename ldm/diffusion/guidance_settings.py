"""How a picture is guided, as numbers: by how much, at which noise levels, and by which rule.

`ldm.diffusion.guidance` does what they say. They need no JAX, so what only counts passes does not load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ldm.diffusion.plan import Plan

if TYPE_CHECKING:
    from jaxtyping import Array  # which loads JAX

    from ldm.networks.layers import AnyArray


class Projection(NamedTuple):
    """Adaptive projected guidance (Sadat et al. 2024, algorithm 1), with the paper's usual values."""

    parallel: float = 0.0  # eta: share of the push along the estimate itself, which over-saturates; 1: all of it
    norm: float = 15.0  # r: each image's push is no longer than this; it grows with the root of the latents' size
    momentum: float = -0.5  # beta: the share of the pushes so far that is added; below 0 it slows them down


class Guidance(NamedTuple):
    """How an estimate with the caption is pushed away from a weaker one, without it or of a weaker network."""

    scale: Float[AnyArray, ...] | float = 1.0  # x0_weak + scale (x0_text - x0_weak); 1: no guidance
    rescale: Float[Array, ""] | float = 0.0  # phi of `combine`, 0 to 1
    interval: tuple[float, float] | None = None  # noise levels sigma / alpha with guidance; others ask once
    projection: Projection | None = None
    renoise: float = 0.0  # 1: CFG++, the noise in x is the weak estimate's, and the scale is from 0 to 1; 0: the guided


def as_guidance(guidance: Guidance | Float[AnyArray, ...] | float) -> Guidance:
    """Return a guidance; a number is its scale. Raises: ValueError, one sentence, for settings that are impossible."""
    if not isinstance(guidance, Guidance):
        guidance = Guidance(guidance)
    check_guidance(guidance.scale)
    if not 0 <= guidance.rescale <= 1:
        raise ValueError(
            f"rescale = {guidance.rescale}: expected 0 (guidance as it is) to 1 (fully rescaled); choose in between."
        )
    if not 0 <= guidance.renoise <= 1:
        raise ValueError(
            f"renoise = {guidance.renoise}: expected 0 (the guided estimate's noise) to 1 (CFG++); choose in between."
        )
    if guidance.interval is not None and not 0 <= guidance.interval[0] <= guidance.interval[1]:
        raise ValueError(
            f"interval = {guidance.interval}: expected two noise levels sigma / alpha, the lower one first and not "
            "below 0; choose for instance (0.3, 5.0)."
        )
    if guidance.projection is not None and not (
        guidance.projection.norm > 0 and np.all(np.isfinite(guidance.projection[::2]))
    ):
        raise ValueError(f"projection = {guidance.projection}: expected a norm above 0 and finite numbers beside it.")
    return guidance


def check_guidance(guidance: Float[AnyArray, ...] | float) -> None:
    """Raise ValueError, one sentence, for a guidance that is no finite float32."""
    if not np.all(np.abs(np.asarray(guidance, np.float64)) <= np.finfo(np.float32).max):  # nor is it for nan
        raise ValueError(f"guidance = {guidance}: expected a finite number; choose 1 (no guidance) to about 30.")


def inside(plan: Plan, guidance: Guidance) -> Bool[np.ndarray, " s"]:
    """Return which rows of a plan are guided: those whose noise level lies in the interval.

    The interval is that of Kynkaanniemi et al. (2024).
    """
    if guidance.interval is None:
        return np.ones(len(plan.alpha), bool)
    low, high = guidance.interval
    with np.errstate(divide="ignore"):
        noise = np.asarray(plan.sigma) / np.asarray(plan.alpha)
    return (low <= noise) & (noise <= high)
