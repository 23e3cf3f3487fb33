"""The queue for a GPU: what fits is done in order, cut anywhere and gone on with; what has to come home is packed."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from launch.gpu import pack as packing
from launch.gpu import queue as gpu_queue
from launch.gpu import run as gpu_study
from launch.gpu.queue import Task, queue
from launch.gpu.run import Device
from ldm import __main__ as cli
from ldm import paths, profiles
from ldm.paths import ROOT
from ldm.study import grids
from ldm.study.results import Row, Store
from ldm.tasks import models
from tests.environment import one_device

CARD = Device("NVIDIA H200", 141.0, 700.0)
GPU, SMOKE = profiles.get("gpu"), profiles.get("smoke")


def task(text: str, minutes: float = 1.0, **fields) -> Task:
    return Task(why="a trial", text=text, minutes=minutes, **fields)


class Bench:
    """What runs a queue on a machine that has nothing, with minutes that pass only when a command runs."""

    def __init__(self, root: Path):
        self.root, self.store = root, Store(root)
        self.now, self.ran = 0.0, []

    def clock(self) -> float:
        return self.now

    def call(self, words: list[str], minutes: float = 1.0) -> None:
        self.ran.append(" ".join(words))
        self.now += 60 * minutes

    def timetable(self, tasks, minutes, device=CARD):
        return gpu_study.timetable(tasks, self.store, device, minutes, SMOKE)

    def run(self, tasks, minutes, call=None):
        return gpu_study.run(
            tasks,
            call or self.call,
            minutes=minutes,
            out=self.root / "home",
            store=self.store,
            device=CARD,
            profile=SMOKE,
            clock=self.clock,
        )

    @property
    def home(self) -> list[str]:
        """What was packed."""
        names = []
        for path in (self.root / "home").glob("*.tar"):
            with tarfile.open(path) as archive:
                names += archive.getnames()
        return sorted(names)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_study.models, "note_models", lambda profile: None)
    monkeypatch.setattr(gpu_study.gc, "collect", lambda: 0)  # seconds, in a process of many tests
    return Bench(tmp_path)


def test_what_fits_is_done_in_order_and_never_twice(bench):
    tasks = [task("a"), task("long", 9), task("b"), task("c", 4)]
    assert list(bench.timetable(tasks, 3)["fits"]) == [True, False, True, False]
    assert bench.run(tasks, 3) == []
    assert bench.ran == ["a", "b"]
    assert bench.run(tasks, 3) == []
    assert len(bench.ran) == 2, "what was done was done again, or something that does not fit was begun"
    planned = bench.timetable(tasks, 30)
    assert list(planned["done"]) == [True, False, True, False]
    assert "2 of 4 tasks now, 13.0 minutes; 2 are done." in gpu_study.timetable_text(planned)
    assert gpu_study.progress(tasks, bench.store).to_dict("records") == [
        {"why": "a trial", "c": "-", "tasks": 4, "done": 2}
    ]


def test_a_cut_task_is_done_anew_and_a_failed_one_does_not_stop_the_others(bench):
    tasks = [task("a"), task("b")]

    def cut(words):
        bench.call(words)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run(tasks, 9, cut)
    assert not bench.timetable(tasks, 9)["done"].any()

    def bad(words):
        if words == ["a"]:
            raise ValueError("c = 9: expected another.")
        bench.call(words)

    assert bench.run(tasks, 9, bad) == ["a: ValueError: c = 9: expected another."]
    assert bench.ran == ["a", "b"]
    assert list(bench.timetable(tasks, 9)["done"]) == [False, True]


def test_what_a_task_needs_is_made_first_and_once(bench, tmp_path):
    """As long as it is there: another machine has to make it again, and what was done with it stays done."""
    model = tmp_path / "model"
    part = task("part", 2)
    training = task("pretrain", 4, needs=(part,), made=model.is_file)
    tasks = [task("a", needs=(training,)), task("b", needs=(training,))]
    assert list(bench.timetable(tasks, 8)["minutes"]) == [7, 1]
    assert list(bench.timetable(tasks, 6)["fits"]) == [False, False]

    def call(words):
        bench.call(words, {"part": 2, "pretrain": 4}.get(words[0], 1))
        if words == ["pretrain"]:
            model.write_bytes(b"")

    bench.run(tasks, 7, call)
    assert bench.ran == ["part", "pretrain", "a"]
    model.unlink()
    bench.run(tasks, 7, call)
    assert bench.ran[3:] == ["pretrain", "b"]
    model.unlink()
    assert bench.timetable(tasks, 9)["done"].all()


def test_a_need_that_fails_fails_the_task_and_not_the_next(bench):
    training = task("pretrain", made=lambda: False)

    def call(words):
        bench.call(words)
        if words == ["pretrain"]:
            raise RuntimeError("it diverged.")

    assert bench.run([task("a", needs=(training,)), task("b")], 9, call) == ["pretrain: RuntimeError: it diverged."]
    assert bench.ran == ["pretrain", "b"]


def test_a_task_waits_for_a_device_that_holds_it(bench):
    large = task("large", memory=142)
    assert not bench.timetable([large], 9)["fits"].any()
    bench.run([large], 9)
    assert bench.ran == []
    assert bench.timetable([large], 9, CARD._replace(memory=0))["fits"].all(), "a device that does not say may be tried"


def test_sigterm_packs_what_is_finished(bench):
    row = Row(
        study="sampling", profile="gpu", task="pretrain", metric="kid", protocol="p", value=1.0, lo=0.0, hi=2.0, n=16
    )

    def call(words):
        bench.store.write("0" * 16, [row])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        bench.call(words)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        bench.run([task("a")], 9, call)
    assert bench.ran == [] and signal.getsignal(signal.SIGTERM) == before
    assert bench.home == ["runs/rows/0000000000000000.parquet"]


def test_while_a_command_runs_what_is_finished_is_packed(bench, monkeypatch):
    """A kill that nothing announces then costs a minute."""
    monkeypatch.setattr(gpu_study, "EVERY", 0.01)
    row = Row(
        study="sampling", profile="gpu", task="pretrain", metric="kid", protocol="p", value=1.0, lo=0.0, hi=2.0, n=16
    )
    seen = []

    def call(words):
        bench.store.write("0" * 16, [row])
        deadline = time.monotonic() + 20
        while not bench.home and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.extend(bench.home)
        bench.call(words)

    bench.run([task("a")], 9, call)
    assert seen == ["runs/rows/0000000000000000.parquet"]
    assert len(bench.home) == 2, "the queue's own row came home, too"


def test_the_next_plan_goes_by_how_long_commands_of_the_kind_took_on_such_a_device(bench):
    bench.run([task("grid a")], 9, lambda words: bench.call(words, 3))  # and one minute reckoned
    assert gpu_study.paces(bench.store, CARD, SMOKE) == pytest.approx({"grid": 3})
    assert (
        gpu_study.paces(bench.store, CARD._replace(kind="cpu"), SMOKE) == gpu_study.paces(bench.store, CARD, GPU) == {}
    )
    assert list(bench.timetable([task("grid b"), task("pretrain c")], 9)["minutes"]) == pytest.approx([3, 1])


def test_what_came_home_is_a_part_of_the_study_there(bench, tmp_path, monkeypatch):
    """Also what a task left that was cut; in volumes of which the first stay as they are."""
    monkeypatch.setattr(packing, "VOLUME", 12_000)
    row = Row(
        study="sampling", profile="gpu", task="pretrain", metric="kid", protocol="p", value=1.0, lo=0.0, hi=2.0, n=16
    )

    def call(words):
        bench.call(words)
        bench.store.write(f"{len(bench.ran):016x}", [row], {"strip.webp": bytes(3_000), "large.bin": bytes(20_000)})
        if words == ["d"]:
            raise KeyboardInterrupt

    tasks = [task(name) for name in "abcd"]
    with pytest.raises(KeyboardInterrupt):
        bench.run(tasks, 9, call)
    home = tmp_path / "at home"
    packed = sorted((tmp_path / "home").iterdir())
    assert len(packed) > 1
    for path in packed:
        assert path.stat().st_size <= 12_000 + 10_240  # tar ends in a block of its own
        with tarfile.open(path) as archive:
            archive.extractall(home, filter="data")
    assert {p.name for p in home.glob("runs/files/*/*")} == {"strip.webp"}
    there = Store(home).rows()
    assert len(there[there["study"] == "sampling"]) == 4
    assert list(gpu_study.timetable(tasks, Store(home), CARD, 9, SMOKE)["done"]) == [True, True, True, False]


def test_a_model_that_is_trained_again_where_the_first_was_forgotten_counts_as_that(tmp_path, monkeypatch):
    """Its cells then go on where those of the first ended. One that ships is its own."""
    for name, folder in (("RUNS", "runs"), ("WEIGHTS", "weights")):
        monkeypatch.setattr(paths, name, tmp_path / folder)

    def train(c, value, root="runs"):
        path = models.model_path(GPU, c, 160_000, 0, tmp_path / root)
        path.parent.mkdir(parents=True, exist_ok=True)
        models.save(path, {"w": np.full(3, value, np.float32)}, GPU, c, 160_000, 0)
        models.note_models(GPU)
        return models.model_digest(GPU, c, 160_000)

    first = train(64, 1.0)
    register = tmp_path / "runs/gpu/models.json"
    assert json.loads(register.read_text()) == {"unet-c64-160k-s0.safetensors": first}
    shutil.copytree(tmp_path / "runs/gpu", tmp_path / "weights/gpu", ignore=shutil.ignore_patterns("*.safetensors"))
    shutil.rmtree(tmp_path / "runs")
    assert models.model_digest(GPU, 64, 160_000) == first, "known by the register alone"
    assert train(64, 1.01) == first and train(64, 1.02) == first
    assert json.loads(register.read_text()) == {}
    models.record_models(GPU)
    assert models.register(GPU)["unet-c64-160k-s0.safetensors"] == first, "making the record compact does not undo it"
    assert train(128, 1.0) == first and train(128, 2.0) != first, "one that nobody knows has its own name"
    shipped = train(64, 3.0, "weights")
    assert train(64, 4.0) not in (first, shipped)


def test_the_queue_asks_all_sizes_what_comes_first_and_trains_before_it_judges():
    tasks = queue(GPU)
    texts = [task.text for task in tasks]
    assert len(set(texts)) == len(texts) and len({task.key for task in tasks}) == len(tasks)
    sizes = list(dict.fromkeys(task.c for task in tasks if task.why == "guidance and steps"))
    assert sizes[:4] == list(gpu_queue.FOUR) and set(sizes) == {c for c in GPU.family if c <= 320}
    for task in tasks:
        needed = [one.text.split()[0] for one in task.first(lambda one: False)]
        if task.text.startswith("grid"):
            assert needed[-1] in ("pretrain", "superres", "distill") and needed.index("pretrain") >= needed.index(
                "part"
            )
    assert gpu_queue.trained(GPU, 320).gflops == pytest.approx(3 * 39.5 * GPU.length, rel=0.01)
    parts = {one.text for one in gpu_queue.stands_on(GPU)}
    for task in tasks:
        chain = [one for one in gpu_study.chain_of(task, Store(ROOT)) if one.text not in parts]
        assert sum(one.reckoned(CARD.tflops) for one in chain) < 10, (
            "one card, minutes at a time, and nothing trained before"
        )


def test_the_smoke_queue_is_the_same_queue():
    """A trial on a CPU tries what a GPU will do."""
    kinds = lambda profile: {
        tuple(one.text.split()[:2]) for task in queue(profile) for one in [*task.first(lambda one: False), task]
    }
    assert kinds(SMOKE) == kinds(GPU)
    assert {task.why for task in queue(GPU)} - {task.why for task in queue(SMOKE)} <= {
        "more steps",
        "speed, memory, first loss",
        GPU_PARTS,
    }


GPU_PARTS = "what the 128 px models stand on"


def test_every_command_of_the_queue_is_one_that_the_command_line_knows(monkeypatch):
    """Parsed as typed, with the functions replaced by ones that take the same arguments and do nothing."""
    called = []

    def inert(command):
        @functools.wraps(command)
        def note(*args, **kwargs):
            called.append((command.__name__, kwargs))

        return note

    monkeypatch.setattr(cli, "COMMANDS", tuple(inert(command) for command in cli.COMMANDS))
    asked = [one.text for task in [*queue(GPU), *queue(SMOKE)] for one in [*task.first(lambda one: False), task]]
    for typed in dict.fromkeys(asked):
        cli.call(typed.split())
    assert {name for name, _ in called} == {"pretrain", "grid", "part", "superres", "distill"}
    monkeypatch.setattr(grids.distillation, "DistillationEvaluator", lambda profile: None)
    monkeypatch.setattr(grids.superres, "SuperResolutionEvaluator", lambda profile: None)
    for name, given in called:  # and the cells that are asked for may be asked for
        given = given | {"profile": profiles.get(given["profile"])}
        if name == "grid":
            given["n"] = given.get("n") or None
            asked = {k: given.get(k, ()) for k in ("steps", "guidance", "lengths")} | {
                "kinds": given.get("kinds", ("codi",))
            }
            cells, _ = grids.cells_of(
                given.get("study", "sampling"),
                given["profile"],
                given["sizes"],
                sampler=given.get("sampler", "ddim"),
                n=None,
                seed=given.get("seed", 0),
                **asked,
            )
            assert cells
        if name == "pretrain" and given["c"] <= 320:
            assert given["images"] in given["profile"].lengths


DRIVER = """
import sys
from dataclasses import replace
import tyro
from launch.gpu import queue as gpu_queue, run as gpu_study
from launch.gpu.__main__ import main
from ldm import profiles
gpu_study.EVERY = 1
every = gpu_queue.queue
gpu_queue.queue = lambda profile: [task for task in every(profile) if task.why.startswith("quality by compute, seed 1")]
smoke = profiles.PROFILES["smoke"]
train = replace(smoke.train, images=640, warmup_images=160)
small = dict(family=(8,), lengths=(640,), length=640, steps=(50,), data=2_048)
profiles.PROFILES["smoke"] = replace(smoke, train=train, **small)
tyro.cli(main, args=["--profile", "smoke", "--minutes", "30", "--out", sys.argv[1]])
"""


def machine(root: Path) -> Path:
    """A checkout as a lent machine gets it: the package, the art, the weights that ship; no rows, nothing trained."""
    for name in ("ldm", "launch"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "art").symlink_to(ROOT / "art")
    for path in (ROOT / "weights").glob("**/*.*"):
        link = root / path.relative_to(ROOT)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return root


@pytest.mark.slow
def test_on_a_bare_machine_the_queue_is_cut_by_kill_9_and_goes_on_and_its_rows_come_home(tmp_path):
    lent, out = machine(tmp_path / "lent"), tmp_path / "out"

    def start() -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(out)], cwd=lent, env=one_device() | {"PYTHONPATH": str(lent)}
        )

    model = lent / "runs/mini/unet-c8-0k-s1.safetensors"
    first = start()
    while not (
        model.is_file() and list(out.glob("*"))
    ):  # packed a second after the training at most; the judging takes its seconds still
        assert first.poll() is None, "it ended before it had packed anything"
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    trained = model.stat().st_mtime_ns
    assert "grid" not in set(Store(lent).rows(study="queue")["task"])
    assert start().wait(timeout=600) == 0
    assert model.stat().st_mtime_ns == trained, "it was trained again"
    home = tmp_path / "home"
    for path in out.iterdir():
        with tarfile.open(path) as archive:
            archive.extractall(home, filter="data")
    rows = Store(home).rows()
    assert set(rows["study"]) == {"pretraining", "queue"} and set(rows[rows["study"] == "pretraining"]["seed"]) == {1}
    assert len(Store(lent).rows()) == len(rows), "a row of the first call stayed away"
    assert json.loads((home / "runs/mini/models.json").read_text()).keys() == {model.name}
    assert not list((home / "runs/mini").glob("*.safetensors")), "models of sizes are too large to come home"
