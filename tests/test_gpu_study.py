"""The queue for a GPU: what fits is done in order, cut anywhere and gone on with; what has to come home comes whole."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from launch.gpu import pack as packing
from launch.gpu import queue as gpu_queue
from launch.gpu import run as gpu_study
from launch.gpu.pack import Pack, unpack
from launch.gpu.queue import Command, queue
from ldm import __main__ as cli
from ldm import paths, profiles
from ldm.networks.layers import abstract
from ldm.paths import ROOT
from ldm.study import grids
from ldm.study.results import Row, Store
from ldm.tasks import pretrain
from ldm.training import together
from tests.environment import one_device

ROW = Row(
    study="sampling", profile="gpu-v", task="pretrain", metric="kid", protocol="p", value=1.0, lo=0.0, hi=2.0, n=16
)


def command(text: str, minutes: float = 1.0, **fields) -> Command:
    return Command(why="a trial", text=text, minutes=minutes, **fields)


class Bench:
    """What runs a queue on a machine that has nothing, with minutes that pass only when a command runs."""

    def __init__(self, root: Path):
        self.root, self.store = root, Store(root)
        self.now, self.ran = 0.0, []

    def call(self, words: list[str], minutes: float = 1.0) -> None:
        self.ran.append(" ".join(words))
        self.now += 60 * minutes

    def timetable(self, commands, minutes):
        return gpu_study.timetable(commands, self.store, minutes)

    def run(self, commands, minutes, call=None, out="home"):
        return gpu_study.run(
            commands,
            call or self.call,
            minutes=minutes,
            out=self.root / out,
            store=self.store,
            clock=lambda: self.now,
        )

    def home(self, out="home") -> list[str]:
        """What was packed, as it is unpacked elsewhere."""
        there = self.root / f"unpacked-{out}"
        if not list((self.root / out).glob("*.part")):
            return []
        return sorted(path.relative_to(there).as_posix() for path in unpack(self.root / out, there))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_study.models, "note_models", lambda profile: None)
    monkeypatch.setattr(gpu_study.gc, "collect", lambda: 0)  # seconds, in a process of many tests
    return Bench(tmp_path)


# --- the list ---


@pytest.mark.parametrize("minutes", [3, 8, 9, 30])
def test_a_plan_fits_its_minutes_in_order_and_leaves_no_room_that_the_next_would_fill(minutes, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    planned = gpu_study.timetable(queue(), Store(tmp_path), minutes)
    now = planned[planned["fits"]]
    assert 0 < now["minutes"].sum() <= minutes
    waiting = planned[~planned["fits"] & ~planned["done"]]
    assert (waiting["minutes"].iloc[0] > minutes - planned["minutes"][: waiting.index[0]].sum()) or waiting.empty
    typed = "; ".join(now["commands"]).split("; ")
    assert len(typed) == len(set(typed)), "a training that two commands need is done once"


def test_the_order_is_the_laptops_models_then_the_papers_widths():
    commands = queue()
    assert len({one.text for one in commands}) == len(commands)
    trainings = [one.training for one in commands if one.training]
    assert [one.c for one in trainings] == [8, 16, 32, 24, 48, 64, 128, 64, 320, 192, 96, 256]
    assert all(one.seeds == (0, 1, 2) and one.names == ("laptop-eps", "laptop-v") for one in trainings[:6])
    first = commands.index(next(one for one in commands if one.c == 128))
    assert [one.text.split()[0] for one in commands[first : first + 5]] == [
        "together",
        "grid",
        "grid",
        "grid",
        "grid",
    ]
    for one in commands:
        assert one.minutes < 9, "one call, and the machine may have gone before"
        if one.text.startswith("grid"):
            assert one.needs


@pytest.mark.slow
def test_every_command_of_the_queue_is_one_that_the_command_line_knows(monkeypatch):
    """Parsed as typed, with the functions replaced by ones that take the same arguments and do nothing."""
    called = []

    def inert(function):
        @functools.wraps(function)
        def note(*args, **kwargs):
            called.append((function.__name__, kwargs))

        return note

    monkeypatch.setattr(cli, "COMMANDS", tuple(inert(function) for function in cli.COMMANDS))
    empty = Store("/nonexistent")
    typed = {one.text: None for each in queue() for one in gpu_study.chain(each, empty)}
    for text in typed:
        cli.call(text.split())
    assert {name for name, _ in called} == {"together", "grid", "part", "superres", "distill"}
    monkeypatch.setattr(grids.distillation, "DistillationEvaluator", lambda profile: None)
    monkeypatch.setattr(grids.superres, "SuperResolutionEvaluator", lambda profile: None)
    for name, given in called:  # and the cells that are asked for may be asked for
        if name == "grid":
            usual = dict(steps=(), guidance=(), lengths=(), kinds=("codi",), sampler="ddim", n=None)
            given = usual | {k: v for k, v in given.items() if k != "profile"} | {"profile": given["profile"]}
            profile, sizes = profiles.get(given.pop("profile")), given.pop("sizes")
            assert grids.cells_of(given.pop("study", "sampling"), profile, sizes, **given)[0]


def test_the_largest_width_has_the_bytes_that_are_reckoned_for_it():
    """Nothing of it is computed: 843.5M parameters, four float32 states, three of which come home as nothing."""
    profile = profiles.get("gpu-eps")
    structure, params = abstract(lambda keys: pretrain.fresh(profile, 320, keys))
    count = sum(p.size for p in params.values())
    assert count == 843_546_564
    states = jax.eval_shape(
        jax.vmap(functools.partial(together.fresh, profile.training(320))),
        {name: jax.ShapeDtypeStruct((1, *p.shape), p.dtype) for name, p in params.items()},
    )
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(states))
    assert held == pytest.approx(4 * 4 * count, rel=1e-6)
    assert held + 4 * count + 2 * count < 80e9 / 3, (
        "states, gradient and rounded copy leave most of an H100 to pictures"
    )
    assert 2 * count < 2e9, "one model's file"


# --- doing it ---


def test_what_fits_is_done_in_order_and_never_twice(bench):
    commands = [command("a"), command("long", 9), command("b"), command("c", 4)]
    assert list(bench.timetable(commands, 3)["fits"]) == [True, False, True, False]
    assert bench.run(commands, 3) == []
    assert bench.ran == ["a", "b"]
    assert bench.run(commands, 3) == []
    assert len(bench.ran) == 2, "what was done was done again, or something that does not fit was begun"
    planned = bench.timetable(commands, 30)
    assert list(planned["done"]) == [True, False, True, False]
    assert "2 of 4 now, 13.0 minutes; 2 are done." in gpu_study.timetable_text(planned)
    assert gpu_study.progress(commands, bench.store).to_dict("records") == [
        {"why": "a trial", "c": "-", "tasks": 4, "done": 2}
    ]
    log = (bench.root / "home" / "log.txt").read_text()
    assert "begun, 3.0 minutes left: a" in log and "b: 1.0 minutes, 1.0 reckoned" in log


def test_a_cut_command_is_done_anew_and_a_failed_one_does_not_stop_the_others(bench):
    commands = [command("a"), command("b")]

    def cut(words):
        bench.call(words)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run(commands, 9, cut)
    assert not bench.timetable(commands, 9)["done"].any()

    def bad(words):
        if words == ["a"]:
            raise ValueError("c = 9: expected another.")
        bench.call(words)

    assert bench.run(commands, 9, bad) == ["a: ValueError: c = 9: expected another."]
    assert bench.ran == ["a", "b"] and list(bench.timetable(commands, 9)["done"]) == [False, True]
    assert "expected another" in (bench.root / "home" / "log.txt").read_text()


def test_a_model_that_a_command_needs_is_trained_first_and_once_as_long_as_it_is_there(bench, tmp_path):
    model = tmp_path / "model"
    training = command("together", 4, made=model.is_file)
    commands = [command("a", needs=training), command("b", needs=training)]
    assert (
        list(bench.timetable(commands, 8)["minutes"]) == [5, 1]
        and list(bench.timetable(commands, 4)["fits"]) == [False] * 2
    )

    def call(words):
        bench.call(words, 4 if words == ["together"] else 1)
        if words == ["together"]:
            model.write_bytes(b"")

    bench.run(commands, 5, call)
    assert bench.ran == ["together", "a"]
    model.unlink()  # another machine
    bench.run(commands, 5, call)
    assert bench.ran[2:] == ["together", "b"]
    model.unlink()
    assert bench.timetable(commands, 9)["done"].all()


def test_a_training_that_fails_fails_what_needs_it_and_not_the_next(bench):
    training = command("together", made=lambda: False)

    def call(words):
        bench.call(words)
        if words == ["together"]:
            raise RuntimeError("it diverged.")

    commands = [command("a", needs=training), command("b", needs=training), command("c")]
    assert bench.run(commands, 9, call) == ["together: RuntimeError: it diverged."]
    assert bench.ran == ["together", "c"]


def test_the_end_of_the_minutes_and_sigterm_cut_what_runs_and_pack_what_is_finished(bench, monkeypatch):
    monkeypatch.setattr(gpu_study, "ENDING", 0.0)
    before = signal.getsignal(signal.SIGTERM)
    for stop, minutes in (("minutes", 0.02), ("sigterm", 9)):

        def call(words, stop=stop):
            bench.store.write("0" * 15 + stop[0], [ROW])
            if stop == "sigterm":
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
            bench.call(words)

        with pytest.raises(SystemExit):
            bench.run([command("a", 0.01)], minutes, call, out=stop)
        assert bench.ran == [] and signal.getsignal(signal.SIGTERM) == before
        assert bench.home(stop) == [f"runs/rows/{'0' * 15}{stop[0]}.parquet"], "one call brings what none did before"


def test_while_a_command_runs_what_is_finished_is_packed(bench, monkeypatch):
    """A kill that nothing announces then costs a minute."""
    monkeypatch.setattr(gpu_study, "EVERY", 0.01)
    seen = []

    def call(words):
        bench.store.write("0" * 16, [ROW])
        deadline = time.monotonic() + 20
        while not bench.home() and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.extend(bench.home())
        bench.call(words)

    bench.run([command("a")], 9, call)
    assert seen == ["runs/rows/0000000000000000.parquet"]
    assert len(bench.home()) == 2, "the queue's own row came home, too"


# --- bringing it home ---


def file(root: Path, name: str, size: int) -> bytes:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data := random.Random(name).randbytes(size))
    return data


def model(c: int, seed: int, images: int = 640, setting: str = "eps") -> str:
    return f"runs/open/unet-{setting}-c{c}-{images}k-s{seed}.safetensors"


def test_a_model_larger_than_a_volume_comes_home_in_several_and_whole(tmp_path):
    lent, out, home = tmp_path / "lent", tmp_path / "out", tmp_path / "home"
    pack = Pack(lent, out, volume=10_000, most=60_000)
    data = {name: file(lent, name, size) for name, size in ((model(48, 0), 34_567), (model(8, 0), 1_234))}
    file(lent, "runs/open/unet-gpu-eps-c64-640k-s0.safetensors", 100)  # of which the rows are enough
    pack.bring(last=True)
    volumes = sorted(out.iterdir())
    assert len(volumes) == 4 and all(path.stat().st_size <= 10_000 for path in volumes)
    assert [path.relative_to(home).as_posix() for path in unpack(out, home)] == [model(8, 0), model(48, 0)]
    assert all((home / name).read_bytes() == value for name, value in data.items())
    volumes[1].unlink()
    with pytest.raises(ValueError, match="volumes of call 00 are missing; fetch all"):
        unpack(out, home)


def test_rows_go_first_then_small_models_first_seeds_and_last_lengths_and_later_calls_bring_the_rest(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(packing, "SPARED", 3_000)
    lent = tmp_path / "lent"
    first = Pack(lent, tmp_path / "0", volume=10_000, most=20_000)
    sizes = {model(8, 0): 2_000, model(8, 1): 2_000, model(8, 0, 20): 2_000, model(32, 0): 10_500, model(32, 2): 10_500}
    for name, size in sizes.items():
        file(lent, name, size)
    assert [path.name for path in first.models()] == [
        Path(name).name for name in (model(8, 0), model(8, 1), model(8, 0, 20), model(32, 0), model(32, 2))
    ]
    first.bring()
    file(lent, "runs/rows/0.parquet", 2_500)  # after the models, into what was spared for it
    first.bring(last=True)
    names = [path.relative_to(tmp_path / "a").as_posix() for path in unpack(tmp_path / "0", tmp_path / "a")]
    assert names[-1] == "runs/rows/0.parquet" and model(32, 0) not in names and model(8, 1) in names
    second = Pack(lent, tmp_path / "1", volume=10_000, most=20_000)
    second.bring(last=True)
    assert [path.name for path in unpack(tmp_path / "1", tmp_path / "b")] == [Path(model(32, 0)).name]
    register = file(lent, "runs/open/models.json", 50)
    third = Pack(lent, tmp_path / "2", volume=10_000, most=20_000)
    third.bring(last=True)
    assert {path.name for path in unpack(tmp_path / "2", tmp_path / "c")} == {"models.json", Path(model(32, 2)).name}
    assert (tmp_path / "c/runs/open/models.json").read_bytes() == register


@pytest.mark.parametrize("cut", [1, 100, 600, 1_500, 9_999])
def test_of_a_stream_that_is_cut_anywhere_all_but_the_last_member_is_unpacked(cut, tmp_path):
    lent, out = tmp_path / "lent", tmp_path / "out"
    pack = Pack(lent, out)
    data = {}
    for i in range(3):
        name = f"runs/rows/{i}.parquet"
        data[name] = file(lent, name, 4_000 + i)
        os.utime(lent / name, ns=(pack.since + i, pack.since + i))
    pack.bring()
    (volume,) = out.iterdir()
    volume.write_bytes(volume.read_bytes()[:-cut])
    found = [path.relative_to(tmp_path / "home").as_posix() for path in unpack(out, tmp_path / "home")]
    assert found == list(data)[: len(found)] and len(found) >= 3 - 1 - cut // 4_500
    assert all((tmp_path / "home" / name).read_bytes() == data[name] for name in found)


DRIVER = """
import sys, time
from pathlib import Path
from launch.gpu import pack, run
from launch.gpu.queue import Command
from ldm.study.results import Row, Store
run.EVERY, pack.VOLUME = 0.02, 50_000
run.models.note_models = lambda profile: None
root, out = map(Path, sys.argv[1:])
store = Store(root)

