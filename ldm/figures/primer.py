"""How latent diffusion works, in three figures that the package computes: noise, a picture coming about, and guidance.

The third is a world of two dimensions in which a denoiser needs no training (`ldm.diffusion.mixture`). Guidance and
sampler are the book's own. JAX is loaded by the figures that compute something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8

from ldm.diffusion.plan import Plan
from ldm.diffusion.schedule import Schedule
from ldm.diffusion.solvers import ddim
from ldm.figures.charts import ABOVE, INK
from ldm.figures.scrubber import film

if TYPE_CHECKING:
    from ldm.tasks.generate import Generator

SCALES = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
POINTS = 300
LOOK = (0.1, 0.9), 500  # where and when the arrows of guidance are drawn


def noise_levels(schedule: Schedule, times: Sequence[int]) -> alt.VConcatChart:
    """Plot signal and noise against time, and their ratio; the times at which `noised` shows a picture are marked."""
    t = np.arange(0, schedule.length, 9)
    alpha, sigma = schedule.alpha[t], schedule.sigma[t]
    curves = pd.concat(
        [
            pd.DataFrame({"t": t, "value": column, "of": name})
            for name, column in (("signal α", alpha), ("noise σ", sigma))
        ]
    )
    x = alt.X("t:Q", title="training time t", scale=alt.Scale(domain=[0, schedule.length], nice=False))
    marked = alt.Chart(pd.DataFrame({"t": list(times)})).mark_rule(strokeDash=[2, 3], color=INK).encode(x=x)
    shade = alt.Color("of:N", title=None, sort=None, scale=alt.Scale(scheme="category10"))
    upper = (
        alt.Chart(curves)
        .mark_line()
        .encode(
            x=x,
            y=alt.Y("value:Q", title="amplitude"),
            color=shade,
            tooltip=[alt.Tooltip("t:Q"), alt.Tooltip("of:N"), alt.Tooltip("value:Q", format=".3f")],
        )
    )
    few = alt.Axis(format="~g", tickCount=4)
    ratio = pd.DataFrame({"t": t, "snr": alpha**2 / sigma**2})
    lower = (
        alt.Chart(ratio)
        .mark_line()
        .encode(
            x=x,
            y=alt.Y("snr:Q", title="signal-to-noise ratio", scale=alt.Scale(type="log"), axis=few),
            tooltip=[alt.Tooltip("t:Q"), alt.Tooltip("snr:Q", format=".3~g")],
        )
    )
    return alt.vconcat(
        (upper + marked).properties(width=540, height=170),
        (lower + marked).properties(width=540, height=130),
        spacing=8,
    ).properties(description="signal and noise, and the ratio of their powers, against the training time")


def noised(
    generator: Generator, images: UInt8[np.ndarray, "n H W 3"], schedule: Schedule, times: Sequence[int]
) -> UInt8[np.ndarray, "n k H W 3"]:
    """Show what is left of pictures at each time: their latents, noised and decoded.

    The noise of a picture stays the same.
    """
    from ldm.diffusion.sampler import image_keys, initial_noise

    latents = generator.codec.encode(images)
    noise = np.asarray(initial_noise(image_keys(0, np.arange(len(images))), latents.shape[1:]))
    at = np.stack([schedule.alpha[t] * latents + schedule.sigma[t] * noise for t in times], 1)
    return decoded(generator, at)


def decoded(generator: Generator, latents: Float[np.ndarray, "n k h w z"]) -> UInt8[np.ndarray, "n k H W 3"]:
    """Decode the k stages of n pictures, all at once: the decoder's batches are full."""
    images = generator.codec.decode(latents.reshape(-1, *latents.shape[2:]))
    return images.reshape(*latents.shape[:2], *images.shape[1:])


def guesses(
    generator: Generator, captions: Sequence[str], plan: Plan, guidance: float
) -> Float[np.ndarray, "n k h w z"]:
    """Show the denoiser's estimate of x0 at each of the plan's k rows.

    One compiled sampler gives them all: a plan that ends at row k, and there goes to the estimate itself.
    """
    context, found = generator.text.encode(list(captions)), []
    for k in range(int(plan.n)):
        there = np.arange(len(plan.t)) == k
        others = {name: np.where(there, 0, getattr(plan, name)) for name in ("x", "x0_prev", "x0_prev2", "z")}
        stopped = replace(plan, n=np.int32(k + 1), x0=np.where(there, 1, plan.x0), **others)
        found.append(np.concatenate(list(generator.latents(context, stopped, guidance))))
    return np.stack(found, 1)


def trajectory(generator: Generator, captions: Sequence[str], steps: int, guidance: float) -> alt.LayerChart:
    """Show DDIM step by step: drag to see the noisy picture, and the one that the denoiser sees in it."""
    from ldm.diffusion.sampler import image_keys, initial_noise

    plan = ddim(Schedule.sd(), steps, spacing=generator.profile.spacing)
    x0 = guesses(generator, captions, plan, guidance)
    x = [np.asarray(initial_noise(image_keys(0, np.arange(len(captions))), x0.shape[2:]))]
    for k in range(steps - 1):
        x.append(float(plan.x[k]) * x[-1] + float(plan.x0[k]) * x0[:, k])
    return film(
        {
            "the noisy picture x": decoded(generator, np.stack(x, 1)),
            "the denoiser's guess x0": decoded(generator, x0),
        },
        [(caption,) for caption in captions],
        drag="step",
        start=steps // 2,
        param="step_shown",
        description=(
            f"{steps} steps of DDIM, one after the other: the noisy picture, and the clean one that is seen in it"
        ),
    )


