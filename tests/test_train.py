"""The training loop on a toy: it learns, resumes bit for bit, averages as published, and stops at NaN."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ldm.files import hold
from ldm.profiles import PROFILES
from ldm.training.guards import Diverged
from ldm.training.loop import TrainConfig, fit, init_state, make_train_step, rate

CONFIG = TrainConfig(images=64 * 30, batch=64, learning_rate=0.05, warmup_images=64, decay_images=640)
TRUTH = np.array([1.0, -2.0, 0.5], np.float32)


def loss(params, batch, key):
    noise = 0.01 * jax.random.normal(key, batch["y"].shape)
    error = batch["x"] @ params["w"] - batch["y"] - noise
    return jnp.square(error).mean(), {"largest": jnp.abs(error).max()}


def batches(step):
    x = np.random.default_rng(step).standard_normal((64, 3)).astype(np.float32)
    return {"x": x, "y": x @ TRUTH}


def start():
    return {"w": jnp.zeros(3)}


def test_the_loop_learns_and_reports_images_seen():
    logs = []
    state = fit(loss, start(), batches, CONFIG, on_log=logs.append, log_steps=10)
    assert [record["images_seen"] for record in logs] == [640, 1280, 1920]
    assert logs[-1]["loss"] < logs[0]["loss"] / 2
    assert int(state.step) == 30


def test_a_resumed_run_is_the_undisturbed_run_bit_for_bit(tmp_path):
    undisturbed = fit(loss, start(), batches, CONFIG)

    def interrupted(step):
        if step == 17:
            raise KeyboardInterrupt
        return batches(step)

    with pytest.raises(KeyboardInterrupt):
        fit(loss, start(), interrupted, CONFIG, folder=tmp_path, log_steps=1)
    seen = []
    resumed = fit(loss, start(), lambda step: seen.append(step) or batches(step), CONFIG, folder=tmp_path)
    assert seen[0] == 17
    for a, b in zip(jax.tree.leaves(undisturbed), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    """Another open file stands for the other process: the kernel tells them apart in the same way."""
    with hold(f"{tmp_path}.lock"), pytest.raises(RuntimeError, match="held by another process"):
        fit(loss, start(), batches, CONFIG, folder=tmp_path)
    assert int(fit(loss, start(), batches, CONFIG, folder=tmp_path).step) == 30


def test_a_finished_run_does_nothing_when_asked_again(tmp_path):
    first = fit(loss, start(), batches, CONFIG, folder=tmp_path)
    again = fit(loss, start(), lambda step: pytest.fail("a batch was drawn"), CONFIG, folder=tmp_path)
    np.testing.assert_array_equal(first.ema["w"], again.ema["w"])


def test_models_are_kept_at_the_lengths_asked_for():
    kept = {}
    fit(
        loss,
        start(),
        batches,
        CONFIG,
        lengths=(640, 1920),
        on_length=lambda n, ema: kept.update({n: np.asarray(ema["w"])}),
    )
    assert sorted(kept) == [640, 1920]
    assert np.abs(kept[1920] - TRUTH).sum() < np.abs(kept[640] - TRUTH).sum()


def test_the_average_is_the_power_average_of_the_weights():
    """EDM2, eq. 120: weights proportional to t^gamma, up to the discretisation."""
    config = TrainConfig(images=64 * 200, batch=64, learning_rate=1e-3, warmup_images=1, decay_images=10**9)
    step = make_train_step(loss, config)
    state, path = init_state(start(), config), []
    for k in range(200):
        state, _ = step(state, batches(k))
        path.append(np.asarray(state.params["w"]))
    t = np.arange(1, 201)[:, None]
    expected = (t**config.ema * np.array(path)).sum(0) / (t**config.ema).sum(0)
    np.testing.assert_allclose(state.ema["w"], expected, rtol=0.01)


def test_the_rate_warms_up_and_then_falls_as_one_over_the_root():
    rates = [float(rate(CONFIG, jnp.asarray(k))) for k in (0, 9, 39)]
    np.testing.assert_allclose(rates, [0.05, 0.05, 0.025], rtol=1e-6)


def test_the_rate_falls_as_one_over_the_width_unless_one_is_for_all():
    open_eps, paper = PROFILES["laptop-eps"], PROFILES["tpu"]
    assert [open_eps.training(c).learning_rate for c in (8, 32)] == pytest.approx([8e-3, 2e-3])
    assert replace(open_eps.training(64), learning_rate=8e-3) == open_eps.train
    assert paper.training(320) is paper.train


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_last_good_step(tmp_path):
    def poisoned(step):
        batch = batches(step)
        return {**batch, "y": batch["y"] * np.float32("nan")} if step >= 12 else batch

    with pytest.raises(Diverged, match="at step 13; the last finite one was at step 12"):
        fit(loss, start(), poisoned, CONFIG, folder=tmp_path, log_steps=1)


@pytest.mark.parametrize("seed", [-1, 2**32, 99999999999999999999, 1.5, True])
def test_a_seed_that_has_no_key_of_its_own_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed = {seed}: expected a whole number from 0 to 4294967295"):
        TrainConfig(images=1, seed=seed)
    assert TrainConfig(images=1, seed=2**32 - 1)


@pytest.mark.parametrize("field", ["images", "batch", "learning_rate", "clip"])
def test_a_training_number_that_is_not_positive_is_refused(field):
    fields = {"images": 1, field: 0}
    with pytest.raises(ValueError, match=f"{field} = 0: expected a positive number"):
        TrainConfig(**fields)
    for number in ("nan", "inf"):
        with pytest.raises(ValueError, match=f"{field} = {number}: expected a positive number, and finite"):
            TrainConfig(**fields | {field: float(number)})
