"""The queue for a GPU: what fits is done in order, cut anywhere and gone on with; what has to come home comes whole."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from launch.gpu import pack as packing
from launch.gpu import queue as gpu_queue
from launch.gpu import run as gpu_study
from launch.gpu.pack import Pack, unpack
from launch.gpu.queue import Command, queue
from launch.gpu.worker import Worker
from ldm import __main__ as cli
from ldm import paths, profiles
from ldm.networks import weights
from ldm.networks.structure import abstract
from ldm.paths import ROOT
from ldm.study import grids
from ldm.study.results import Store
from ldm.study.rows import Row
from ldm.tasks import memory, pretrain, together
from tests.environment import one_device
from tests.test_without_jax import loaded_by

ROW = Row(
    study="sampling", profile="gpu-v", task="pretrain", metric="kid", protocol="p", value=1.0, lo=0.0, hi=2.0, n=16
)


def command(text: str, minutes: float = 1.0, **fields) -> Command:
    return Command(why="a trial", text=text, minutes=minutes, **fields)


class Bench:
    """What runs a queue on a machine that has nothing, with minutes that pass only when a command runs."""

    def __init__(self, root: Path):
        self.root, self.store = root, Store(root)
        self.now, self.ran, self.asked = 0.0, [], []

    def call(self, text: str, minutes: float = 1.0) -> None:
        self.ran.append(text)
        self.now += 60 * minutes

    def ask(self, question) -> None:  # as a worker
        self.asked.append(question)

    def answer(self, seconds: float) -> str | None:
        try:
            self.calls(self.asked[-1]["text"])
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def end(self) -> None:
        pass

    def timetable(self, commands, minutes):
        return gpu_study.timetable(commands, self.store, minutes)

    def run(self, commands, minutes, call=None, out="home"):
        self.calls = call or self.call
        return gpu_study.run(
            commands,
            self,
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
    monkeypatch.setattr(gpu_study, "ENDING", 0.0)
    return Bench(tmp_path)


# --- the list ---


@pytest.mark.parametrize("minutes", [3, 8.5, 30])
def test_a_plan_fits_its_minutes_in_order_and_leaves_no_room_that_the_next_would_fill(minutes, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    planned = gpu_study.timetable(queue(), Store(tmp_path), minutes)
    now = planned[planned["fits"]]
    assert gpu_queue.SETUP < now["until"].max() <= minutes and now["until"].is_monotonic_increasing
    waiting = planned[~planned["fits"] & ~planned["done"]]
    assert (waiting["until"] > minutes).all()
    typed = "; ".join(now["commands"]).split("; ")
    assert len(typed) == len(set(typed)), "a training that two commands need is done once"
    text = gpu_study.timetable_text(planned).splitlines()
    assert sum(line.endswith("not reached") for line in text) == len(waiting)
    assert sum(line.startswith("python -m ldm ") for line in text) == len(typed)


def test_programs_are_compiled_while_others_run_and_what_cannot_be_is_waited_for(tmp_path):
    store, one = Store(tmp_path), gpu_queue.COMPILE
    quick = [command(str(i), 0.1, programs=(("grid", str(i)),)) for i in range(3)]
    planned = gpu_study.timetable(quick, store, 9)
    assert planned["until"].iloc[0] == pytest.approx(max(one, gpu_queue.SETUP) + 0.1)
    assert planned["until"].diff().iloc[1] == pytest.approx(max(0.1, one / gpu_queue.LANES), abs=0.1)
    slow = [command(str(i), 3, programs=(("grid", str(i)),)) for i in range(3)]
    assert list(gpu_study.timetable(slow, store, 99)["minutes"].iloc[1:]) == pytest.approx([3, 3])
    again = [command(str(i), 0.1, programs=(("grid", "the same"),)) for i in range(3)]
    assert list(gpu_study.timetable(again, store, 99)["minutes"].iloc[1:]) == pytest.approx([0.1, 0.1])


def test_the_order_is_the_laptops_models_and_their_losses_then_their_pictures_then_the_papers_widths():
    commands = queue()
    assert len({one.text for one in commands}) == len(commands)
    trainings = [one.training for one in commands if one.training]
    unets, transformers = ([one for one in trainings if ("laptop-dit" in one.names) is kind] for kind in (False, True))
    wide = [one.c for one in unets if one.names == ("gpu-dit",)]
    assert [one.c for one in unets] == [8, 16, 24, 32, 48, 64, 128, 320, 64, 192, 96, 256, *wide]
    assert all(one.seeds == (0, 1, 2) and one.names == ("laptop-eps", "laptop-v") for one in trainings[:6])
    assert trainings[6:12] == transformers and [one.c for one in transformers] == [48, 72, 120, 96, 144, 168]
    assert all(one.seeds == (0, 1, 2) for one in transformers)
    assert set(wide) == set(profiles.get("gpu-dit").family)
    assert commands[0].made and [one.why for one in commands[1:9]] == ["the laptop's models"] + [
        "held-out loss"
    ] * 6 + ["the laptop's models"]
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


def test_the_wide_transformers_cost_what_the_papers_widths_do():
    for unet, transformer in zip(profiles.get("gpu-eps").family, profiles.get("gpu-dit").family, strict=True):
        assert gpu_queue.gflops("gpu-dit", transformer) == pytest.approx(gpu_queue.gflops("gpu-eps", unet), rel=0.2)


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


@pytest.mark.slow
def test_the_largest_width_has_the_bytes_that_are_reckoned_for_it():
    """Nothing of it is computed: 843.5M parameters, four float32 states and a gradient, and what 256 pictures leave."""
    profile = profiles.get("gpu-eps")
    structure, params = abstract(lambda keys: pretrain.build_network(profile, 320, keys))
    count = sum(p.size for p in params.values())
    assert count == 843_546_564
    held = memory.state_bytes(params, profile.training(320))
    assert held == pytest.approx((4 + 2) * 4 * count, rel=1e-6)
    two = replace(profile.training(320), averages=(16.97,))
    assert memory.state_bytes(params, two) == pytest.approx(7 * 4 * count, rel=1e-6)
    known, kept = together.bytes_of(profile, 320, False)
    assert known == held and 8e9 < kept < 14e9
    of = lambda gigabytes: memory.micro_batches(held, kept, 256, int(gigabytes * 1e9))
    assert of(80 * 0.9) == 1 and of(33) == 2
    with pytest.raises(ValueError, match="expected at most 80% of the device's 24.0 GB; train fewer side by side"):
        of(24)


def test_a_batch_is_cut_until_a_part_fits():
    cut = lambda held, kept, limit: memory.micro_batches(held, kept, 64, int(limit / memory.USED))
    assert [cut(10, 60, limit) for limit in (100, 71, 69, 26, 12)] == [1, 1, 2, 4, 32]
    with pytest.raises(ValueError, match="a batch of 64"):
        cut(10, 60, 10)


# --- doing it ---


def test_what_fits_is_done_in_order_and_never_twice(bench):
    commands = [command("a"), command("long", 9), command("b"), command("c", 4)]
    assert bench.run(commands, 2) == []
    assert bench.ran == ["a", "b"]
    planned = bench.timetable(commands, 30)
    assert list(planned["done"]) == [True, False, True, False]
    assert "2 of 4 now, 13.6 minutes; 2 are done." in gpu_study.timetable_text(planned)
    log = (bench.root / "home" / "log.txt").read_text()
    assert "begun, 2.0 minutes left: a" in log and "b: 1.0 minutes, 1.0 reckoned" in log


def test_the_minutes_that_are_left_go_to_what_does_not_fit_whose_finished_cells_come_home(bench):
    commands = [command("a"), command("long", 9), command("longer", 9)]

    def call(text):
        bench.call(text)
        if text == "long" and bench.ran.count("long") < 3:
            bench.store.write(f"{bench.ran.count('long'):016x}", [ROW])

    def answer(seconds):
        said = Bench.answer(bench, seconds)
        return None if bench.ran[-1] == "long" else said

    bench.answer = answer
    assert bench.run(commands, 3, call) == []
    assert bench.ran == ["a", "long", "long"]
    rows = [name for name in bench.home() if name.startswith("runs/rows/")]
    assert len(rows) == 3, "a's row of the queue, and two cells of the other"
    assert "cut, since the minutes are over" in (bench.root / "home" / "log.txt").read_text()


def test_what_comes_next_is_told_with_each_command(bench):
    of = lambda *names: dict(programs=tuple(("grid", name) for name in names))
    training = command("together", made=lambda: False, **of("t"))
    commands = [command("a", **of("x")), command("b", **of("x")), command("c", needs=training, **of("y")), training]
    bench.run(commands, 2)
    assert [(one["text"], one["programs"], one["ahead"]) for one in bench.asked] == [
        ("a", (("grid", "x"),), [("grid", "t"), ("grid", "y")]),
        ("b", (("grid", "x"),), [("grid", "t"), ("grid", "y")]),
    ]


def test_a_failed_command_does_not_stop_the_others(bench):
    commands = [command("a"), command("b")]

    def bad(text):
        if text == "a":
            raise ValueError("c = 9: expected another.")
        bench.call(text)

    assert bench.run(commands, 9, bad) == ["a: ValueError: c = 9: expected another."]
    assert bench.ran == ["b"] and list(bench.timetable(commands, 9)["done"]) == [False, True]
    assert "expected another" in (bench.root / "home" / "log.txt").read_text()


def test_a_model_that_a_command_needs_is_trained_first_and_once_as_long_as_it_is_there(bench, tmp_path):
    model = tmp_path / "model"
    training = command("together", 4, made=model.is_file)
    commands = [command("a", needs=training), command("b", needs=training)]
    assert list(bench.timetable(commands, 8)["minutes"]) == [5, 1]
    assert list(bench.timetable(commands, 4)["fits"]) == [False] * 2

    def call(text):
        bench.call(text, 4 if text == "together" else 1)
        if text == "together":
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

    def call(text):
        bench.call(text)
        if text == "together":
            raise RuntimeError("it diverged.")

    commands = [command("a", needs=training), command("b", needs=training), command("c")]
    assert bench.run(commands, 9, call) == ["together: RuntimeError: it diverged."]
    assert bench.ran == ["together", "c"]


def test_while_a_command_runs_what_is_finished_is_packed(bench, monkeypatch):
    """A kill that nothing announces then costs seconds."""
    monkeypatch.setattr(gpu_study, "EVERY", 0.0)
    seen = []

    def answer(seconds):
        bench.now += 1
        if not bench.store.has("0" * 16):
            bench.store.write("0" * 16, [ROW])
        seen[:] = bench.home()
        return "" if seen else None

    bench.answer = answer
    bench.run([command("a")], 0.4)
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


def test_rows_go_first_then_first_seeds_then_the_rest_into_what_is_left_and_later_calls_bring_that(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(packing, "SPARED", 3_000)
    lent = tmp_path / "lent"
    first = Pack(lent, tmp_path / "0", volume=10_000, most=20_000)
    sizes = {model(8, 0): 2_000, model(8, 1): 2_000, model(8, 0, 20): 2_000, model(32, 0): 10_500, model(32, 2): 10_500}
    for name, size in sizes.items():
        file(lent, name, size)
    order = [Path(name).name for name in (model(8, 0), model(32, 0), model(8, 1), model(32, 2), model(8, 0, 20))]
    assert [path.name for path in first.models()] == order
    home = lambda out, there: [path.relative_to(there).as_posix() for path in unpack(out, there)]
    first.bring()
    assert home(tmp_path / "0", tmp_path / "a") == [model(8, 0), model(32, 0)], "the others wait for what comes"
    file(lent, "runs/rows/0.parquet", 2_500)
    first.bring(last=True)
    assert home(tmp_path / "0", tmp_path / "a")[2:] == ["runs/rows/0.parquet", model(8, 1)]
    assert first.without() == f"{order[3]}, {order[4]}"
    second = Pack(lent, tmp_path / "1", volume=10_000, most=20_000)
    second.bring(last=True)
    assert home(tmp_path / "1", tmp_path / "b") == [model(32, 2), model(8, 0, 20)]
    register = file(lent, "runs/open/models.json", 50)
    third = Pack(lent, tmp_path / "2", volume=10_000, most=20_000)
    third.bring(last=True)
    assert home(tmp_path / "2", tmp_path / "c") == ["runs/open/models.json"] and third.without() == "nothing"
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


WORKER = """
import sys, time, os
from pathlib import Path
import numpy as np
from launch.gpu.worker import serve
from ldm.networks import weights
from ldm.study.results import Store
from ldm.study.rows import Row
root = Path(sys.argv[1])
store = Store(root)
assert "jax" not in sys.modules

