"""What the queue for a GPU brings home: packed along the way, whole wherever it is cut."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from launch.gpu import pack as packing
from launch.gpu.pack import Pack, unpack
from launch.gpu.queue import queue
from launch.gpu.worker import Worker
from ldm import profiles
from ldm.networks import weights
from ldm.paths import ROOT
from ldm.study.results import Store
from tests.environment import one_device
from tests.test_without_jax import loaded_by


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
