"""Fidelity and diversity of settings: real scenes lie among themselves, and a model's do less."""

from __future__ import annotations

import pytest

from ldm import profiles
from ldm.figures import diversity as figures
from ldm.figures.levels import MISSING
from ldm.study import diversity, lever_grid
from ldm.study.diversity import Diversity, DiversityEvaluator, diversity_grid
from ldm.study.lever_cells import Interval
from ldm.study.lever_record import with_costs
from ldm.study.levers import LeverEvaluation
from ldm.study.real import Real
from ldm.study.results import Store
from ldm.study.run import run
from ldm.study.sampling import sampling_grid

SMOKE, LAPTOP = profiles.get("smoke"), profiles.get("laptop-eps")
SHARES = ("precision_decoded", "recall_decoded", "density_decoded", "coverage_decoded")


def test_the_grid_has_every_lever_of_guidance_beside_none_and_real_scenes():
    cells = [cell.of for cell in diversity_grid(LAPTOP, (16,), levels=["all"])]
    real, *drawn = cells
    plain = [cell for cell in drawn if not isinstance(cell, LeverEvaluation)]
    pulled = [cell for cell in drawn if isinstance(cell, LeverEvaluation)]
    assert isinstance(real, Real) and real.decoded and real.level == "all"
    assert [cell.guidance for cell in plain] == list(LAPTOP.guidance)
    assert {(cell.c, cell.steps, cell.level) for cell in drawn} == {(16, diversity.STEPS, "all")}
    names = {cell.lever.name for cell in pulled}
    others = {"a smaller guide", "projected guidance", "CFG++", "rescaled guidance"}
    assert names == {"guidance in an interval", "autoguidance", *others}
    assert set(pulled) <= set(lever_grid.lever_grid(LAPTOP, (16,), level="all"))
    assert diversity_grid(SMOKE) == [] == diversity_grid(LAPTOP, (24,))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    (plain,) = sampling_grid(SMOKE, [8], [4], [4.0], level="all")
    fields = {name: getattr(plain, name) for name in ("profile", "c", "images", "steps", "guidance", "n", "level")}
    pulled = LeverEvaluation(**fields, study="levers", lever=Interval(low=0.3, high=3.0))
    cells = [Diversity(of=Real(profile="smoke", n=256, level="all", decoded=True))]
    cells += [Diversity(of=cell) for cell in (plain, pulled)]
    return run(cells, evaluator=DiversityEvaluator(SMOKE), store=Store(tmp_path_factory.mktemp("store")))


def test_real_scenes_lie_among_real_scenes_and_a_small_models_do_not(rows):
    real, plain, pulled = (part.set_index("metric") for part in _parts(rows))
    assert set(real.index) == set(plain.index) == set(pulled.index) == {*SHARES, *diversity.BESIDE}
    assert real.loc["precision_decoded", "value"] > 0.6 > plain.loc["precision_decoded", "value"]
    assert real.loc["recall_decoded", "value"] > 0.5 > plain.loc["recall_decoded", "value"]
    assert (rows["lo"] <= rows["value"]).all() and (rows["value"] <= rows["hi"]).all()


def test_rows_say_of_which_setting_they_are(rows):
    real, plain, pulled = (part.iloc[0] for part in _parts(rows))
    assert set(rows["study"]) == {"diversity"} and real["task"] == "autoencoder"
    assert (plain["c"], plain["steps"], plain["guidance"]) == (8, 4, 4.0)
    assert pulled["lever"] == "guidance in an interval" and pulled["done"] > 0


def test_the_chart_and_the_table_show_every_setting_and_the_best_ones(rows):
    chart = figures.tradeoff(with_costs(rows)).to_dict()
    drawn = next(iter(chart["datasets"].values()))
    assert {point["who"] for point in drawn} == {figures.USUAL, figures.REAL, "guidance in an interval"}
    said = {point["who"]: point["setting"] for point in drawn}
    assert said == {
        figures.USUAL: "guidance 4",
        figures.REAL: "",
        "guidance in an interval": "noise levels 0.3 to 3, guidance 4",
    }
    assert all(point[f"{name} lo"] <= point[name] for point in drawn for name in (figures.FAITHFUL, figures.DIVERSE))
    heads, _, real, *lines = figures.at_best(with_costs(rows), "fd_scene_decoded", SHARES[:2]).data.split("\n")
    assert heads.startswith("| size c | guided by | setting | GFLOPs | FD-scene | precision")
    assert real.startswith("| – | real scenes, decoded |") and len(lines) == 2
    assert all(line.startswith("| 8 |") and line.count("[") == 3 for line in lines)
    assert figures.tradeoff(rows[:0]).data == MISSING and not figures.at_best(rows[:0], "alignment", ()).data


def _parts(rows):
    """The rows of real scenes, of a setting without a lever, and of one with."""
    real = rows["task"] == "autoencoder"
    pulled = rows["lever"].notna() & (rows["lever"] != "")
    return rows[real], rows[~real & ~pulled], rows[pulled]
