"""The first steps of a training on a CPU are compiled in a hurry, so that it begins soon.

XLA takes a minute to compile the training step of a UNet well on two cores, and a third of that to compile it badly. So
the step is compiled twice: the first `FIRST` steps of a training are taken by the program that is there soon, while a
second thread compiles the one that takes all others. Which of the two takes a step follows from its number alone, so a
training that is stopped and goes on still ends the same to the bit, under the same `FIRST` and `XLA_FLAGS`.

It has a price where all cores are busy: after a hundred steps such a training is about half a minute behind. A process
that ends while the second program is compiled waits for the compiler, as one does that compiles a single program.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import jax

FIRST = 32  # steps, each up to three times as long as a well compiled one: about what the second program needs
OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,  # the older emitters make fewer passes over a program
}

Program = Callable[..., Any]


class Hurried:
    """A training step as two programs, for arguments of one shape: (number of the step, its arguments) -> its result.

    Args:
        step: jitted. last: steps that the training takes in all; if no more than FIRST, the second program is not made.
    """

    def __init__(self, step: Any, last: int):
        self.step, self.last = step, last
        self._first: Program | None = None
        self._rest: Program | None = None
        self._coming: Future[Program] | None = None  # the second program, from the other thread

    def __call__(self, number: int, *arguments: Any) -> Any:
        if number >= FIRST:
            return self._well_compiled(arguments)(*arguments)
        if self._first is not None:
            return self._first(*arguments)
        lowered = self.step.lower(*arguments)
        self._first = first = lowered.compile(compiler_options=OPTIONS)
        result = jax.block_until_ready(first(*arguments))  # the compiler would take half of its cores
        if self.last > FIRST and self._rest is None:
            self._coming = _in_another_thread(lowered.compile)
        return result

    def _well_compiled(self, arguments: tuple[Any, ...]) -> Program:
        rest, coming = self._rest, self._coming
        if rest is None:
            if coming is None or (coming.done() and coming.exception()):  # nobody has compiled it, or in vain
                rest = self.step.lower(*arguments).compile()
            else:
                rest = coming.result()
            self._rest = rest
        return rest


def hurries() -> bool:
    """Return whether trainings on one device begin in a hurry: on a CPU, where nobody has said how to compile."""
    said = "xla_backend_optimization_level" in os.environ.get("XLA_FLAGS", "")
    return not said and jax.default_backend() == "cpu"


def hurried(step: Any, last: int) -> Program:
    """Return a jitted step as a function of its number and arguments: as `Hurried` where one hurries, else as it is."""
    return _kept(step, last) if hurries() else as_it_is(step)


def as_it_is(step: Program) -> Program:
    """Return a step as a function of its number, which is not looked at, and its arguments."""
    return lambda number, *arguments: step(*arguments)


@lru_cache(maxsize=1)  # many short trainings of one loss compile once, as `loop.make_train_step` has it
def _kept(step: Any, last: int) -> Hurried:
    return Hurried(step, last)


def _in_another_thread(work: Callable[[], Program]) -> Future[Program]:
    pool = ThreadPoolExecutor(1)
    made = pool.submit(work)
    pool.shutdown(wait=False)
    return made
