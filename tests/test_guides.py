"""Sizes that may be guided: in made-up worlds the chapter says who wins, and only where all is recorded."""

from __future__ import annotations

import pandas as pd
import pytest

from ldm import profiles
from ldm.figures import guides
from ldm.study import lever_grid, lever_record
from ldm.study.levers import LeverEvaluator
from ldm.study.results import Store
from ldm.study.rows import Row
from ldm.study.sampling import SamplingEvaluator, sampling_grid

OPEN, METRIC = profiles.get("laptop-eps"), "fd_scene_decoded"


def world(folder, gain: dict[int, float]) -> pd.DataFrame:
    """Rows in which size decides and steps hardly matter; a guide takes the given share away from each size's value."""
    store, evaluator, plain = Store(folder), LeverEvaluator(OPEN), SamplingEvaluator(OPEN)
    cells = sampling_grid(OPEN, lever_grid.SIZES, OPEN.steps, OPEN.guidance)
    for cell in [*cells, *lever_grid.guided_grid(OPEN)]:
        pulled = hasattr(cell, "lever")
        by = evaluator if pulled else plain
        value = (100 / cell.c + 1 / cell.steps) * (1 - gain[cell.c] if pulled else 1)
        numbers = dict(metric=METRIC, protocol="made up", value=value, lo=value * 0.99, hi=value * 1.01, n=OPEN.n)
        store.write(by.key(cell), [Row(**by.columns(cell), **numbers)])
    return lever_record.with_guides(store, evaluator, "some")


def answers(rows: pd.DataFrame) -> dict[str, list[str]]:
    """What F3's table says in each way: of all step counts, and of four and more."""
    lines = [line.split("|") for line in guides.verdicts(rows, [METRIC], lambda *_: {}).data.splitlines()[2:]]
    said: dict[str, list[str]] = {}
    for cells in lines:
        way, steps = (cell.strip() for cell in cells[1:3])
        said.setdefault(way, []).append(cells[3].split("**")[1])
        assert steps == ("all", "4 and more")[len(said[way]) - 1]
    return said


def test_where_guides_cure_small_sizes_alone_a_smaller_one_wins_with_a_guide_and_not_without(tmp_path):
    rows = world(tmp_path, {8: 0.0, 16: 0.8, 32: 0.0})
    assert answers(rows) == {"plain sampling": ["fails"] * 2, "a guide allowed": ["holds"] * 2}
    chart, divided = guides.contests(rows, [METRIC], lambda *_: {})
    assert len(set(chart.data["panel"])) == 2 and divided.data.count("\n") == 3
    drawn = guides.curves(rows, METRIC)
    assert set(drawn.data["way"]) == set(guides.WAYS)


@pytest.mark.parametrize("gain", [dict.fromkeys(lever_grid.SIZES, 0.0), dict.fromkeys(lever_grid.SIZES, 0.5)])
@pytest.mark.slow
def test_a_guide_that_does_nothing_or_as_much_for_all_sizes_changes_no_answer(tmp_path, gain):
    assert answers(world(tmp_path, gain)) == {"plain sampling": ["fails"] * 2, "a guide allowed": ["fails"] * 2}


def test_where_a_guide_is_missing_nothing_is_compared(tmp_path, monkeypatch):
    rows = world(tmp_path, dict.fromkeys(lever_grid.SIZES, 0.5))
    last = rows.loc[rows["lever"] != "", "key"].iloc[-1]
    has = Store.has
    monkeypatch.setattr(Store, "has", lambda self, key: key != last and has(self, key))
    lacking = lever_record.with_guides(Store(tmp_path), LeverEvaluator(OPEN), "some")
    assert lacking.empty
    for said in (guides.curves(lacking, METRIC), guides.contests(lacking, [METRIC], dict)[0]):
        assert said.data == guides.MISSING
    assert guides.verdicts(lacking, [METRIC], dict).data == guides.MISSING