def call(words):
    time.sleep(0.1)
    name = words[0]
    model = root / f"runs/open/unet-eps-c{name}-640k-s0.safetensors"
    model.parent.mkdir(parents=True, exist_ok=True)
    run.models.weights.save(model, {"w": __import__("numpy").full(int(name) * 1000, int(name), "float32")})
    row = Row(study="sampling", profile="gpu-v", task="pretrain", metric="kid", protocol="p", value=1.0, lo=0.0,
              hi=2.0, n=16)
    store.write(f"{int(name):016x}", [row], {"strip.webp": bytes(int(name) * 100)})
    print("did", name, flush=True)
    time.sleep(0.1)

commands = [Command(text=str(i), why="a trial", minutes=0.01) for i in range(1, 25)]
run.run(commands, call, minutes=2, out=out, store=store)
"""


@pytest.mark.slow
def test_killed_at_three_moments_the_queue_goes_on_and_what_came_home_is_whole(tmp_path):
    """SIGKILL, after a different number of commands each time, and a little later than each."""
    lent, home, did = tmp_path / "lent", tmp_path / "home", []
    for call, (most, wait) in enumerate(((2, 0.0), (5, 0.07), (4, 0.13), (99, 0.0))):
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(lent), str(tmp_path / f"out{call}")],
            env=one_device() | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in process.stdout:
            if line.startswith("did"):
                did.append(int(line.split()[1]))
                most -= 1
            if most == 0:
                time.sleep(wait)
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.close()
        process.wait(timeout=120)
        if list((tmp_path / f"out{call}").glob("*.part")):
            unpack(tmp_path / f"out{call}", home)
    assert process.returncode == 0 and sorted(set(did)) == list(range(1, 25))
    assert len(did) <= 24 + 3, "a finished command was done again"
    rows = Store(home).rows()
    assert (rows["study"] == "sampling").sum() == (rows["study"] == "queue").sum() == 24
    for name in range(1, 25):
        brought = gpu_study.models.weights.load(home / f"runs/open/unet-eps-c{name}-640k-s0.safetensors")
        np.testing.assert_array_equal(brought["w"], np.full(name * 1000, name, np.float32))
        assert (home / f"runs/files/{name:016x}/strip.webp").stat().st_size == name * 100


def test_the_rehearsal_is_the_queue_at_a_tiny_size(tmp_path, monkeypatch):
    """What it leaves out are the same commands at a length of their own; the rest is all there."""
    from launch.gpu import rehearsal

    monkeypatch.setattr(profiles, "PROFILES", dict(profiles.PROFILES))
    rehearsal.shrink()
    left = [one for one in gpu_queue.queue((8,), (8,), (0, 1)) if one.why not in rehearsal.LEFT_OUT]
    assert {one.text.split()[0] for one in left} == {"part", "together", "grid"}
    assert {one.why for one in queue()} - {one.why for one in left} == set(rehearsal.LEFT_OUT)
    folder = rehearsal.copy(tmp_path / "checkout")
    assert (folder / "launch/gpu/queue.py").is_file() and (folder / "art").is_symlink()
    assert not (folder / "results").exists() and not (folder / "runs").exists()
