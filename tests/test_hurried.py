"""A training step compiled twice: which program takes a step follows from its number, and options are asked once."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from ldm.training import hurried
from ldm.training.loop import fit
from tests.toy_training import CONFIG, STEPS, batches, loss
from tests.toy_training import PARAMS as START


@pytest.fixture
def compiled(monkeypatch) -> list[dict | None]:
    """Options of every compilation of a step from now on, where nobody has said how to compile."""
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(hurried, "FIRST", 6)
    hurried._kept.cache_clear()
    asked, usual = [], jax.stages.Lowered.compile

    def compile(lowered, compiler_options=None):
        asked.append(compiler_options)
        return usual(lowered, compiler_options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile)
    return asked


def same(one, other) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("stopped", [3, 11])
def test_a_training_stopped_before_or_after_the_change_ends_the_same_to_the_bit(compiled, tmp_path, stopped):
    undisturbed = fit(loss, START, batches, CONFIG)
    assert compiled == [hurried.OPTIONS, None]

    def interrupted(step):
        if step == stopped:
            raise KeyboardInterrupt
        return batches(step)

    with pytest.raises(KeyboardInterrupt):
        fit(loss, START, interrupted, CONFIG, folder=tmp_path, log_steps=1)
    hurried._kept.cache_clear()  # as in a new process
    del compiled[:]
    same(undisturbed, fit(loss, START, batches, CONFIG, folder=tmp_path))
    assert compiled == ([hurried.OPTIONS, None] if stopped < 6 else [None])


def test_a_training_of_few_steps_is_compiled_once_and_begins_as_a_longer_one(compiled):
    few = replace(CONFIG, images=6 * CONFIG.batch)
    begun = []
    fit(loss, START, batches, CONFIG, lengths=[few.images], on_length=lambda _, average: begun.append(average))
    del compiled[:]
    ended = fit(loss, START, batches, few, lengths=[few.images], on_length=lambda _, average: begun.append(average))
    assert compiled == [hurried.OPTIONS] and int(ended.step) == 6 < STEPS
    same(*begun)


def test_after_a_compilation_that_failed_the_same_training_can_be_tried_again(compiled, monkeypatch):
    usual = jax.stages.Lowered.compile

    def fails(lowered, compiler_options=None):
        if compiler_options is None:
            raise RuntimeError("no memory for the compiler")
        return usual(lowered, compiler_options)

    with monkeypatch.context() as patch:
        patch.setattr(jax.stages.Lowered, "compile", fails)
        with pytest.raises(RuntimeError, match="no memory for the compiler"):
            fit(loss, START, batches, CONFIG)
        resumed = hurried.Hurried(jax.jit(lambda x: -x), last=100)
        with pytest.raises(RuntimeError, match="no memory for the compiler"):
            resumed(50, 1.0)
    assert int(fit(loss, START, batches, CONFIG).step) == STEPS
    assert resumed(50, 1.0) == -1


def test_where_somebody_has_said_how_to_compile_the_step_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=1")
    taken = hurried.hurried(lambda *arguments: arguments, 100)
    assert taken(7, "state", "batch") == ("state", "batch")
