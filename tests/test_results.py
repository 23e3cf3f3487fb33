"""Rows and their store: names, kills, damage, filters."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from ldm import files
from ldm.hashing import key, later
from ldm.study import influences, results
from ldm.study.results import Store
from ldm.study.rows import COLUMNS, Row

ROOT = Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    c: int = 8
    guidance: float = 2.0
    steps: tuple[int, ...] = (4, 8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Other:
    c: int = 8
    guidance: float = 2.0
    steps: tuple[int, ...] = (4, 8)


def row(metric: str = "FD-scene", **changed) -> Row:
    values = dict(
        study="sampling",
        profile="smoke",
        task="pretrain",
        metric=metric,
        protocol="n64",
        value=1.5,
        lo=1.0,
        hi=2.0,
        n=64,
    )
    return Row(**(values | changed))


def test_columns_are_those_of_the_design():
    assert (
        COLUMNS
        == (
            "study profile task size c params gflops seed train_steps images_seen sampler steps "
            "guidance level nfe cost strength lever dose done metric protocol value lo hi n seconds "
            "machine dtype micro_batches remat mesh contender setting key created versions"
        ).split()
    )


@pytest.mark.parametrize(
    "changed, word",
    [
        (dict(study="samplng"), "samplng"),
        (dict(value=float("nan")), "nan"),
        (dict(hi=float("inf")), "inf"),
        (dict(lo=3.0), "interval"),
        (dict(n=0), "n = 0"),
        (dict(protocol=""), "protocol"),
    ],
)
def test_a_wrong_row_is_refused_in_one_sentence(changed, word):
    with pytest.raises(ValueError, match=word) as caught:
        row(**changed)
    assert "\n" not in str(caught.value)


def test_key_is_the_same_today_as_when_the_shipped_rows_were_made():
    assert key(Cell(), data=1) == "d34204ace534b930"  # a change here makes every row stale


def test_key_tells_cells_fields_and_versions_apart():
    cells = [Cell(), Other(), Cell(c=16), Cell(guidance=2.5), Cell(steps=(8, 4)), Cell(steps=())]
    names = {key(cell) for cell in cells} | {key(Cell(), code=1), key(Cell(), code=2)}
    assert len(names) == 8


def test_a_field_that_came_later_changes_no_key_at_its_default():
    """Rows that were recorded before a cell had the field stay its rows."""
    grown = dataclasses.make_dataclass("Cell", [("level", str, later("all"))], bases=(Cell,), frozen=True, kw_only=True)
    assert key(grown(), data=1) == key(Cell(), data=1)
    assert key(grown(level="some"), data=1) != key(Cell(), data=1)


def test_a_renamed_class_keeps_its_keys():
    old = dataclasses.make_dataclass("Old", [("steps", int)])
    renamed = dataclasses.make_dataclass("Renamed", [("steps", int)], namespace={"KEY": "Old"})
    assert key(renamed(4)) == key(old(4)) != key(dataclasses.make_dataclass("Renamed", [("steps", int)])(4))


def test_key_does_not_care_how_a_number_or_a_sequence_is_spelled():
    same = [Cell(), Cell(guidance=2), Cell(c=np.int64(8)), Cell(steps=[4, 8])]
    assert len({key(cell) for cell in same}) == 1


@given(st.floats(-1e300, 1e300))
def test_key_separates_a_value_from_its_neighbour(guidance):
    assert key(Cell(guidance=guidance)) != key(Cell(guidance=float(np.nextafter(guidance, np.inf))))


@pytest.mark.parametrize("value", [Path("x"), {1}, np.zeros(2), object()])
def test_key_refuses_what_has_no_canonical_form(value):
    with pytest.raises(TypeError, match="cannot be part of a key"):
        key(Cell(c=value))


def test_rows_come_back_as_they_were_written(tmp_path):
    store = Store(tmp_path)
    written = row(c=8, params=547_012, guidance=2.0, steps=4, seconds=1.25)
    store.write("a", [written], {"strip.webp": b"pixels"})
    assert store.has("a") and not store.has("b")
    frame = store.rows()
    assert list(frame.columns) == COLUMNS
    back = {k: None if pd.isna(v) else v for k, v in frame.iloc[0].items()}
    assert back == dataclasses.asdict(written) | {"key": "a"}
    assert store.file("a", "strip.webp").read_bytes() == b"pixels"
    assert store.file("a", "other.webp") is None


def test_an_empty_store_has_all_columns_and_no_row(tmp_path):
    frame = Store(tmp_path).rows()
    assert list(frame.columns) == COLUMNS and len(frame) == 0
    assert Store(tmp_path).compact() == []


def test_writing_a_cell_twice_gives_its_rows_once(tmp_path):
    store = Store(tmp_path)
    for _ in range(2):
        store.write("a", [row(), row("KID-scene")])
    assert len(store.rows()) == 2


@pytest.mark.parametrize(
    "rows, word",
    [
        ([], "no rows"),
        ([row(), row(value=1.2)], "two rows"),
        ([row(key="other")], "of another"),
    ],
)
def test_rows_that_do_not_make_a_cell_are_refused(tmp_path, rows, word):
    with pytest.raises(ValueError, match=word):
        Store(tmp_path).write("a", rows)
    assert not Store(tmp_path).has("a")


def test_a_file_name_may_not_leave_the_cell(tmp_path):
    with pytest.raises(ValueError, match="plain file name"):
        Store(tmp_path).write("a", [row()], {"../x": b""})
    assert not Store(tmp_path).has("a")


def test_filters_keep_equal_values_members_and_missing_values(tmp_path):
    store = Store(tmp_path)
    for c in (8, 16, 24):
        store.write(f"c{c}", [row(c=c, guidance=c / 4)])
    store.write("none", [row(study="metrics")])
    assert list(store.rows(c=16)["key"]) == ["c16"]
    assert list(store.rows(c=[8, 24], study="sampling")["key"]) == ["c8", "c24"]
    assert list(store.rows(guidance=2.0)["key"]) == ["c8"]
    assert list(store.rows(c=None)["key"]) == ["none"]
    assert len(store.rows(c=32)) == 0
    with pytest.raises(ValueError, match="'guidence' is no column"):
        store.rows(guidence=2.0)


def test_compacting_moves_nothing_loses_nothing_and_repeats_to_the_byte(tmp_path):
    store = Store(tmp_path)
    store.write("a", [row(c=8)], {"strip.webp": b"pixels"})
    store.write("b", [row(c=16, study="pretraining"), row("KID-scene", study="pretraining")])
    before = store.rows()
    paths = store.compact()
    assert [p.name for p in paths] == ["pretraining-smoke.parquet", "sampling-smoke.parquet"]
    pd.testing.assert_frame_equal(store.rows(), before)
    pd.testing.assert_frame_equal(store.rows(only="recorded"), before)
    first = [p.read_bytes() for p in paths]
    assert [p.read_bytes() for p in store.compact()] == first
    (tmp_path / "runs").rename(tmp_path / "gone")
    clone = Store(tmp_path)
    pd.testing.assert_frame_equal(clone.rows(), before)
    assert clone.has("a") and clone.has("b", only="recorded") and not clone.has("a", only="runs")
    assert clone.file("a", "strip.webp").read_bytes() == b"pixels"


def test_no_row_is_recorded_before_the_files_of_its_cell(tmp_path, monkeypatch):
    store, written = Store(tmp_path), []
    store.write("a", [row()], {influences.FILE: b"influences"})
    monkeypatch.setattr(results, "write_atomic", lambda path, data: written.append(path.suffix) or path)
    store.compact()
    assert written == [".gz", ".parquet"]


def test_this_machines_row_counts_before_the_recorded_one(tmp_path):
    store = Store(tmp_path)
    store.write("a", [row(value=1.2)])
    store.compact()
    store.write("a", [row(value=1.3)])
    assert list(store.rows()["value"]) == [1.3]
    assert list(store.rows(only="recorded")["value"]) == [1.2]
    assert list(store.rows(only="runs")["value"]) == [1.3]


def test_a_torn_part_is_named_ignored_and_written_anew(tmp_path):
    store = Store(tmp_path)
    store.write("a", [row()])
    store.write("b", [row()])
    part = tmp_path / "runs/rows/a.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.warns(UserWarning, match=r"a\.parquet is damaged .* runs again"):
        assert not store.has("a")
    with pytest.warns(UserWarning, match=r"a\.parquet is damaged"):
        assert list(store.rows()["key"]) == ["b"]
    store.write("a", [row()])
    assert len(Store(tmp_path).rows()) == 2


def test_a_flipped_byte_in_a_part_is_noticed(tmp_path):
    store = Store(tmp_path)
    store.write("a", [row()])
    part = tmp_path / "runs/rows/a.parquet"
    data = bytearray(part.read_bytes())
    data[200] ^= 255
    part.write_bytes(data)
    with pytest.warns(UserWarning, match="damaged"):
        assert not Store(tmp_path).has("a")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a parquet file at all"])
def test_a_damaged_recorded_file_stops_with_the_remedy(tmp_path, content):
    store = Store(tmp_path)
    store.write("a", [row()])
    (path,) = store.compact()
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged.*git checkout") as caught:
        Store(tmp_path).rows()
    assert "\n" not in str(caught.value)


def test_columns_that_an_older_file_lacks_are_missing_values(tmp_path):
    (tmp_path / "results").mkdir()
    old = pd.DataFrame([dataclasses.asdict(row(key="a"))]).drop(columns=["nfe", "versions"])
    pq.write_table(pa.Table.from_pandas(old, nthreads=1), tmp_path / "results/old.parquet")
    frame = Store(tmp_path).rows()
    assert list(frame.columns) == COLUMNS and frame["nfe"].isna().all()


def test_a_full_disk_is_one_sentence_and_costs_nothing_finished(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write("a", [row()], {"strip.webp": b"old"})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="disk is full.*free some space") as caught:
        store.write("b", [row()])
    assert caught.value.errno == errno.ENOSPC and "\n" not in str(caught.value)
    with pytest.raises(OSError, match="disk is full"):
        store.write("a", [row(value=1.9)], {"strip.webp": b"new"})
    monkeypatch.undo()
    assert list(Store(tmp_path).rows()["value"]) == [1.5]
    assert store.file("a", "strip.webp").read_bytes() == b"old"
    assert not store.has("b")
    assert not list(tmp_path.rglob("*.tmp"))


WRITER = """
import sys, os
sys.path.insert(0, {root!r})
sys.path.insert(0, {tests!r})
from test_results import row
from ldm.study.results import Store
store = Store({folder!r})
for i in range(10_000):
    rows = [row(f"m{{j}}", value=i, lo=i, hi=i) for j in range(20)]
    store.write(f"cell{{i % 7}}", rows, {{"strip": bytes([i % 256]) * 10_000}})
    if i == 0:
        print("started", flush=True)
