"""A training that goes wrong says where; one that is told to stop, or killed, goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ldm.hashing import digest
from ldm.training import meter
from ldm.training.chips import chip
from ldm.training.guards import ENOUGH, Diverged, Preempted, Watch, not_finite
from ldm.training.loop import fit
from ldm.training.meter import Meter
from tests.toy_training import BATCH, CONFIG, batches, line

ROOT = Path(__file__).parents[1]
START = {"w": jnp.zeros(4)}


def test_the_first_bad_step_is_named_with_its_batch_and_the_checkpoint_to_go_on_from(tmp_path, monkeypatch):
    monkeypatch.setattr("ldm.training.loop.SAVE_SECONDS", 0)

    def poisoned(step):
        batch = batches(step)
        return batch | {"latents": batch["latents"] * np.float32("inf")} if step >= 12 else batch

    with pytest.raises(Diverged, match="at step 13; the last finite one was at step 12") as caught:
        fit(line, START, poisoned, CONFIG, folder=tmp_path, log_steps=5)
    assert digest(poisoned(12)) in str(caught.value) and "last good checkpoint is of step 10" in str(caught.value)
    losses = []
    fit(line, START, batches, CONFIG, folder=tmp_path, log_steps=1, on_log=lambda record: losses.append(record))
    assert losses[0]["images_seen"] == 11 * BATCH


def test_a_gradient_that_is_not_finite_stops_the_run_though_the_loss_is():
    def edge(params, batch, key):
        return jnp.sqrt(jnp.abs(params["w"]).sum()), {}  # 0 at 0, where its slope is infinite

    with pytest.raises(Diverged, match="the gradient's norm is (nan|inf) at step 1; the last finite one was at step 0"):
        fit(edge, START, batches, CONFIG)


def test_the_first_number_that_is_not_finite_is_found_in_one_step_or_in_those_of_several_trainings():
    logs = {"loss": np.zeros((3, 2), np.float32), "grad_norm": np.ones((3, 2), np.float32), "spread": np.nan}
    assert not_finite(logs) is None
    logs["grad_norm"][1, 1], logs["loss"][2, 0] = np.inf, np.nan
    assert not_finite(logs) == ((1, 1), "the gradient's norm is inf")
    assert not_finite({"loss": np.float32("nan"), "grad_norm": np.float32("nan")}) == ((), "the loss is nan")


def test_steps_that_nobody_has_looked_at_are_not_saved_where_one_is_not_finite():
    watch = Watch(batches, 0, "toy", print)
    watch.add(1, {"loss": np.float32(1), "grad_norm": np.float32(1)})
    assert watch.finite() and watch.look()["loss"] == 1 and watch.finite()
    watch.add(2, {"loss": np.float32("nan"), "grad_norm": np.float32(1)})
    assert not watch.finite()


def test_a_jump_of_the_loss_is_told_once_with_its_batch():
    lines = []
    watch = Watch(batches, 0, "toy", lines.append)
    rng = np.random.default_rng(0)
    for step in range(1, 3 * ENOUGH):
        loss = 1 + 0.1 * rng.standard_normal() + 3 * (step == 100)
        watch.add(step, {"loss": np.float32(loss), "grad_norm": np.float32(1)})
        if step % 7 == 0:
            watch.look()
    assert len(lines) == 1 and "jumps to" in lines[0] and "at step 100, batch " + digest(batches(99)) in lines[0]


def test_sigterm_saves_and_the_same_call_goes_on_to_the_same_end(tmp_path, capsys):
    undisturbed = fit(line, START, batches, CONFIG)

    def ending(step):
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return batches(step)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted) as caught:
        fit(line, START, ending, CONFIG, folder=tmp_path)
    assert caught.value.code == 143 and signal.getsignal(signal.SIGTERM) == before
    assert "stopped by SIGTERM after step 8; run the same command again" in capsys.readouterr().err
    seen = []
    resumed = fit(line, START, lambda step: seen.append(step) or batches(step), CONFIG, folder=tmp_path)
    assert seen[0] == 8
    for a, b in zip(jax.tree.leaves(undisturbed), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


class Device:
    """A TPU that reports its memory."""

    device_kind, process_index, peak = "TPU v5 lite", 0, 1_000_000_000

    def memory_stats(self):
        return {"peak_bytes_in_use": self.peak}


def test_the_meter_counts_the_arithmetic_of_a_step_beside_all_devices_peak(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(meter.time, "perf_counter", lambda: now[0])
    watch = Meter(64, 3000.0, 9, [Device(), Device()])
    assert "memory_gb" not in watch.lap(10), "it is a peak of something before"
    monkeypatch.setattr(Device, "peak", 3_000_000_000)
    for _ in range(5):
        with watch.making():
            now[0] += 0.5
        now[0] += 1.5
    record = watch.lap(15)
    assert record == pytest.approx(
        {
            "step_seconds": 2,
            "images_a_second": 32,
            "input_share": 0.25,
            "tflops": 96,
            "peak_share": 96 / 394,
            "memory_gb": 3,
        }
    )
    assert Meter.short(record) == {
        "step": "2e+03 ms",
        "speed": "96 TFLOP/s (24% of peak)",
        "memory": "3.0 GB",
        "input": "25%",
    }
    assert [chip(kind).tflops for kind in ("TPU v5", "TPU v6 lite", "NVIDIA H100 80GB HBM3")] == [459, 918, 989]
    assert chip("cpu") is None
