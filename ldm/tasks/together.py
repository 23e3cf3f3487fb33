"""Pretraining of one width by several seeds and in several settings at once (`ldm.training.together`).

What differs between settings is what the network predicts, which a loss can be asked in every step; so both settings
of a family are one program. Programs take an accelerator's compiler most of a minute: the next one is compiled in the
background while the one before trains (`begun`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ldm import paths
from ldm.data.batches import batch_indices
from ldm.data.latents import DeviceSet, gather
from ldm.diffusion.losses import diffusion_loss
from ldm.diffusion.schedule import Predict
from ldm.networks import sizes
from ldm.networks.cost import PASSES
from ldm.networks.initial import KeySource
from ldm.networks.layers import gather_taps
from ldm.networks.structure import Params, Structure, abstract
from ldm.profile import Profile
from ldm.tasks import memory, models, register
from ldm.tasks.pretrain import build_network, network
from ldm.training import together
from ldm.training.config import TrainConfig
from ldm.training.flat import Flat
from ldm.training.loop import new_state

COMPILERS = ThreadPoolExecutor(2, "compile")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One of several trainings."""

    profile: Profile
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Trainings of width c that share all but seed and setting, on the same pictures."""

    c: int
    runs: tuple[Run, ...]
    config: TrainConfig
    data: DeviceSet
    null: Float[np.ndarray, "m d"]

    @property
    def predicts(self) -> tuple[Predict, ...]:
        """What the networks of the settings predict, each once."""
        return tuple(dict.fromkeys(run.profile.predict for run in self.runs))

    @property
    def more(self) -> dict[str, np.ndarray]:
        """The place of each training's prediction among them."""
        return {"predicts": np.array([self.predicts.index(run.profile.predict) for run in self.runs], np.int32)}