def guidance_in_two_dimensions(steps: int = 50) -> alt.LayerChart:
    """Plot where guidance leads, scale by scale, in a world where the denoiser is exact.

    The vector sum at one point is drawn, too.
    """
    import jax

    from ldm.diffusion.denoiser import denoiser, guided
    from ldm.diffusion.mixture import MEANS, SPREAD, Mixture
    from ldm.diffusion.sampler import image_keys, sample
    from ldm.networks.structure import split

    schedule = Schedule.sd()
    structure, params = split(Mixture(schedule))
    keys, plan = image_keys(0, np.arange(POINTS)), ddim(schedule, steps)
    words, none = np.ones((POINTS, 1, 1), np.float32), np.zeros((POINTS, 1, 1), np.float32)
    ends = {
        s: np.asarray(sample(structure, params, plan, words, none, s, keys, predict="x0", shape=(1, 1, 2)))[:, 0, 0]
        for s in SCALES
    }
    where, t = LOOK
    x, at = jax.device_put((np.array(where, np.float32)[None, None, None], np.full(1, t)))
    answer = lambda net, context: np.asarray(net(x, at, 0.0, 1.0, jax.device_put(context)))[0, 0, 0]
    net = jax.jit(denoiser(Mixture(schedule)))  # one program in place of one for each operation
    plain, captioned = (answer(net, context) for context in (none[:1], words[:1]))
    pushed = {s: answer(guided(net, none[:1], s), words[:1]) for s in SCALES}
    names = {"without the caption": lambda s: plain, "with it": lambda s: captioned, "guided": lambda s: pushed[s]}
    arrows = pd.DataFrame(
        [
            {"scale": s, "arrow": name, "x": where[0], "y": where[1], "x2": float(of(s)[0]), "y2": float(of(s)[1])}
            for s in SCALES
            for name, of in names.items()
        ]
    )
    points = pd.DataFrame([{"scale": s, "x": float(p[0]), "y": float(p[1])} for s, end in ends.items() for p in end])
    data = np.random.default_rng(0).normal(np.repeat(MEANS, 100, 0), SPREAD)
    real = pd.DataFrame({"x": data[:, 0], "y": data[:, 1]})

    chosen = alt.param(
        name="scale_shown", value=SCALES[2], bind=alt.binding_radio(options=list(SCALES), name="guidance scale ")
    )
    axis = lambda name, lo, hi: dict(
        title=f"{name} coordinate", scale=alt.Scale(domain=[lo, hi], nice=False, clamp=True), axis=alt.Axis(tickCount=5)
    )
    h, v = alt.X("x:Q", **axis("first", -3, 4.5)), alt.Y("y:Q", **axis("second", -3, 3))
    shade = alt.Color("arrow:N", title=None, sort=list(names), scale=alt.Scale(scheme="category10"))
    crowd = alt.Chart(real).mark_point(size=12, color=INK, opacity=0.35).encode(x=h, y=v)
    here = "datum.scale == scale_shown"
    drawn = alt.Chart(points).transform_filter(here).mark_point(size=14, color="#d1495b", opacity=0.6).encode(x=h, y=v)
    base = alt.Chart(arrows).transform_filter(here).encode(color=shade)
    shafts = base.mark_rule(strokeWidth=2.5).encode(x=h, y=v, x2="x2:Q", y2="y2:Q")
    tips = base.mark_point(size=80, shape="diamond", opacity=1).encode(
        x=alt.X("x2:Q"), y=alt.Y("y2:Q"), tooltip=["arrow:N"]
    )
    return (
        alt.layer(crowd, drawn, shafts, tips)
        .add_params(chosen)
        .properties(
            width="container",
            height=360,
            description="points that guided sampling ends at, over the data, and the guided estimate as a vector sum",
        )
    )


def drawn_points(
    sets: Mapping[str, tuple[Float[Any, "n 1 1 2"], Int[np.ndarray, " n"]]], names: Sequence[str]
) -> alt.FacetChart:
    """Plot points of the plane, a panel a set, in the colours of their kinds (`notebooks/a5_first_hour.py`).

    Args:
        sets: what a panel says above it -> points, and the number of each one's kind in `names`.
    """
    shown = [
        pd.DataFrame(np.reshape(points, (-1, 2)), columns=["x", "y"]).assign(kind=np.take(names, kinds), points=what)
        for what, (points, kinds) in sets.items()
    ]
    axis = {"scale": alt.Scale(domain=[-2, 2], clamp=True)}
    return (
        alt.Chart(pd.concat(shown))
        .mark_circle(size=12, opacity=0.8)
        .encode(
            alt.X("x:Q", title="first coordinate", **axis),
            alt.Y("y:Q", title="second coordinate", **axis),
            color=alt.Color("kind:N", title=None, scale=alt.Scale(domain=list(names))),
            row=alt.Row("points:N", title=None, sort=list(sets), header=ABOVE),
            tooltip=[alt.Tooltip("kind:N")],
        )
        .properties(width=270, height=270, description=f"points of {len(names)} kinds: {', '.join(sets)}")
    )
