"""The study at the smoke profile: cells run once, survive kill -9, and answer wrong questions early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.study_kills import CELLS, finish, killed, measured
from ldm.diffusion.solvers import plan
from ldm.profiles import profile
from ldm.study import recompute as live
from ldm.study import sampling
from ldm.study.results import Row, Store
from ldm.study.run import run
from tests.environment import one_device

SMOKE = profile("smoke")


@pytest.fixture(scope="module")
def undisturbed(made_once) -> Path:
    return made_once("undisturbed", lambda root: finish(root, one_device()))


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
    """Three kills; `python -m benchmarks.study_kills` makes it ten."""
    killed(tmp_path, 3, one_device())
    pd.testing.assert_frame_equal(measured(tmp_path), measured(undisturbed))


def test_running_it_again_computes_nothing(undisturbed, monkeypatch):
    monkeypatch.setattr(sampling.Laboratory, "evaluate", lambda *_: pytest.fail("a finished cell was run again"))
    rows = run(CELLS, store=Store(undisturbed))
    assert set(rows["key"]) == set(measured(undisturbed)["key"])


def test_a_new_setting_runs_only_what_is_new(undisturbed, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(sampling.Laboratory, "evaluate", lambda self, cell: asked.append(cell) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run([*CELLS, *sampling.sampling_grid(SMOKE, (8,), (3,), (4.0,), n=16)], store=Store(undisturbed))
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
        sampling.Evaluation(**(fields | change))


def test_no_cells_are_a_mistake():
    with pytest.raises(ValueError, match="There are no cells"):
        run([])


def test_cells_drawn_by_lot_are_run_again_and_never_compared_with_themselves(undisturbed, tmp_path):
    """A record that is not what the models give is found out, on this machine too."""
    store, lab = Store(tmp_path), sampling.Laboratory(SMOKE)
    rows = Store(undisturbed).rows()
    for key, group in rows.groupby("key"):
        moved = group.copy()
        moved.loc[moved["metric"] == "kid_effnet", ["value", "lo", "hi"]] += 5
        records = moved.astype(object).where(moved.notna(), None).to_dict("records")
        store.write(key, [Row(**record) for record in records])
    assert live.agreement(CELLS, 2, store=store, lab=lab).startswith("Nothing was recomputed")  # no record yet
    store.compact()
    chosen = live.drawn_by_lot(CELLS, 2, store=store, lab=lab)
    assert len(set(chosen)) == 2 and chosen == live.drawn_by_lot(CELLS, 2, store=store, lab=lab)
    table = live.recompute(chosen, store=store, lab=lab)
    true = rows.set_index(["key", "metric"])["value"]
    again = table[table["metric"] == "kid_effnet"]
    assert set(again["again"]) == {f"{true[lab.key(cell), 'kid_effnet']:.4g}" for cell in chosen}
    assert table.loc[table["metric"] != "kid_effnet", "agrees"].all()
    assert (table.loc[table["metric"] != "kid_effnet", "off"] < 0.01).all()
    assert (again["off"] > 0).all()
    text = live.agreement(CELLS, 2, store=store, lab=lab)
    assert f"2 of the {len(CELLS)} cells" in text and f"of {len(table)}**" in text


def test_influences_are_kept_for_every_metric_and_give_the_intervals_back(undisturbed):
    store = Store(undisturbed)
    rows = store.rows()
    for metric in ("fd_effnet", "alignment", "subject"):
        own = rows[rows["metric"] == metric]
        kept = store.influences(own, metric)
        assert set(kept) == set(own["key"]) and {len(part) for part in kept.values()} == {16}
    fd = rows[rows["metric"] == "fd_effnet"].iloc[0]
    se = store.influences(rows, "fd_effnet")[fd["key"]].std(ddof=1) / 4
    assert fd["hi"] - fd["lo"] == pytest.approx(2 * 1.96 * se, rel=1e-3)
    assert store.influences(rows, "no such metric") == {}


def test_a_profile_that_trains_in_bfloat16_draws_in_it_the_same_pictures_under_another_name():
    half = replace(SMOKE, train=replace(SMOKE.train, bf16=True))
    whole = sampling.Laboratory(SMOKE)
    full, rounded = (replace(whole.load(8, SMOKE.length, 0), profile=scale) for scale in (SMOKE, half))
    assert {p.dtype.name for p in rounded.drawing.values()} == {"float32", "bfloat16"}
    assert full.drawing is full.drawing, "the parameters travel to the device once, not at every batch"
    a, b = (next(g.images(["a large crab at the left"] * 4, plan("ddim", 4), 2.0)).astype(int) for g in (full, rounded))
    assert a.std() > 10 and 0 < np.abs(a - b).mean() < 3
    assert sampling.Laboratory(half).versions != whole.versions == sampling.Laboratory(SMOKE).versions
