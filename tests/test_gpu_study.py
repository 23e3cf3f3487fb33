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

import pytest

from ldm import __main__ as cli
from ldm import gpu_queue, gpu_study, grids, study
from ldm import pack as packing
from ldm.gpu_queue import Command, Task, queue
from ldm.gpu_study import Device
from ldm.profiles import ROOT, profile
from ldm.results import Row, Store
from tests.environment import one_device

CARD = Device("NVIDIA H200", 141.0, 700.0)
LAPTOP, GPU, SMOKE = profile("laptop"), profile("gpu"), profile("smoke")


def task(name: str, minutes: float = 1.0, **fields) -> Task:
    halves = (Command(f"{name} {half}", minutes=minutes / 2) for half in (1, 2))
    return Task(why="a trial", scale=SMOKE, commands=tuple(halves), **fields)


class Clock:
    """Minutes that pass only when a command runs."""

    def __init__(self):
        self.now, self.ran = 0.0, []

    def __call__(self) -> float:
        return self.now

    def call(self, words: list[str], minutes: float = 0.5) -> None:
        self.ran.append(" ".join(words))
        self.now += 60 * minutes


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """(what runs the queue, the clock, the store) on a machine that has nothing."""
    monkeypatch.setattr(gpu_study.pretrain, "note_models", lambda scale: None)
    clock, store = Clock(), Store(tmp_path)

    def run(tasks, minutes, call=clock.call):
        return gpu_study.run(tasks, call, minutes=minutes, out=tmp_path / "home", store=store, device=CARD, clock=clock)

    return run, clock, store


def test_what_fits_is_done_in_order_and_never_twice(bench):
    run, clock, store = bench
    tasks = [task("a"), task("long", 9), task("b"), task("c", 4)]
    assert list(gpu_study.plan(tasks, store, CARD, 3)["fits"]) == [True, False, True, False]
    assert run(tasks, 3) == []
    assert clock.ran == ["a 1", "a 2", "b 1", "b 2"]
    assert run(tasks, 3) == []
    assert len(clock.ran) == 4, "what was done was done again, or something that does not fit was begun"
    planned = gpu_study.plan(tasks, store, CARD, 30)
    assert list(planned["done"]) == [True, False, True, False]
    assert "2 of 4 tasks now, 13.0 minutes; 2 are done." in gpu_study.table(planned)
    assert gpu_study.progress(tasks, store).to_dict("records") == [{"why": "a trial", "c": "-", "tasks": 4, "done": 2}]


def test_a_cut_task_is_done_anew_and_a_failed_one_does_not_stop_the_others(bench):
    run, clock, store = bench
    tasks = [task("a"), task("b")]

    def cut(words):
        clock.call(words)
        if words == ["a", "2"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tasks, 9, cut)
    assert not gpu_study.plan(tasks, store, CARD, 9)["done"].any()

    def bad(words):
        if words == ["a", "1"]:
            raise ValueError("c = 9: expected another.")
        clock.call(words)

    assert run(tasks, 9, bad) == ["a 1; a 2: ValueError: c = 9: expected another."]
    assert clock.ran[-2:] == ["b 1", "b 2"]
    assert list(gpu_study.plan(tasks, store, CARD, 9)["done"]) == [False, True]


def test_a_task_waits_for_those_that_make_its_frozen_parts_and_for_a_device_that_holds_it(bench):
    run, clock, store = bench
    maker = task("part")
    user = task("user", needs=(maker,))
    assert list(gpu_study.plan([user, maker], store, CARD, 9)["fits"]) == [False, True]
    assert list(gpu_study.plan([maker, user], store, CARD, 9)["fits"]) == [True, True]
    run([user], 9)
    assert clock.ran == []
    run([user, maker, user], 9)
    assert clock.ran == ["part 1", "part 2", "user 1", "user 2"]
    large = task("large", memory=142)
    assert not gpu_study.plan([large], store, CARD, 9)["fits"].any()
    assert gpu_study.plan([large], store, CARD._replace(memory=0), 9)["fits"].all(), "a device that does not say may be tried"


def test_what_is_made_is_not_made_again(bench, tmp_path):
    run, clock, store = bench
    made = tmp_path / "model"
    first = Command("pretrain", minutes=4, made=made)
    tasks = [Task(why="a", scale=SMOKE, commands=(first, Command(name, minutes=1))) for name in ("a", "b")]
    assert list(gpu_study.plan(tasks, store, CARD, 6)["minutes"]) == [5, 1]
    assert gpu_study.plan(tasks, store, CARD, 6)["fits"].all()

    def call(words):
        clock.call(words)
        if words == ["pretrain"]:
            made.write_bytes(b"")

    run(tasks, 6, call)
    assert clock.ran == ["pretrain", "a", "b"]


def test_sigterm_packs_what_is_finished(bench, tmp_path):
    run, clock, store = bench
    row = Row(study="sampling", profile="gpu", task="pretrain", metric="kid", protocol="p", value=1.0, lo=0.0, hi=2.0, n=16)

    def call(words):
        store.write("0" * 16, [row])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        clock.call(words)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        run([task("a")], 9, call)
    assert clock.ran == [] and signal.getsignal(signal.SIGTERM) == before
    with tarfile.open(tmp_path / "home/home-0.tar") as archive:
        assert archive.getnames() == ["runs/rows/0000000000000000.parquet"]


