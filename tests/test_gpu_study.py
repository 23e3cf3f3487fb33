"""The queue for a GPU: what fits is done in order, cut anywhere and gone on with."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from launch.gpu import queue as gpu_queue
from launch.gpu import run as gpu_study
from launch.gpu.pack import unpack
from launch.gpu.queue import Command, queue
from ldm import __main__ as cli
from ldm import paths, profiles
from ldm.networks.structure import abstract
from ldm.study import grids
from ldm.study.results import Store
from ldm.study.rows import Row
from ldm.tasks import memory, pretrain, together

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
    wide, published = ([one.c for one in unets if one.names == (name,)] for name in ("gpu-dit", "gpu-dit-published"))
    larger = [one.c for one in unets if one.names == ("gpu-dit-published-64",)]
    assert published == larger == [384, 768, 1024]
    rest = [*wide, *published, *larger]
    assert [one.c for one in unets] == [8, 16, 24, 32, 48, 64, 128, 320, 64, 192, 96, 256, *rest]
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
    assert {name for name, _ in called} == {"together", "pretrain", "grid", "part", "superres", "distill"}
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
