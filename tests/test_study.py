"""The study at the smoke profile: cells run once, survive kill -9, and answer wrong questions early."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from ldm import study
from ldm.profiles import ROOT, profile
from ldm.results import Store

SMOKE = profile("smoke")
CELLS = study.sampling_grid(SMOKE, (8,), (2, 4), (1.5, 4.0), n=16)
MEASURED = ["key", "metric", "protocol", "value", "lo", "hi", "n"]

# What a reader's command does, with the rows going to a folder of the test's own.
SCRIPT = """
import sys
from ldm import study
from ldm.profiles import profile
from ldm.results import Store
cells = study.sampling_grid(profile("smoke"), (8,), (2, 4), (1.5, 4.0), n=16)
study.run(cells, store=Store(sys.argv[1]))
"""


def start(root: Path) -> subprocess.Popen:
    environment = {**os.environ, "XLA_FLAGS": "", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(root)], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )


def measured(root: Path) -> pd.DataFrame:
    return Store(root).rows()[MEASURED]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    assert start(root).wait(timeout=300) == 0
    return root


def test_every_cell_leaves_one_row_a_metric_with_interval_and_setting(undisturbed):
    rows = Store(undisturbed).rows()
    assert len(rows) == len(CELLS) * rows["metric"].nunique()
    assert {"kid_effnet", "fd_effnet", "kid_scene", "fd_scene", "alignment", "subject"} <= set(rows["metric"])
    assert (rows["lo"] <= rows["value"]).all()
    assert (rows["value"] <= rows["hi"]).all()
    assert set(rows["n"]) == {16}
    assert set(rows["nfe"]) == {4, 8}
    assert rows["gflops"].nunique() == 1


def test_killed_at_random_moments_the_rows_are_those_of_an_undisturbed_run(undisturbed, tmp_path):
    moments = random.Random(0)
    for _ in range(10):
        process = start(tmp_path)
        time.sleep(moments.uniform(1, 12))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(tmp_path).wait(timeout=300) == 0
    pd.testing.assert_frame_equal(measured(tmp_path), measured(undisturbed))


def test_running_it_again_computes_nothing(undisturbed, monkeypatch):
    monkeypatch.setattr(study.Laboratory, "evaluate", lambda *_: pytest.fail("a finished cell was run again"))
    rows = study.run(CELLS, store=Store(undisturbed))
    assert set(rows["key"]) == set(measured(undisturbed)["key"])


def test_a_new_setting_runs_only_what_is_new(undisturbed, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(study.Laboratory, "evaluate", lambda self, cell: asked.append(cell) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        study.run([*CELLS, *study.sampling_grid(SMOKE, (8,), (3,), (4.0,), n=16)], store=Store(undisturbed))
    assert [cell.steps for cell in asked] == [3]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"c": 12}, "c = 12: expected a size of profile smoke"),
        ({"images": 123}, "images = 123: expected a training length"),
        ({"steps": -4}, "steps = -4: expected an integer from 1"),
        ({"steps": 2000}, "steps = 2000: expected an integer from 1"),
        ({"guidance": -1.0}, "guidance = -1.0: expected 1"),
        ({"guidance": float("nan")}, "guidance = nan: expected 1"),
        ({"n": 3}, "n = 3: expected 16"),
        ({"sampler": "lms"}, "sampler = 'lms': expected one of ddim"),
        ({"profile": "huge"}, "profile = 'huge': expected one of smoke"),
    ],
)
def test_a_wrong_cell_is_refused_before_anything_runs(change, sentence):
    fields = dict(study="sampling", profile="smoke", c=8, images=SMOKE.length, steps=4, guidance=2.0, n=16)
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        study.Evaluation(**(fields | change))


def test_no_cells_are_a_mistake():
    with pytest.raises(ValueError, match="There are no cells"):
        study.run([])
