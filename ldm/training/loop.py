"""The training loop of one network: state, step, fit. Tasks bring a loss and batches that are functions of the step.

Several small networks side by side have a loop of their own, which takes the same step (`advance`) of each and keeps no
checkpoints (`ldm.training.together`).

Training is horizon-free, after Karras et al. 2024 (EDM2): the learning rate falls as 1 / sqrt(t) after
`decay_images`, and the average of the weights is taken with a power of time, so that it spans the same
share of the run whenever one looks. One run therefore gives a finished model at *every* length, and can
be continued: which is what a study of quality against training compute needs.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array
from tqdm import tqdm

from ldm.diffusion.losses import Batch, DeviceBatch
from ldm.files import hold
from ldm.networks.structure import Params
from ldm.training.checkpoint import TrainCheckpoints
from ldm.training.config import TrainConfig
from ldm.training.flat import Flat
from ldm.training.gradients import gradient, half
from ldm.training.guards import Preempted, StopSignal, Watch
from ldm.training.hurried import as_it_is, hurried
from ldm.training.meter import Meter
from ldm.training.parallel import Layout, agreed, host

SAVE_SECONDS = 120  # between two checkpoints

Loss = Callable[..., tuple[Array, dict[str, Array]]]  # (params, batch, key[, teacher, averaged]) -> loss, terms


def rate(config: TrainConfig, step: ArrayLike) -> Array:
    """Return the learning rate at an optimiser step (EDM2, eq. 67, with linear warm-up)."""
    images = (jnp.asarray(step, jnp.float32) + 1) * config.batch
    warmup = jnp.minimum(images / config.warmup_images, 1.0)
    decay = jnp.sqrt(config.decay_images / jnp.maximum(images, float(config.decay_images)))
    return config.learning_rate * jnp.minimum(warmup, decay)


def optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Return Adam at this rate, of gradients whose norm is limited."""
    return optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(partial(rate, config), b1=0.9, b2=0.99))


class TrainState(NamedTuple):
    """The state of a run. Parameters and averages lie by name, or end to end (`ldm.training.flat`)."""

    step: Array  # int32, steps done
    params: Any
    ema: Any  # the weights that are evaluated and shipped
    opt: optax.OptState
    averages: tuple[Any, ...] = ()  # of `TrainConfig.averages`

    def stored(self) -> dict[str, Any]:
        """Return what a checkpoint holds; of a run without more averages, as ever."""
        return {name: value for name, value in self._asdict().items() if name != "averages" or value}


def new_state(params: Any, config: TrainConfig) -> TrainState:
    """Return the state at step 0, which shares no memory with `params`."""
    copies = (jax.tree.map(jnp.copy, params) for _ in range(2 + len(config.averages)))
    ours, ema, *more = copies  # the step donates them; the caller keeps its own
    return TrainState(jnp.zeros((), jnp.int32), ours, ema, optimizer(config).init(ours), tuple(more))


def init_state(params: Any, config: TrainConfig, layout: Layout | None = None) -> TrainState:
    """Return the state at step 0, on the layout's devices if there is one."""

    if layout:
        return layout.make(partial(new_state, config=config), params)
    with host():
        state = new_state(params, config)
    return jax.device_put(state, jax.local_devices()[0])


