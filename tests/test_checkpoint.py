"""Orbax checkpoints: exact round trips, kills, damage, a full disk."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ldm.training.checkpoint import TrainCheckpoints

ROOT = Path(__file__).parent.parent


class State(NamedTuple):
    step: Any
    params: dict
    opt: Any


def state(step: int, width: int = 5) -> State:
    values = np.random.default_rng(step).standard_normal((300, width)).astype(np.float32)
    params = {"down.0.weight": jnp.asarray(values), "half": jnp.asarray(values[0], jnp.bfloat16)}
    opt = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3)).init(params)
    return State(jnp.int32(step), params, opt)


def save(checkpoints: TrainCheckpoints, step: int) -> None:
    checkpoints.save(step, state(step))
    checkpoints.wait()


def same(a: Any, b: Any) -> bool:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in leaves)


def biggest_file(folder: Path) -> Path:
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_a_state_comes_back_to_the_bit_and_in_its_own_types(tmp_path):
    save(TrainCheckpoints(tmp_path), 7)
    again = TrainCheckpoints(tmp_path)
    step, back = again.restore(state(0))
    assert again.latest_step == step == 7
    assert isinstance(back, State) and same(back, state(7))
    shapes = jax.eval_shape(lambda: state(0))
    assert same(again.restore(shapes)[1], state(7))


def test_nothing_saved_is_none(tmp_path):
    checkpoints = TrainCheckpoints(tmp_path / "new")
    assert checkpoints.latest_step is None and checkpoints.restore(state(0)) is None


def test_only_the_newest_are_kept(tmp_path):
    checkpoints = TrainCheckpoints(tmp_path, keep=2)
    for step in (1, 2, 3, 10):
        checkpoints.save(step, state(step))
    checkpoints.wait()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["10", "3"]
    with pytest.raises(ValueError, match="keep is 0"):
        TrainCheckpoints(tmp_path, keep=0)


def test_a_state_that_is_given_away_while_it_is_written_comes_back_as_it_was(tmp_path):
    checkpoints = TrainCheckpoints(tmp_path)
    on = jax.jit(lambda tree: {name: x + 1 for name, x in tree.items()}, donate_argnums=0)
    tree = {name: jnp.zeros(2**20) for name in "abcdefgh"}
    for step in (1, 2, 3):
        tree = on(tree)
        checkpoints.save(step, tree)
    for _ in range(20):
        tree = on(tree)
    checkpoints.wait()
    step, back = TrainCheckpoints(tmp_path).restore(tree)
    assert step == 3 and all((np.asarray(x) == 3).all() for x in back.values())


# Orbax abandons its other reads when one fails; the collector then reports their coroutines.
abandoned = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@abandoned
@pytest.mark.parametrize("damage", ["cut", "emptied", "removed", "without metadata"])
def test_a_torn_newest_is_named_and_the_one_before_goes_on(tmp_path, damage):
    checkpoints = TrainCheckpoints(tmp_path)
    for step in (1, 2):
        save(checkpoints, step)
    victim = biggest_file(tmp_path / "2")
    if damage == "cut":
        os.truncate(victim, victim.stat().st_size // 2)
    elif damage == "emptied":
        os.truncate(victim, 0)
    elif damage == "removed":
        victim.unlink()
    else:
        next((tmp_path / "2").rglob("_METADATA")).unlink()
    again = TrainCheckpoints(tmp_path)
    with pytest.warns(UserWarning, match="2 is damaged .* going on from the one before"):
        step, back = again.restore(state(0))
    assert step == 1 and same(back, state(1))
    save(again, 2)  # the run comes by the damaged step again
    assert same(TrainCheckpoints(tmp_path).restore(state(0))[1], state(2))


@abandoned
def test_where_none_can_be_read_the_run_does_not_begin_anew_over_them(tmp_path, monkeypatch):
    save(TrainCheckpoints(tmp_path), 1)
    save(TrainCheckpoints(tmp_path), 2)
    again = TrainCheckpoints(tmp_path)
    with monkeypatch.context() as failing, pytest.warns(UserWarning, match="2 is damaged"):
        failing.setattr(
            again._manager, "restore", lambda *_, **__: (_ for _ in ()).throw(OSError("Input/output error"))
        )
        with pytest.raises(
            ValueError, match=r"none of the checkpoints in .* \(of step 1: Input/output error\); remove the folder"
        ):
            again.restore(state(0))
    assert same(again.restore(state(0))[1], state(2))
    for step in "12":
        os.truncate(biggest_file(tmp_path / step), 0)
    with pytest.warns(UserWarning, match="2 is damaged"), pytest.raises(ValueError, match="none of the checkpoints"):
        TrainCheckpoints(tmp_path).restore(state(0))


def test_another_networks_checkpoint_is_refused_by_name_and_both_shapes(tmp_path):
    checkpoints = TrainCheckpoints(tmp_path)
    save(checkpoints, 1)
    with pytest.raises(ValueError, match=r"0.weight' has shape \(300, 5\) where \(300, 6\)"):
        checkpoints.restore(state(1, width=6))
    other = state(1)
    other.params["up"] = jnp.zeros(2)
    with pytest.raises(ValueError, match="lacks 'params/up'"):
        checkpoints.restore(other)
    del other.params["up"], other.params["half"]
    with pytest.raises(ValueError, match="holds an unknown 'params/half'"):
        checkpoints.restore(other)
    assert same(checkpoints.restore(state(0))[1], state(1))


def test_a_sharded_state_comes_back_onto_its_devices(tmp_path):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    whole = {"w": jnp.arange(64.0)}
    checkpoints = TrainCheckpoints(tmp_path)
    checkpoints.save(1, jax.device_put(whole, split))
    checkpoints.wait()
    like = {"w": jax.ShapeDtypeStruct((64,), jnp.float32, sharding=split)}
    _, back = TrainCheckpoints(tmp_path).restore(like)
    assert back["w"].sharding == split and same(back, whole)
    assert same(TrainCheckpoints(tmp_path).restore(whole)[1], whole)  # eight devices to one


def test_a_full_disk_is_one_sentence_and_keeps_the_checkpoints_before(tmp_path, monkeypatch):
    checkpoints = TrainCheckpoints(tmp_path)
    save(checkpoints, 1)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=f"disk is full: {tmp_path}/2 .* free some space"):
        checkpoints.save(2, state(2))
    assert TrainCheckpoints(tmp_path).restore(state(0))[0] == 1


@pytest.mark.parametrize(
    ("code", "sentence"), [(errno.EDQUOT, "share of the disk is used up"), (errno.EROFS, "The disk is read-only")]
)
def test_a_disk_that_takes_nothing_says_why_and_later_saves_are_written(tmp_path, monkeypatch, code, sentence):
    checkpoints = TrainCheckpoints(tmp_path)
    save(checkpoints, 1)
    with monkeypatch.context() as failing:
        wrapped = RuntimeError(f"a thread failed: {OSError(code, os.strerror(code))}")  # as a library tells it
        failing.setattr(checkpoints._manager, "save", lambda *_, **__: (_ for _ in ()).throw(wrapped))
        with pytest.raises(OSError, match=f"{sentence}.*{tmp_path}/2 .* run the same command again"):
            checkpoints.save(2, state(2))
    for step in (3, 4):
        save(checkpoints, step)
    assert TrainCheckpoints(tmp_path).restore(state(0))[0] == 4


WRITER = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from test_checkpoint import state
from ldm.training.checkpoint import TrainCheckpoints
checkpoints = TrainCheckpoints({folder!r})
for step in range(1, 1000):
    checkpoints.save(step, state(step))
    checkpoints.wait()
    print(step, flush=True)
"""


def test_a_writer_killed_while_saving_leaves_a_whole_checkpoint(tmp_path):
    code = WRITER.format(root=str(ROOT), tests=str(ROOT / "tests"), folder=str(tmp_path))
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for _ in range(2):
        saved = int(writer.stdout.readline())
    # kill once the next save is under way
    while not list(tmp_path.glob(f"*{saved + 1}*")):
        time.sleep(0.001)
    os.kill(writer.pid, signal.SIGKILL)
    saved = int((writer.communicate()[0].split() or [saved])[-1])
    checkpoints = TrainCheckpoints(tmp_path)
    step, back = checkpoints.restore(state(0))  # a warning would be an error here
    assert step >= saved and same(back, state(step))
    save(checkpoints, step + 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([str(step), str(step + 1)])
