"""Each suspect changes one thing alone; the bias of a count of pictures is read off where it is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from ldm import profiles
from ldm.figures import confounders as confounders_figures
from ldm.study import confounders
from tests import synthetic

OPEN_EPS = profiles.get("laptop-eps")
ALLOWED = {"trainings": {"images"}, "spacings": {"sampler"}, "guidances": {"guidance"}}


@pytest.mark.parametrize("suspect", ALLOWED)
def test_conditions_differ_in_one_thing(suspect):
    conditions = getattr(confounders, suspect)(OPEN_EPS, (8, 16))
    assert len(conditions) >= 2
    fields = [field.name for field in dataclasses.fields(next(iter(conditions.values()))[0])]
    values = lambda cells, names: frozenset(tuple(getattr(cell, name) for name in names) for cell in cells)
    kept = [field for field in fields if field not in ALLOWED[suspect]]
    assert len({values(cells, kept) for cells in conditions.values()}) == 1
    assert len({values(cells, ALLOWED[suspect]) for cells in conditions.values()}) == len(conditions)


def test_counts_keep_the_setting():
    cells = confounders.counts(OPEN_EPS, OPEN_EPS.family)
    assert {cell.n for cell in cells} == {256, 1024, 4096} and {(c.steps, c.guidance) for c in cells} == {(8, 2.0)}
    assert [cell.n for cell in confounders.counts(OPEN_EPS, OPEN_EPS.family, [32])] == [32] * len(OPEN_EPS.family)


def made(truth: dict[int, float], bias: dict[int, float], seed: int = 0) -> pd.DataFrame:
    rng, rows = np.random.default_rng(seed), []
    for c, value in truth.items():
        for n in (64, 256, 1024, 4096):
            se = 2 / np.sqrt(n)
            measured = value + bias[c] / n + se * rng.standard_normal()
            rows.append(
                {
                    "key": f"{c}-{n}",
                    "c": c,
                    "n": n,
                    "metric": "fd_scene",
                    "value": measured,
                    "lo": measured - 1.96 * se,
                    "hi": measured + 1.96 * se,
                }
            )
    return pd.DataFrame(rows)


def test_the_limit_is_what_infinitely_many_pictures_would_give():
    truth, bias = {8: 3.0, 16: 2.0}, {8: 100.0, 16: 900.0}
    found = [confounders.limits(made(truth, bias, seed), "fd_scene", least=256).set_index("c") for seed in range(100)]
    inside = [f.loc[c, "lo"] <= truth[c] <= f.loc[c, "hi"] for f in found for c in truth]
    assert 0.9 <= np.mean(inside) <= 0.99
    assert np.mean([f.loc[16, "slope"] for f in found]) == pytest.approx(900, rel=0.1)


def test_too_few_counts_have_points_and_no_line():
    rows = synthetic.sampling_rows()
    rows = rows[(rows["metric"] == "kid_effnet") & (rows["steps"] == 8) & (rows["guidance"] == 2)]
    one, two = rows.assign(n=64), rows.assign(n=1024)
    assert confounders.limits(one, "kid_effnet", least=256).empty
    assert "1 / pictures" in confounders_figures.n_chart(one, "kid_effnet", least=256).to_json()
    assert confounders.limits(pd.concat([one, two]), "kid_effnet", least=256).empty
    assert len(confounders.limits(pd.concat([one, two]), "kid_effnet", least=64)) == 4


def test_bias_turns_an_order_and_more_pictures_turn_it_back():
    rows = made({8: 3.0, 16: 2.0}, {8: 100.0, 16: 900.0})
    order = confounders.order_by_n(rows, ["fd_scene"]).set_index("n")["fd_scene"]
    assert order[64] == "8, 16" and order[4096] == "16, 8"


def test_a_cell_that_was_asked_for_less_of_some_pictures_is_one_count_of_pictures():
    rows = made({8: 3.0, 16: 2.0}, {8: 100.0, 16: 900.0})
    judged = rows.assign(metric="alignment", n=rows["n"] - 5, value=rows["c"] / 20)
    order = confounders.order_by_n(pd.concat([rows, judged]), ["fd_scene", "alignment"])
    assert list(order["n"]) == [64, 256, 1024, 4096] and set(order["alignment"]) == {"16, 8"}
    drawn = synthetic.sampling_rows()
    drawn = drawn[(drawn["steps"] == 8) & (drawn["guidance"] == 2)]
    drawn = drawn.assign(n=[64 if name == "kid_effnet" else 60 for name in drawn["metric"]])
    assert confounders_figures.n_chart(drawn, "kid_effnet", least=64).to_dict()