"""


def test_a_writer_killed_at_random_moments_leaves_only_whole_cells(tmp_path):
    code = WRITER.format(root=str(ROOT), tests=str(ROOT / "tests"), folder=str(tmp_path))
    seen = set()
    for delay in (0.0, 0.013, 0.037):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        writer.stdout.readline()
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        frame = Store(tmp_path).rows()  # a torn part would warn, and warnings are errors
        assert (frame.groupby("key").size() == 20).all()
        assert (frame.groupby("key")["value"].nunique() == 1).all()
        assert all(Store(tmp_path).file(name, "strip") for name in frame["key"].unique())
        seen.add(len(frame))
    assert max(seen) >= 20


def _work(folder: str, i: int) -> None:
    store = Store(folder)
    for name in ("x", "y", "z"):
        with store.lock(name):
            if not store.has(name):
                time.sleep(0.02)
                store.write(name, [row(value=i, lo=i, hi=i)])
                Path(folder, f"ran-{name}-{i}").touch()


@pytest.mark.slow
def test_four_processes_run_each_cell_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(str(tmp_path), i)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(Store(tmp_path).rows()) == 3
    assert len(list(tmp_path.glob("ran-*"))) == 3


def test_influences_are_those_of_all_cells_or_of_none_and_a_lost_file_is_named(tmp_path):
    store = Store(tmp_path)
    part = lambda *names: {influences.FILE: influences.pack({name: np.zeros(4) for name in names})}
    store.write("a", [row(c=8)], part("KID", "FD"))
    store.write("b", [row(c=16)], part("FD"))
    assert set(store.influences(store.rows(), "FD")) == {"a", "b"}
    assert store.influences(store.rows(), "KID") == {} == store.influences(store.rows(), "other")
    store.write("c", [row(c=24)])
    with pytest.raises(ValueError, match="1 of 3 cells, c first, have no influences beside their rows"):
        store.influences(store.rows(), "FD")
    assert store.influences(store.rows(), "other") == {}


@pytest.mark.parametrize("harm", [lambda whole: whole[:40], lambda whole: b"parts", lambda whole: gzip.compress(b"{}")])
def test_influences_that_are_damaged_are_named_and_never_read_as_others(tmp_path, harm):
    given = {"FD": np.linspace(-1, 1, 8), "alignment": np.eye(8)[0]}
    whole = influences.pack(given)
    assert whole == influences.pack(dict(reversed(given.items())))
    store = Store(tmp_path)
    store.write("a", [row()], {influences.FILE: whole})
    np.testing.assert_array_equal(store.influences(store.rows(), "FD")["a"], given["FD"].astype(np.float16))
    store.file("a", influences.FILE).write_bytes(harm(whole))
    with pytest.raises(ValueError, match=r"parts\.safetensors\.gz is damaged .*; if it is under results/, restore it"):
        store.influences(store.rows(), "FD")