def do(text, programs, ahead):
    name = int(text)
    time.sleep(0.05)
    if name == 7 and not (root / "fell").exists():
        (root / "fell").touch()
        os.abort()  # as a compiler that crashes
    weights.save(root / f"runs/open/unet-eps-c{name}-640k-s0.safetensors", {"w": np.full(name * 1000, name, "float32")})
    row = Row(study="sampling", profile="gpu-v", task="pretrain", metric="kid", protocol="p", value=1.0, lo=0.0,
              hi=2.0, n=16)
    store.write(f"{name:016x}", [row], {"strip.webp": bytes(name * 100)})
    (root / "did").open("a").write(f"{name}\\n")
    time.sleep(0.05)

serve(lambda: do)
"""
DRIVER = f"""
import sys
from pathlib import Path
from launch.gpu import pack, run
from launch.gpu.queue import Command
from launch.gpu.worker import Worker
from ldm.study.results import Store
run.EVERY, run.TICK, run.ENDING, pack.VOLUME = 0.02, 0.01, 0.0, 50_000
root, out, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
did = root / "did"
clock = lambda: did.read_text().count("\\n") if did.is_file() else 0  # a second a command
worker = Worker([sys.executable, "-c", {WORKER!r}, str(root)], out / "log.txt")
commands = [Command(text=str(i), why="a trial", minutes=0.001) for i in range(1, 25)]
failed = run.run(commands, worker, minutes=most / 60, out=out, store=Store(root), clock=clock)
assert "jax" not in sys.modules
print("failed", failed)
"""


def finished(lent: Path) -> list[int]:
    """The commands that have left their rows, in order."""
    return [int(line) for line in (lent / "did").read_text().split()] if (lent / "did").is_file() else []


def driven(lent: Path, out: Path, most: int) -> subprocess.Popen:
    """The queue in a process of its own, whose minutes are over after so many commands."""
    program = [sys.executable, "-c", DRIVER, str(lent), str(out), str(most)]
    environment = one_device() | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_at_three_moments_told_to_end_and_ended_by_its_clock_every_finished_row_comes_home_whole(tmp_path):
    """SIGKILL after so many commands and a little later, SIGTERM, the end of the minutes; and a worker that crashes."""
    lent, home = tmp_path / "lent", tmp_path / "home"
    ends = [(2, 0.0, signal.SIGKILL), (3, 0.07, signal.SIGKILL), (1, 0.13, signal.SIGKILL), (3, 0.05, signal.SIGTERM)]
    for call, (most, wait, number) in enumerate([*ends, (5, 0.0, None), (99, 0.0, None)]):
        before, out = len(finished(lent)), tmp_path / f"out{call}"
        process = driven(lent, out, 99 if number else most)
        while number and len(finished(lent)) < before + most:
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(wait)
        if number:
            process.send_signal(number)
        process.communicate(timeout=600)
        assert process.returncode == {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, None: 0}[number]
        if number == signal.SIGKILL:
            time.sleep(1)  # until the worker has seen that it is alone
        if list(out.glob("*.part")):
            unpack(out, home)
        if number != signal.SIGKILL:
            assert {f"{name:016x}" for name in finished(lent)} <= set(Store(home).rows()["key"]), "a row was lost"
            said = {signal.SIGTERM: "cut by SIGTERM", None: "cut, since the minutes are over"}[number]
            assert (said if most < 99 else "all that there is has been done") in (out / "log.txt").read_text()
    assert len(finished(lent)) <= 24 + call, "a finished command was done again"
    assert "7: the process that computes ended with status -6" in "".join(
        path.read_text() for path in tmp_path.glob("out*/log.txt")
    )
    rows = Store(home).rows()
    assert (rows["study"] == "sampling").sum() == 24
    for name in range(1, 25):
        brought = weights.load(home / f"runs/open/unet-eps-c{name}-640k-s0.safetensors")
        np.testing.assert_array_equal(brought["w"], np.full(name * 1000, name, np.float32))
        assert (home / f"runs/files/{name:016x}/strip.webp").stat().st_size == name * 100


def runs(number: int) -> bool:
    """Whether a process is there, and has not ended without being asked for its status."""
    try:
        return " Z " not in Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_worker_that_ends_under_risky_flags_is_asked_again_without_them_and_is_killed_with_its_children(tmp_path):
    program = """