def pending(
    profiles: Sequence[Profile],
    c: int,
    seeds: Sequence[int],
    *,
    data: DeviceSet,
    images: int = 0,
    made: Callable[[Profile, int, int, int], Any] = register.is_known,
) -> Task | None:
    """Return the trainings whose last model is not there yet, None if there is none left.

    Args:
        data: the profiles' scenes (`pretrain.on_device`). images: the length, their own unless given.
        made: (profile, c, images, seed) -> whether it is there.
    Raises: ValueError where the profiles differ in more than their setting, or what is left does not fit the device.
    """
    alike = {replace(one, name="", setting="", predict="v", spacing="trailing") for one in profiles}
    if len(alike) != 1:
        names = ", ".join(one.name for one in profiles)
        raise ValueError(f"profiles = {names}: expected one, or several that differ in their setting alone.")
    config = replace(profiles[0].training(c), images=images or profiles[0].train.images)
    runs = tuple(
        Run(profile=profile, seed=seed)
        for seed in seeds
        for profile in profiles
        if not made(profile, c, config.images, seed)
    )
    if not runs:
        return None
    if limit := (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit"):
        held, kept = (len(runs) * size for size in bytes_of(runs[0].profile, c, len(runs) > 1))
        config = replace(config, accumulate=memory.micro_batches(held, kept, config.batch, limit))
    return Task(c=c, runs=runs, config=config, data=data, null=data.text.null(1)[0])


@cache  # reckoning takes seconds
def bytes_of(profile: Profile, c: int, several: bool) -> tuple[int, int]:
    """Return what each training asks: bytes held whatever its batch is, and those kept of a batch (`memory`).

    several: whether it is one of some, whose gathered taps are kept, too.
    """
    config, shape = profile.training(c), jax.ShapeDtypeStruct
    structure, params = _shapes(profile, c, several)
    context = (profile.tokens, profile.context)
    loss = diffusion_loss(structure, profile.schedule, profile.predict, null=np.zeros(context, np.float32))
    batch = {
        "latents": shape((config.batch, *profile.latent_shape), jnp.float32),
        "context": shape((config.batch, *context), jnp.float32),
    }
    return memory.state_bytes(params, config), memory.kept_bytes(loss, params, config, batch)


def _shapes(profile: Profile, c: int, several: bool) -> tuple[Structure, dict[str, jax.ShapeDtypeStruct]]:
    def build(keys: KeySource) -> Any:
        net = build_network(profile, c, keys)
        return gather_taps(net) if several else net

    return abstract(build)


def compiled(task: Task) -> Callable[..., Any]:
    """Compile the lap of these trainings (`together.lap_of`)."""
    profile, count = task.runs[0].profile, len(task.runs)

    structure, params = _shapes(profile, task.c, count > 1)
    flat = Flat.of(params)
    loss = diffusion_loss(
        structure, profile.schedule, task.predicts, null=task.null, drop=profile.dropped, times=profile.times
    )
    lap = together.lap_of(loss, task.config, partial(gather, task.data.text.structure), flat)
    shape = jax.ShapeDtypeStruct
    length = sum(p.size for p in params.values())
    states = jax.eval_shape(jax.vmap(partial(new_state, config=task.config)), shape((count, length), jnp.float32))
    rows = shape((together.LAP, count, task.config.batch), jnp.int32)
    more = jax.tree.map(lambda x: shape(x.shape, x.dtype), task.more)
    return lap.lower(states, task.data.source, rows, more, shape((count,), jnp.uint32), shape((), jnp.int32)).compile()


def prepared(task: Task) -> tuple[Callable[..., Any], list[Params]]:
    """Return the compiled lap, and each training's initial parameters, which the host draws."""
    first = {run.seed: _initial(task.runs[0].profile, task.c, run.seed) for run in task.runs}
    return compiled(task), [first[run.seed] for run in task.runs]


_BEGUN: dict[tuple[Any, ...], Future[Any]] = {}


def begun(task: Task) -> Future[Any]:
    """Return the preparation of the task (`prepared`), begun in the background the first time, or after it failed."""
    key = (task.c, task.runs, replace(task.config, images=1), task.data.latents.shape)
    if key not in _BEGUN or (_BEGUN[key].done() and _BEGUN[key].exception()):
        _BEGUN[key] = COMPILERS.submit(prepared, task)
    return _BEGUN[key]


def pretrain(
    task: Task,
    *,
    lengths: Sequence[int] | None = None,
    root: Path | None = None,
    on_log: Callable[[dict[str, Any]], None] = lambda record: None,
) -> None:
    """Train them, and keep a model of each at every length, under `root` (runs/); one that is there stays as it is.

    Args:
        lengths: the profiles', unless given, before the end; the end is always one.
    """
    profile, root = task.runs[0].profile, root or paths.RUNS
    lengths = models.lengths_until(task.config.images, profile.lengths if lengths is None else lengths)

    def keep(images: int, which: int, average: Params) -> None:
        run = task.runs[which]
        path = models.model_path(run.profile, task.c, images, run.seed, root)
        if not path.is_file():  # its rows may have been drawn already, before a kill
            models.save(path, average, run.profile, task.c, images, run.seed)

    lap, first = begun(task).result()
    flat = Flat.of(first[0])
    together.fit_together(
        lap,
        together.begin(task.config, first, flat),
        task.data.source,
        lambda seed, step: batch_indices(seed, step, task.config.batch, len(task.data.latents)),
        task.config,
        [run.seed for run in task.runs],
        flat,
        names=[f"{run.profile.name}, c = {task.c}, seed {run.seed}" for run in task.runs],
        more=task.more,
        lengths=lengths,
        on_length=keep,
        on_log=on_log,
        gflops=PASSES * sizes.gflops(profile.network, task.c, profile.latent_shape[0], *task.null.shape),
    )


def _initial(profile: Profile, c: int, seed: int) -> Params:
    return {name: np.asarray(p) for name, p in network(profile, c, seed)[1].items()}
