"""Training on 1, 2 and 8 devices, and in two processes, is one training; and a state moves between them."""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from ldm.study.tpu_compiler import moved
from ldm.training.loop import fit, init_state, make_train_step
from ldm.training.parallel import connect, host, layout, spec
from tests.toy_training import BATCH, CONFIG, PARAMS, STEPS, batches, loss

ROOT = Path(__file__).parents[1]


def train(devices: int = 0, fsdp: int = 1, **options):
    """(the losses of all steps, the end state); 0 devices: without a layout."""
    losses, config = [], options.pop("config", CONFIG)
    lay = layout(devices, fsdp) if devices else None
    state = fit(
        loss,
        PARAMS,
        batches,
        config,
        layout=lay,
        log_steps=1,
        on_log=lambda record: losses.append(record["loss"]),
        **options,
    )
    return np.array(losses), state


@functools.cache
def alone() -> tuple[np.ndarray, dict]:
    losses, state = train()
    return losses, jax.device_get(state.ema)


def same(losses: np.ndarray, ema: dict) -> None:
    np.testing.assert_allclose(losses, alone()[0][-len(losses) :], rtol=1e-5)
    for name, array in alone()[1].items():
        np.testing.assert_allclose(ema[name], array, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "fsdp"), [(1, 1), (2, 1), (8, 2), (8, 8)])
def test_the_losses_are_those_of_one_device(devices, fsdp):
    losses, state = train(devices, fsdp)
    assert len(losses) == STEPS and losses[-5:].mean() < losses[:5].mean()
    same(losses, jax.device_get(state.ema))
    for tree in (state.params, state.ema, state.opt[1][0].mu):
        share = tree["time.weight"].addressable_shards[0].data.size / tree["time.weight"].size
        assert share == 1 / fsdp and tree["norm.weight"].is_fully_replicated


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (0, 8), (2, 0)])
def test_a_run_goes_on_with_another_number_of_devices(tmp_path, before, after):
    half = STEPS // 2
    train(before, max(before, 1), config=replace(CONFIG, images=half * BATCH), folder=tmp_path)
    losses, state = train(after, max(after, 1), folder=tmp_path)
    assert len(losses) == STEPS - half
    same(losses, jax.device_get(state.ema))


def test_the_table_spreads_what_is_large_over_its_longest_axis_that_divides():
    assert spec("params/a.conv1.weight", (3, 3, 64, 128), 8) == P(None, None, None, "fsdp")
    assert spec("params/a.conv1.weight", (3, 3, 128, 64), 8) == P(None, None, "fsdp")
    assert spec("opt/1/0/mu/to_q.weight", (64, 64), 4) == P(None, "fsdp")
    assert spec("params/a.weight", (100, 63), 4) == P("fsdp")
    for name, shape, devices in (
        ("a.norm1.weight", (8192,), 8),
        ("a.bias", (8192,), 8),
        ("a.weight", (8, 8), 8),
        ("a.weight", (101, 63), 8),
        ("a.weight", (64, 128), 1),
        ("step", (), 8),
    ):
        assert spec(name, shape, devices) == P()


def test_weights_travel_and_pictures_do_not():
    lay = layout(8, 8)
    step = make_train_step(loss, CONFIG, lay)
    state = jax.eval_shape(functools.partial(init_state, config=CONFIG), PARAMS)
    state = jax.tree.map(lambda a, at: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=at), state, lay.of(state))
    program = step.lower(state, lay.place(batches(0), BATCH)).compile().as_text()
    spread = sum(x.nbytes for name, x in PARAMS.items() if spec(name, x.shape, 8) != P())
    assert spread <= moved(program)["all-gather"] <= 2 * spread and moved(program)["all-to-all"] == 0


