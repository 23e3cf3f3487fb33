"""The study at the smoke profile: cells run once, survive kill -9, and answer wrong questions early."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.study_kills import CELLS, finish, killed, measured
from ldm import profiles
from ldm.diffusion.solvers import plan
from ldm.figures import samples
from ldm.metrics import Estimate
from ldm.study import recompute, sampling
from ldm.study.evaluator import Evaluator
from ldm.study.results import Store
from ldm.study.rows import Row
from ldm.study.run import at_hand, run
from ldm.study.scene_metrics import Measurement
from ldm.tasks.models import Model
from tests.environment import one_device

SMOKE = profiles.get("smoke")


@pytest.fixture(scope="module")
def undisturbed(made_once) -> Path:
    return made_once("undisturbed", lambda root: finish(root, one_device()))


def test_every_cell_leaves_one_row_a_metric_with_interval_and_setting(undisturbed):
    rows = Store(undisturbed).rows()
    assert len(rows) == len(CELLS) * rows["metric"].nunique()
    assert {"kid_effnet", "fd_effnet", "kid_scene", "fd_scene", "alignment", "subject"} <= set(rows["metric"])
    assert (rows["lo"] <= rows["value"]).all()
    assert (rows["value"] <= rows["hi"]).all()
    assert set(rows.groupby("key")["n"].max()) == {16}, "of what is not always said there are fewer"
    assert set(rows["nfe"]) == {4, 8}
    assert rows["gflops"].nunique() == 1


def test_killed_at_random_moments_the_rows_are_those_of_an_undisturbed_run(undisturbed, tmp_path):
    """Three kills; `python -m benchmarks.study_kills` makes it ten."""
    killed(tmp_path, 3, one_device())
    pd.testing.assert_frame_equal(measured(tmp_path), measured(undisturbed))


def test_running_it_again_computes_nothing(undisturbed, monkeypatch):
    monkeypatch.setattr(sampling.SamplingEvaluator, "evaluate", lambda *_: pytest.fail("a finished cell was run again"))
    rows = run(CELLS, store=Store(undisturbed), evaluator=sampling.SamplingEvaluator(SMOKE))
    assert set(rows["key"]) == set(measured(undisturbed)["key"])


def test_a_new_setting_runs_only_what_is_new(undisturbed, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(sampling.SamplingEvaluator, "evaluate", lambda self, cell: asked.append(cell) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cells = [*CELLS, *sampling.sampling_grid(SMOKE, (8,), (3,), (4.0,), n=16)]
        run(cells, store=Store(undisturbed), evaluator=sampling.SamplingEvaluator(SMOKE))
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


@dataclass(frozen=True)
class Toss:
    """A cell of a study that nobody has heard of: it needs no model if it is fair."""

    profile: str
    heads: int
    fair: bool = True


class TossEvaluator(Evaluator[Toss]):
    versions = {"toss": 1}

    def model_of(self, cell: Toss) -> Model | None:
        return None if cell.fair else Model(8, 123, cell.heads)

    def data_of(self, cell: Toss) -> str:
        return "coin"

    def evaluate(self, cell: Toss) -> tuple[Measurement, list, float]:
        return Measurement(estimates={"heads": (Estimate.of(cell.heads, 1.0, 16), "counted")}), [], 0.5

    def columns(self, cell: Toss) -> dict:
        return dict(study="sampling", profile=cell.profile, task="toss")

    def setting(self, cell: Toss) -> str:
        return "a fair coin"


def test_the_runner_runs_any_study_whose_evaluator_says_what_is_its_own(tmp_path, monkeypatch):
    store, evaluator = Store(tmp_path), TossEvaluator(SMOKE)
    cells = [Toss("smoke", heads) for heads in (3, 5)]
    rows = run(cells, store=store, evaluator=evaluator)
    assert sorted(rows["value"]) == [3, 5] and set(rows["protocol"]) == {"counted; a fair coin"}
    monkeypatch.setattr(TossEvaluator, "evaluate", lambda *_: pytest.fail("a finished cell was run again"))
    assert set(run(cells, store=store, evaluator=evaluator)["key"]) == {evaluator.key(cell) for cell in cells}
    unfair = Toss("smoke", 7, fair=False)
    assert at_hand(cells, store=store, evaluator=evaluator) == cells
    with pytest.raises(ValueError, match=r"c = 8 after 123 images \(seed 7\)"):
        at_hand([*cells, unfair], store=store, evaluator=evaluator)
    with pytest.raises(TypeError, match="abstract"):
        Evaluator(SMOKE)


def test_no_cells_are_a_mistake():
    with pytest.raises(ValueError, match="There are no cells"):
        run([], evaluator=sampling.SamplingEvaluator(SMOKE))


def test_cells_drawn_by_lot_are_run_again_and_never_compared_with_themselves(undisturbed, tmp_path, monkeypatch):
    """A record that is not what the models give is found out, on this machine too."""
    store, evaluator = Store(tmp_path), sampling.SamplingEvaluator(SMOKE)
    rows = Store(undisturbed).rows()
    for key, group in rows.groupby("key"):
        moved = group.copy()
        moved.loc[moved["metric"] == "kid_effnet", ["value", "lo", "hi"]] += 5
        records = moved.astype(object).where(moved.notna(), None).to_dict("records")
        store.write(key, [Row(**record) for record in records])
    assert recompute.agreement(CELLS, 2, store=store, evaluator=evaluator).startswith(
        "Nothing was recomputed"
    )  # no record yet
    store.compact()
    chosen = recompute.drawn_by_lot(CELLS, 2, store=store, evaluator=evaluator)
    assert len(set(chosen)) == 2 and chosen == recompute.drawn_by_lot(CELLS, 2, store=store, evaluator=evaluator)
    table = recompute.recompute(chosen, store=store, evaluator=evaluator)
    true = rows.set_index(["key", "metric"])["value"]
    again = table[table["metric"] == "kid_effnet"]
    assert set(again["again"]) == {f"{true[evaluator.key(cell), 'kid_effnet']:.4g}" for cell in chosen}
    assert table.loc[table["metric"] != "kid_effnet", "agrees"].all()
    assert (table.loc[table["metric"] != "kid_effnet", "off"] < 0.01).all()
    assert (again["off"] > 0).all()
    monkeypatch.setattr(evaluator, "evaluate", lambda cell: (_ for _ in ()).throw(RuntimeError("asked again")))
    with pytest.raises(RuntimeError, match="asked again"):  # what an earlier call gave is no answer of this code
        recompute.recompute(chosen, store=store, evaluator=evaluator)
    monkeypatch.undo()
    text = recompute.agreement(CELLS, 2, store=store, evaluator=evaluator)
    assert f"2 of the {len(CELLS)} settings" in text and f"of {len(table)}**" in text


def test_influences_are_kept_for_every_metric_and_give_the_intervals_back(undisturbed):
    store = Store(undisturbed)
    rows = store.rows()
    for metric in ("fd_scene_decoded", "kid_effnet_decoded", "subject"):
        own = rows[rows["metric"] == metric]
        kept = store.influences(own, metric)
        assert set(kept) == set(own["key"]) and {len(part) for part in kept.values()} == {16}
    fd = rows[rows["metric"] == "fd_scene_decoded"].iloc[0]
    se = store.influences(rows, "fd_scene_decoded")[fd["key"]].std(ddof=1) / 4
    assert fd["hi"] - fd["lo"] == pytest.approx(2 * 1.96 * se, rel=1e-3)
    assert store.influences(rows, "no such metric") == {}


@pytest.mark.slow
def test_a_profile_that_trains_in_bfloat16_draws_in_it_the_same_pictures_under_another_name():
    half = replace(SMOKE, train=replace(SMOKE.train, bf16=True))
    whole = sampling.SamplingEvaluator(SMOKE)
    full, rounded = (replace(whole.load(Model(8, SMOKE.length)), profile=profile) for profile in (SMOKE, half))
    assert {p.dtype.name for p in rounded.drawing.values()} == {"float32", "bfloat16"}
    assert full.drawing is full.drawing, "the parameters travel to the device once, not at every batch"
    a, b = (next(g.images(["a large crab at the left"] * 4, plan("ddim", 4), 2.0)).astype(int) for g in (full, rounded))
    assert a.std() > 10 and 0 < np.abs(a - b).mean() < 3
    assert sampling.SamplingEvaluator(half).versions != whole.versions == sampling.SamplingEvaluator(SMOKE).versions


@pytest.mark.slow
def test_a_level_has_its_own_captions_rows_and_names_and_only_what_is_said_is_judged(tmp_path):
    """One model answers every level. Of captions that name the subject alone, no share of styles can be right."""
    evaluator, store = sampling.SamplingEvaluator(SMOKE), Store(tmp_path)
    cells = {
        level: sampling.sampling_grid(SMOKE, (8,), (2,), (1.5,), n=16, level=level)[0]
        for level in ("all", "some", "subject")
    }
    assert len({evaluator.key(cell) for cell in cells.values()}) == 3
    rows = run(list(cells.values()), store=store, evaluator=evaluator).set_index("key")
    of = {level: rows.loc[evaluator.key(cell)].set_index("metric") for level, cell in cells.items()}
    assert {"style", "kind", "colours", "relation"}.isdisjoint(of["subject"].index)
    assert {"kid_effnet", "subject", "alignment"} <= set(of["subject"].index)
    said = [evaluator.scenes_of(cells["some"]).said(i) for i in range(16)]
    assert of["some"].loc["style", "n"] == sum("style" in parts for parts in said)
    assert of["all"]["n"].eq(16).all() and of["subject"]["n"].eq(16).all()
    levels = {
        level: set(found["level"].astype(object).where(found["level"].notna(), None)) for level, found in of.items()
    }
    assert levels == {level: {level} for level in cells}
    paper = sampling.SamplingEvaluator(profiles.get("tpu"))  # where every caption says all, rows need not say so
    assert paper.columns(sampling.sampling_grid(paper.profile, (128,), (4,), (1.5,))[0])["level"] is None
    shown = samples.strip(store, evaluator, cells["subject"])._repr_html_()
    captions = evaluator.scenes_of(cells["subject"]).captions(range(8))
    assert all(caption in shown for caption in captions) and "background" not in shown
    protocols = {level: found["protocol"].iloc[0].rpartition("; ")[2] for level, found in of.items()}
    assert protocols == {
        "all": "val captions", "some": "val captions that say some", "subject": "val captions that say subject",
    }  # fmt: skip
    for level, found in of.items():
        kept = store.influences(found.reset_index().assign(key=evaluator.key(cells[level])), "alignment")
        (influences,) = kept.values()
        assert np.mean(influences) == pytest.approx(found.loc["alignment", "value"], abs=1e-3)