def test_the_next_plan_goes_by_how_long_tasks_took_on_such_a_device(bench):
    run, clock, store = bench
    assert gpu_study.pace(store, CARD, SMOKE) == 1
    run([task("a")], 9, lambda words: clock.call(words, 1.5))  # three minutes, and one reckoned
    assert gpu_study.pace(store, CARD, SMOKE) == pytest.approx(3)
    assert gpu_study.pace(store, CARD._replace(kind="cpu"), SMOKE) == gpu_study.pace(store, CARD, LAPTOP) == 1
    assert list(gpu_study.plan([task("b")], store, CARD, 9)["minutes"]) == pytest.approx([3])


def test_what_came_home_is_a_part_of_the_study_there(bench, tmp_path, monkeypatch):
    """Also what a task left that was cut; in volumes of which the first stay as they are."""
    run, clock, store = bench
    monkeypatch.setattr(packing, "VOLUME", 12_000)
    row = Row(study="sampling", profile="gpu", task="pretrain", metric="kid", protocol="p", value=1.0, lo=0.0, hi=2.0, n=16)

    def call(words):
        clock.call(words)
        store.write(f"{len(clock.ran):016x}", [row], {"strip.webp": bytes(3_000), "large.bin": bytes(20_000)})
        if words == ["b", "2"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([task("a"), task("b")], 9, call)
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
    assert list(gpu_study.plan([task("a"), task("b")], Store(home), CARD, 9)["done"]) == [True, False]


def test_the_queue_begins_with_what_ships_and_trains_before_it_judges():
    tasks = queue()
    assert len({task.key for task in tasks}) == len(tasks)
    assert [task.c for task in tasks[:4]] == list(LAPTOP.family)
    sizes = list(dict.fromkeys(task.c for task in tasks if task.why == "guidance and steps"))
    assert sizes[:4] == list(gpu_queue.FOUR) and set(sizes) == {c for c in GPU.family if c <= 320}
    assert all(task.commands[0].text.startswith("pretrain ") for task in tasks if task.c)
    assert gpu_queue.trained(GPU, 320).gflops == pytest.approx(3 * 39.5 * GPU.length, rel=0.01)
    minutes = [task.minutes(CARD.tflops) for task in tasks]
    assert 1 <= min(minutes) and max(minutes) < 9.5, "on one large card none takes longer than a call may"


def test_every_command_of_the_queue_is_one_that_the_command_line_knows(monkeypatch):
    """Parsed as typed, with the functions replaced by ones that take the same arguments and do nothing."""
    called = []

    def inert(command):
        @functools.wraps(command)
        def note(*args, **kwargs):
            called.append((command.__name__, kwargs))

        return note

    monkeypatch.setattr(cli, "COMMANDS", tuple(inert(command) for command in cli.COMMANDS))
    words = [command.text.split() for task in [*queue(), *queue(smoke=True)] for command in task.commands]
    for typed in {tuple(w) for w in words}:
        cli.call(list(typed))
    assert {name for name, _ in called} == {"pretrain", "grid", "race", "part", "superres", "distill"}
    monkeypatch.setattr(grids.distillation, "Laboratory", lambda scale: None)
    monkeypatch.setattr(grids.restoration, "Laboratory", lambda scale: None)
    for name, given in called:  # and the cells that are asked for may be asked for
        given = given | {"scale": profile(given["profile"])}
        if name == "grid":
            given["n"] = given.get("n") or None
            asked = {k: given.get(k, ()) for k in ("steps", "guidance", "lengths")} | {"kinds": given.get("kinds", ("codi",))}
            cells, _ = grids.of(
                given.get("study", "sampling"), given["scale"], given["sizes"], sampler=given.get("sampler", "ddim"), n=None,
                seed=given.get("seed", 0), **asked,
            )  # fmt: skip
            assert cells
        if name == "race":
            assert study.sampling_grid(given["scale"], given["sizes"], given["steps"], given["scale"].guidance)
        if name == "pretrain" and given["c"] <= 320:
            assert given["images"] in given["scale"].lengths


DRIVER = """
import sys
from dataclasses import replace
from ldm import gpu_queue, profiles
from ldm.__main__ import call
every = gpu_queue.mini_tasks
gpu_queue.mini_tasks = lambda scale: [replace(every(scale)[0], commands=every(scale)[0].commands[:2])]
smoke = profiles.PROFILES["smoke"]
train = replace(smoke.train, images=640, warmup_images=160)
profiles.PROFILES["smoke"] = replace(smoke, family=(8,), train=train, lengths=(640,), length=640, steps=(50,), data=2_048)
call(["gpu-study", "--profile", "smoke", "--minutes", "30", "--out", sys.argv[1]])
"""


def machine(root: Path) -> Path:
    """A checkout as a lent machine gets it: the package, the art, the weights that ship; no rows, nothing trained."""
    shutil.copytree(ROOT / "ldm", root / "ldm", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "art").symlink_to(ROOT / "art")
    for path in (ROOT / "weights").glob("**/*.*"):
        link = root / path.relative_to(ROOT)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return root


def test_on_a_bare_machine_the_queue_is_cut_by_kill_9_and_goes_on_and_its_rows_come_home(tmp_path):
    lent, out = machine(tmp_path / "lent"), tmp_path / "out"

    def start() -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", DRIVER, str(out)], cwd=lent, env=one_device() | {"PYTHONPATH": str(lent)})

    first = start()
    while not list(out.glob("*")):  # packed after the training; the judging takes its seconds still
        assert first.poll() is None, "it ended before it had packed anything"
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    model = lent / "runs/mini/unet-c8-0k-s1.safetensors"
    trained = model.stat().st_mtime_ns
    assert not Store(lent).rows()["study"].isin(["queue"]).any()
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