import os, subprocess, sys
from launch.gpu.worker import serve
if os.environ.get("RISKY"):
    os.abort()
def do(text):
    if text == "bad":
        raise ValueError("no")
    if text == "gone":
        os.abort()
    print("child", subprocess.Popen(["sleep", "60"]).pid, flush=True)
serve(lambda: do)"""
    worker = Worker([sys.executable, "-c", program], tmp_path / "log", {"PYTHONPATH": str(ROOT)}, {"RISKY": "1"})

    def failure(text: str) -> str:
        worker.ask({"text": text})
        deadline = time.monotonic() + 300
        while (answer := worker.answer(0.05)) is None:
            assert time.monotonic() < deadline
        return answer

    assert failure("good") == "" and "once more, without {'RISKY': '1'}" in (tmp_path / "log").read_text()
    assert failure("bad") == "ValueError: no" and "Traceback" in (tmp_path / "log").read_text()
    assert failure("gone") == "the process that computes ended with status -6"
    assert failure("good") == "", "it is started again"
    worker.end()
    children = [line.split()[1] for line in (tmp_path / "log").read_text().splitlines() if line.startswith("child")]
    assert len(children) == 2
    deadline = time.monotonic() + 60
    while any(runs(int(child)) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_process_that_packs_loads_no_jax():
    assert loaded_by("import launch.gpu.__main__, launch.gpu.run, launch.gpu.worker\nlaunch.gpu.queue.queue()") == "[]"


def test_the_rehearsal_is_the_queue_at_a_tiny_size(tmp_path, monkeypatch):
    """What it leaves out are the same commands at a length of their own; the rest is all there."""
    from launch.gpu import rehearsal

    monkeypatch.setattr(profiles, "PROFILES", dict(profiles.PROFILES))
    rehearsal.shrink()
    left = rehearsal.commands()
    assert {one.text.split()[0] for one in left} == {"part", "together", "grid"}
    assert {one.why for one in queue()} - {one.why for one in left} == set(rehearsal.LEFT_OUT)
    folder = rehearsal.copy(tmp_path / "checkout")
    assert (folder / "launch/gpu/queue.py").is_file() and (folder / "art").is_symlink()
    assert not (folder / "results").exists() and not (folder / "runs").exists()