def test_what_does_not_fit_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="devices = 9: expected 1 to 8"):
        layout(9)
    with pytest.raises(ValueError, match="fsdp = 3: expected a divisor of the 8 devices"):
        layout(8, 3)
    with pytest.raises(ValueError, match="batch = 12 on 8 devices: expected a multiple"):
        layout(8).rows(12)
    with pytest.raises(ValueError, match="processes = 2 without a coordinator"):
        connect(processes=2)
    with pytest.raises(ValueError, match="expected how many there are"):
        connect("localhost:1", 2, 2)
    connect()


def test_one_process_brings_all_rows_and_a_state_is_made_where_it_lies():
    lay = layout(8, 4)
    assert lay.rows(BATCH).tolist() == list(range(BATCH))
    placed = lay.place(batches(0) | {"steps": np.int32(3)}, BATCH)
    assert placed["latents"].addressable_shards[0].data.shape == (2, 2, 2, 4) and int(placed["steps"]) == 3
    state = init_state(PARAMS, CONFIG, lay)
    assert state.opt[1][0].nu["text.weight"].sharding.spec == P(None, "fsdp")


PROCESS = """
import json, sys, time
sys.path.insert(0, {root!r})
import jax
from ldm.training.parallel import connect, layout
jax.config.update("jax_cpu_collectives_implementation", "gloo")
connect("localhost:{port}", 2, int(sys.argv[1]))
from ldm.training.loop import fit
from tests.toy_training import BATCH, CONFIG, PARAMS, batches, loss
lay, kept = layout(8, 4), {{}}
rows = lay.rows(BATCH)

def slow(step):
    time.sleep({pause})
    return batches(step, rows)

fit(
    loss, PARAMS, slow, CONFIG, layout=lay, folder={folder!r}, log_steps=1,
    lengths=(CONFIG.images,), on_length=lambda images, ema: kept.update(ema),
    on_log=lambda record: print("record", json.dumps([len(rows), record["images_seen"] // BATCH, record["loss"]]),
    flush=True),
)
print("record", json.dumps({{name: x.tolist() for name, x in kept.items()}}))
"""


def two_processes(folder: Path, pause: float = 0.0) -> list[subprocess.Popen]:
    """One training in two processes of four devices each."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    code = PROCESS.format(root=str(ROOT), port=port, folder=str(folder), pause=pause)
    environment = os.environ | {
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=4"),
        "JAX_PLATFORMS": "cpu",
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen([sys.executable, "-c", code, str(i)], env=environment, **pipes) for i in range(2)]


def records(lines: Iterable[str]) -> Iterator[Any]:
    """What a process says among what others print in it."""
    return (json.loads(line.removeprefix("record")) for line in lines if line.startswith("record"))


@pytest.mark.slow
def test_two_processes_of_four_devices_stop_when_one_is_told_to_and_go_on_as_one(tmp_path):
    first, second = two_processes(tmp_path / "run", pause=0.5)
    before = list(itertools.islice(records(first.stdout), 3))
    second.send_signal(signal.SIGTERM)
    rest, warned = first.communicate()
    second.communicate()
    assert (first.returncode, second.returncode) == (143, 143), warned
    before += records(rest.splitlines())
    assert f"stopped by SIGTERM after step {len(before)}; run the same command again" in warned and len(before) < STEPS

    started = two_processes(tmp_path / "run")
    ended = [process.communicate() for process in started]
    assert not any(process.returncode for process in started), ended
    (*logs, kept), (*others, nothing) = (list(records(out.splitlines())) for out, _ in ended)
    assert logs == others and nothing == {}, "only the first process keeps a model"
    assert [(n, step) for n, step, _ in before + logs] == [(8, step) for step in range(1, STEPS + 1)]
    same(np.array([value for *_, value in before + logs]), kept)


def test_where_there_is_no_cpu_arrays_are_made_where_they_would_be(monkeypatch):
    with host():
        assert next(iter(jnp.ones(3).devices())).platform == "cpu"

    def unknown(backend):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "local_devices", unknown)
    with host():
        assert float(jnp.ones(3).sum()) == 3