def advance(
    loss: Loss,
    config: TrainConfig,
    state: TrainState,
    batch: DeviceBatch,
    key: Array,
    others: tuple[Any, ...] = (),
    *,
    seen: Callable[[Any], Params] = lambda params: params,
    constrain: Callable[[Any], Any] = lambda tree: tree,
) -> tuple[TrainState, dict[str, Array]]:
    """Return the state after one more step, and what there is to log of it.

    Args:
        others: what the loss is asked with besides. seen: how it sees parameters (`gradients.gradient`).
        constrain: says how the gradient is to lie on devices.
    """
    (value, terms), grads = gradient(loss, state.params, batch, key, others, seen=seen, micro_batches=config.accumulate)
    grads = constrain(grads)
    updates, opt = optimizer(config).update(grads, state.opt, state.params)
    params = optax.apply_updates(state.params, updates)

    def averaged(average: Any, gamma: float) -> Any:
        beta = (1 - 1 / (state.step.astype(jnp.float32) + 1)) ** (gamma + 1.0)  # EDM2, eq. 121
        return jax.tree.map(lambda e, p: beta * e + (1 - beta) * p, average, params)

    ema = averaged(state.ema, config.ema)
    more = tuple(averaged(*pair) for pair in zip(state.averages, config.averages, strict=True))
    logs = {"loss": value, "grad_norm": optax.tree.norm(grads), **terms}
    return TrainState(state.step + 1, params, ema, opt, more), logs


@lru_cache(maxsize=1)  # many short trainings of one loss compile once
def make_train_step(
    loss: Loss, config: TrainConfig, layout: Layout | None = None, flat: Flat | None = None
) -> jax.stages.Wrapped:
    """Return one step (state, batch[, teacher]), jitted, its state donated; the key of step k is fold_in(key(seed), k).

    With a teacher, the loss is asked with its weights and with the averaged ones, which are then the target network.
    With a layout, state and batch lie as it says (`Layout.make`, `Layout.place`); so do the gradient and the new state.
    With `flat`, the state holds its parameters end to end; a teacher's have their names.
    """
    constrain = layout.constrain if layout else lambda tree: tree

    def seen(params: Any) -> Params:
        named = params if flat is None or isinstance(params, dict) else flat.split(params)
        rounded = half(named) if config.bf16 else named
        return layout.gather(rounded) if layout else rounded

    def train_step(
        state: TrainState, batch: DeviceBatch, teacher: Params | None = None
    ) -> tuple[TrainState, dict[str, Any]]:
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        others = () if teacher is None else (teacher, state.ema)
        return constrain(advance(loss, config, state, batch, key, others, seen=seen, constrain=constrain))

    return jax.jit(train_step, donate_argnums=0)


