"""Several trainings of one network side by side: their states are stacked, and a step is a `vmap` over them.

A step of a small network leaves a large accelerator idle, since its many operations are too short: six networks take
about as long as one. Each meets the batches, times and noise that it would meet alone (`ldm.training.loop.fit`), so
its weights end where they would have ended, but for rounding. A *lap* of steps is one program, so that the host is
asked once a lap; there are no checkpoints, since such trainings take minutes.

The state is one vector a training, in which all parameters lie end to end (`ldm.training.flat`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from ldm.diffusion.losses import DeviceBatch
from ldm.networks.structure import Params
from ldm.training.config import TrainConfig
from ldm.training.flat import Flat
from ldm.training.gradients import half
from ldm.training.guards import WATCHED, Diverged, not_finite
from ldm.training.loop import Loss, TrainState, advance, new_state
from ldm.training.meter import Meter

LAP = 50  # steps that the host waits for at most
Gather = Callable[[Any, Int[Array, "k b"]], DeviceBatch]  # (what lies on the device, rows) -> batches of k trainings


def lap_of(loss: Loss, config: TrainConfig, gather: Gather, flat: Flat) -> jax.stages.Wrapped:
    """Return a jitted lap (states, source, rows, more, seeds, count) -> (states, logs), the states donated.

    rows: int32 (LAP, k, b), what of the source the batches of k trainings are made of, of which `count` steps are done.
    more: values (k, ...) that each training's batches hold besides. logs: float32 (LAP, k) each, `count` of them set.
    flat: how the parameters lie in the states.
    """

    def seen(vector: Array) -> Params:
        return half(flat.split(vector)) if config.bf16 else flat.split(vector)

    def one(state: TrainState, batch: DeviceBatch, seed: Array) -> tuple[TrainState, dict[str, Array]]:
        return advance(loss, config, state, batch, jax.random.fold_in(jax.random.key(seed), state.step), seen=seen)

    def lap(
        states: TrainState, source: Any, rows: Array, more: DeviceBatch, seeds: Array, count: Array
    ) -> tuple[Any, ...]:
        def step(i: Array, carried: tuple[Any, ...]) -> tuple[Any, ...]:
            states, logs = carried
            states, step_logs = jax.vmap(one)(states, {**gather(source, rows[i]), **more}, seeds)
            return states, {name: logs[name].at[i].set(step_logs[name]) for name in WATCHED}

        return lax.fori_loop(0, count, step, (states, {name: jnp.zeros(rows.shape[:2]) for name in WATCHED}))

    return jax.jit(lap, donate_argnums=0)


def begin(config: TrainConfig, params: Sequence[Params], flat: Flat) -> TrainState:
    """Return the states at step 0 of trainings from these parameters, end to end and stacked, on the first device."""
    stacked = np.stack([flat.join(one) for one in params])
    return jax.jit(jax.vmap(partial(new_state, config=config)))(jax.device_put(stacked))


def fit_together(
    lap: Callable[..., tuple[TrainState, dict[str, Array]]],
    states: TrainState,
    source: Any,
    rows: Callable[[int, int], Int[np.ndarray, " b"]],
    config: TrainConfig,
    seeds: Sequence[int],
    flat: Flat,
    *,
    names: Sequence[str],
    more: Mapping[str, np.ndarray] | None = None,
    lengths: Sequence[int] = (),
    on_length: Callable[[int, int, Params], None] = lambda images, which, average: None,
    on_log: Callable[[dict[str, Any]], None] = lambda record: None,
    gflops: float = 0.0,
) -> TrainState:
    """Train all to `config.images`; the states are donated.

    Args:
        lap: as `lap_of` makes it, or compiled for these shapes. rows: (seed, step) -> what the batch is made of.
        seeds, names: of each training. flat, more: as `lap_of`'s.
        lengths: at these numbers of images seen `on_length(images, which training, its averaged weights)` is called.
        on_log: gets a dict a lap: images_seen, loss (k,), and what `Meter.lap` says of the speed of all together.

    Raises: Diverged when a loss or a gradient is not finite, naming the training and the step.
    """
    at = {-(-images // config.batch): images for images in lengths}
    stops = sorted({0, *at, config.steps})
    laps = [
        (first, min(first + LAP, stop))
        for start, stop in zip(stops, stops[1:], strict=False)
        for first in range(start, stop, LAP)
    ]
    meter = Meter(len(seeds) * config.batch, gflops, 0, jax.local_devices()[:1])

    def taken(first: int, last: int) -> Int[Array, "lap k b"]:
        found = [np.stack([rows(seed, step) for seed in seeds]) for step in range(first, last)]
        return jax.device_put(np.stack(found + found[-1:] * (LAP - len(found))).astype(np.int32))  # of one shape

    fixed = jax.device_put((dict(more or {}), np.asarray(seeds, np.uint32)))
    wanted = taken(*laps[0])
    for (first, last), later in zip(laps, [*laps[1:], None], strict=True):
        states, logs = lap(states, source, wanted, *fixed, np.int32(last - first))
        with meter.making():  # while the device works
            wanted = taken(*later) if later else None
        watched = {name: values[: last - first] for name, values in jax.device_get(logs).items()}
        check(watched, first, names)
        on_log({"images_seen": last * config.batch, "loss": watched["loss"][-1], **meter.lap(last)})
        if last in at:
            for which, average in enumerate(jax.device_get(states.ema)):
                on_length(at[last], which, flat.split(average))
    return states


def check(watched: Mapping[str, Float[np.ndarray, "steps k"]], first: int, names: Sequence[str]) -> None:
    """Raise Diverged, naming the first step and training whose loss or gradient is not finite."""
    if bad := not_finite(watched):
        (step, which), clause = bad
        raise Diverged(f"{names[which]}: {clause} at step {first + step + 1}; lower the learning rate and start again.")
