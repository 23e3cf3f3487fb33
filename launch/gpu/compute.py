"""What the worker does: a command of the queue, after the programs that it runs have been compiled.

Programs take an accelerator's compiler most of a minute each, and a machine has cores that would idle: so those of the
next commands are compiled in the background meanwhile. Those of a grid are compiled by evaluating an untrained model
in two steps.
"""

from __future__ import annotations

import gc
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

import jax
import numpy as np

from ldm import profiles
from ldm.__main__ import call
from ldm.data.batches import CORES
from ldm.networks.structure import abstract
from ldm.study import grids
from ldm.study.denoising import DenoisingEvaluator
from ldm.study.sampling import SamplingEvaluator
from ldm.tasks import pretrain, register, together
from ldm.tasks.generate import Generator
from ldm.tasks.models import Model

DRAWN = 1024  # pictures that a card draws at once, where a CPU draws a few


def do(text: str, programs: Sequence[Sequence], ahead: Sequence[Sequence] = ()) -> None:
    """Do a command as typed after `python -m ldm`, once its programs are there, and begin those that lie ahead."""
    mine = [begun(*program) for program in programs]
    if CORES < 4:  # which the ones ahead would keep from the one that is waited for
        wait(mine)
    for program in ahead:
        begun(*program)
    if text.startswith("together"):
        pretrain.on_device(profiles.get("laptop-eps"))  # which takes a while, too
    wait(mine)  # what is wrong with them, the command will say
    for name in ("laptop-eps", "gpu-eps"):  # whose registers are those of the other settings, too
        register.note_models(profiles.get(name))  # before anything is drawn with them
    gc.collect()  # evaluators refer to themselves, and hold a model on the device
    call(shlex.split(text))


WAITING = ThreadPoolExecutor(max(2, min(4, CORES // 4)))  # beside `together.COMPILERS`, which trainings have
_BEGUN: dict[tuple, Future] = {}


def begun(kind: str, *what: object) -> Future:
    """Return the compilation of a program of `launch.gpu.queue.Command`, begun in the background the first time."""
    key = (kind, *(tuple(one) if isinstance(one, list) else one for one in what))
    if key not in _BEGUN:
        _BEGUN[key] = WAITING.submit(timed, KINDS[kind], *key)
    return _BEGUN[key]


def timed(compile_: Callable[..., None], *key: object) -> None:
    """Compile, and log how long it took, or what was wrong: nobody else may ask."""
    began = time.monotonic()
    try:
        compile_(*key[1:])
    except Exception as error:
        print(f"compiling {key}: {type(error).__name__}: {error}", flush=True)
        raise
    print(f"compiled {key} in {time.monotonic() - began:.0f} s", flush=True)


def training(c: int, names: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    """Compile a training, for the shapes of the data alone, which may not be there yet."""
    settings = [profiles.get(name) for name in names]
    planned = together.pending(settings, c, seeds, data=pretrain.shapes_on_device(settings[0]))
    if planned:
        together.begun(planned).result()


class Untrained:
    """An evaluator whose models have not been trained: every weight is 0."""

    def load(self, model: Model) -> Generator:
        """Return a generator whose weights are all 0."""
        structure, like = abstract(lambda keys: pretrain.build_network(self.profile, model.c, keys))
        zeros = {name: np.broadcast_to(np.zeros((), p.dtype), p.shape) for name, p in like.items()}
        return Generator(profile=self.profile, structure=structure, params=zeros, codec=self.codec, text=self.text)


class UntrainedDenoising(Untrained, DenoisingEvaluator):
    """The evaluator of the held-out loss, with untrained models."""


class UntrainedSampling(Untrained, SamplingEvaluator):
    """The evaluator of drawn pictures, with untrained models."""


def grid(study: str, name: str, c: int, n: int) -> None:
    """Compile what a grid runs, by running the least of it."""
    profile = profiles.get(name)
    least = dict(steps=(2,), guidance=(1.0, 2.0), lengths=(profile.length,))
    chosen = {name: value for name, value in least.items() if name in grids.SETTINGS[study]}
    cells, _ = grids.cells_of(study, profile, (c,), n=n, **chosen)
    evaluator = {"denoising": UntrainedDenoising, "sampling": UntrainedSampling}[study](profile)
    for cell in cells:
        evaluator.evaluate(cell)


KINDS = {"training": training, "grid": grid}


def prepare() -> Callable[..., None]:
    """Set JAX and the profiles for the card, or for a rehearsal; return `do`."""
    if "rehearsal" in sys.argv[1:]:
        from launch.gpu.rehearsal import shrink

        shrink()
    elif jax.default_backend() != "cpu":
        for name in ("laptop-eps", "laptop-v", "laptop-dit"):
            profiles.PROFILES[name] = replace(profiles.PROFILES[name], batch=DRAWN)
    jax.config.update("jax_default_matmul_precision", "highest")  # a GPU would round float32 to 10 bits, a CPU does not
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}", flush=True)
    return do