def fit(
    loss: Loss,
    params: Params,
    batches: Callable[[int], Batch],
    config: TrainConfig,
    *,
    teacher: Params | None = None,
    layout: Layout | None = None,
    folder: Path | str | None = None,
    lengths: Sequence[int] = (),
    on_length: Callable[[int, Params], None] = lambda images, ema: None,
    snapshots: Sequence[int] = (),
    on_snapshot: Callable[[int, dict[float, Params]], None] = lambda images, averages: None,
    on_log: Callable[[dict[str, Any]], None] = lambda record: None,
    log_steps: int = 20,
    gflops: float = 0.0,
    title: str = "training",
) -> TrainState:
    """Train from where the checkpoints in `folder` end (or from the start) to `config.images`.

    The batch and the key of a step are functions of its number, so the state, which counts it, is all that a checkpoint
    has to hold; it may have been written on another number of devices.

    Args:
        batches: step -> batch, a pure function, so that a resumed run is the undisturbed one. In a run of several
            processes each makes its own rows of it (`Layout.rows`).
        teacher: frozen weights that the loss asks besides, such as those that a distillation learns from
            (`make_train_step`).
        layout: the devices to train on (`ldm.training.parallel`); without it, the first one.
        lengths: at these numbers of images seen `on_length(images, averaged weights)` is called, in the first process.
        snapshots: at these, `on_snapshot(images, gamma -> averaged weights)`, of all averages that the run keeps.
        on_log: gets a dict every `log_steps` steps (looking makes the host wait for the device), in every process:
            images_seen, loss and its terms, grad_norm, and what `Meter.lap` says of the speed.
        gflops: of training on one image (`cost.PASSES`), for the arithmetic's speed.

    Interrupted (Ctrl-C), it saves before it leaves; so it does at SIGTERM, and raises `Preempted`, which ends the
    process with status 143: the same command goes on. Raises `Diverged` when a loss or a gradient is not finite: the
    checkpoints then end before that step; so they do when `on_log` raises it. Raises RuntimeError when another process
    trains in `folder`.
    """
    first = layout is None or jax.process_index() == 0
    lock = hold(f"{folder}.lock", wait=False) if folder and first else contextlib.nullcontext()
    with lock, StopSignal() as stop:
        flat = None if layout else Flat.of(params)  # one vector is faster; shards need the parameters' own shapes
        state = init_state(flat.join(params) if flat else params, config, layout)
        by_name = flat.split_all if flat else lambda tree: tree
        to_host = layout.to_host if layout else by_name
        checkpoints = TrainCheckpoints(folder) if folder else None
        begun = checkpoints.latest_step is not None if checkpoints else False
        if checkpoints and begun and (found := checkpoints.restore(by_name(state).stored())):
            state = TrainState(**found[1])
            state = jax.device_put(flat.join_all(state), jax.local_devices()[0]) if flat else state
        start = saved_step = int(state.step)
        train_step = make_train_step(loss, config, layout, flat)
        take_step = as_it_is(train_step) if layout else hurried(train_step, config.steps)
        if teacher is not None:  # once, not at every step
            teacher = layout.make(lambda tree: tree, teacher) if layout else jax.device_put(teacher)
        length_steps, snapshot_steps = (
            {-(-images // config.batch): images for images in wanted} for wanted in (lengths, snapshots)
        )
        wanted_steps = {config.steps, *length_steps, *snapshot_steps}

        bar = tqdm(
            total=config.images,
            initial=start * config.batch,
            desc=title,
            unit="img",
            unit_scale=True,
            mininterval=1,
            disable=not first,
        )
        log = (lambda line: bar.write(line, file=sys.stderr)) if first else (lambda line: None)
        watch = Watch(batches, start, title, log)
        meter = Meter(config.batch, gflops, start, layout.devices if layout else jax.local_devices()[:1])
        saved = time.monotonic()
        try:
            for step in range(start, config.steps):
                with meter.making():
                    batch = batches(step)
                    batch = layout.place(batch, config.batch) if layout else batch
                state, logs = take_step(step, state, batch, teacher)
                done = step + 1
                bar.update(config.batch)
                watch.add(done, logs)
                leave = stop.due(done)
                if not (done % log_steps == 0 or done in wanted_steps or leave):
                    continue
                kept = f"The last good checkpoint is of step {saved_step}" if saved_step else "There is no checkpoint"
                record = watch.look(f"{kept}: lower learning_rate ({config.learning_rate}) and start again.")
                speed = meter.lap(done)
                bar.set_postfix({"loss": f"{record['loss']:.4f}", **Meter.short(speed)}, refresh=False)
                on_log({"images_seen": done * config.batch, **speed, **record})
                if done in length_steps:  # before the checkpoint: a kill in between repeats it, and does not skip it
                    ema = to_host(state.ema)
                    if first:
                        on_length(length_steps[done], ema)
                if done in snapshot_steps:
                    averages = dict(zip((config.ema, *config.averages), (state.ema, *state.averages), strict=True))
                    averages = to_host(averages)
                    if first:
                        on_snapshot(snapshot_steps[done], averages)
                due = agreed(time.monotonic() - saved > SAVE_SECONDS) or done == config.steps or leave
                if checkpoints and due:
                    checkpoints.save(done, by_name(state).stored())
                    saved, saved_step = time.monotonic(), done
                if leave and done < config.steps:
                    log(
                        f"{title}: stopped by SIGTERM after step {done}; run the same command again to go on from step"
                        f" {saved_step}."
                    )
                    raise Preempted
        except KeyboardInterrupt:
            if checkpoints and jax.process_count() == 1 and int(state.step) > saved_step and watch.finite():
                checkpoints.save(int(state.step), by_name(state).stored())
            raise
        finally:
            bar.close()
            if checkpoints:
                checkpoints.wait()
        return jax.device_put(by_name(state), jax.local_devices()[0]) if flat else state
