"""The first steps of a training are compiled in a hurry, so that it begins soon.

XLA takes a minute to compile the training step of a UNet well on two cores, and a third of that to compile it badly. So
the step is compiled twice: the first `FIRST` steps of a training are taken by the program that is there soon, while a
second thread compiles the one that takes all others. Which of the two takes a step follows from its number alone, so a
training that is stopped and goes on still ends the same to the bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import jax

FIRST = 32  # steps: a badly compiled one takes up to three times as long, so more of them would cost what they save
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
        self._rest: Future[Program] | None = None

    def __call__(self, number: int, *arguments: Any) -> Any:
        program = self._compiled(arguments, soon=number < FIRST)
        return program(*arguments)

    def _compiled(self, arguments: tuple, *, soon: bool) -> Program:
        if soon:
            self._first = self._first or self._begin(arguments)
            return self._first
        if self._rest is None:
            self._rest = Future()
            self._rest.set_result(self.step.lower(*arguments).compile())
        return self._rest.result()

    def _begin(self, arguments: tuple) -> Program:
        lowered = self.step.lower(*arguments)
        first = lowered.compile(compiler_options=OPTIONS)
        if self.last > FIRST:
            self._rest = _in_another_thread(lowered.compile)
        return first


def hurried(step: Any, last: int) -> Program:
    """Return the step as `Hurried`, if this is a CPU on which nobody has said how to compile; else as it is.

    The first argument, the number of the step, is then not looked at.
    """
    said = "xla_backend_optimization_level" in os.environ.get("XLA_FLAGS", "")
    if said or jax.default_backend() != "cpu":
        return lambda number, *arguments: step(*arguments)
    return _kept(step, last)


@lru_cache(maxsize=1)  # many short trainings of one loss compile once, as `loop.make_train_step` has it
def _kept(step: Any, last: int) -> Hurried:
    return Hurried(step, last)


def _in_another_thread(work: Callable[[], Program]) -> Future[Program]:
    pool = ThreadPoolExecutor(1)
    made = pool.submit(work)
    pool.shutdown(wait=False)
    return made
