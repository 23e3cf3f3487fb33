"""Frontier and crossover over replicates that are paired where the pictures' influences are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm.metrics import mean, mean_difference
from ldm.statistics import bootstrap, frontier


def table(*rows: tuple) -> pd.DataFrame:
    """(size, cost, value, standard error) rows."""
    return pd.DataFrame(
        [
            {"size": size, "cost": cost, "value": v, "lo": v - 1.96 * se, "hi": v + 1.96 * se}
            for size, cost, v, se in rows
        ]
    )


SMALL_THEN_LARGE = table(
    (8, 1, 10.0, 0.1),
    (8, 2, 8.0, 0.1),
    (8, 4, 7.5, 0.1),
    (32, 4, 9.0, 0.1),
    (32, 8, 5.0, 0.1),
    (32, 16, 4.0, 0.1),
)


def test_the_frontier_names_the_best_size_at_each_budget():
    best = frontier.frontier(SMALL_THEN_LARGE)
    assert best["budget"].tolist() == [1, 2, 4, 8, 16]
    assert best["size"].tolist() == [8, 8, 8, 32, 32]
    assert best["value"].tolist() == [10.0, 8.0, 7.5, 5.0, 4.0]
    assert (best["chance"] > 0.99).all()
    assert set(best["chances"][0]) == {8} and set(best["chances"][4]) == {8, 32}
    assert frontier.frontier(SMALL_THEN_LARGE, [3.0, 100.0])["cost"].tolist() == [2, 16]


def test_the_chance_of_two_close_sizes_is_that_of_two_normals():
    best = frontier.frontier(table((8, 1, 1.0, 0.3), (16, 1, 1.2, 0.4))).iloc[0]
    assert best["size"] == 8
    assert best["chance"] == pytest.approx(0.655, abs=0.03)  # normal cdf of .2 / .5
    assert sum(best["chances"].values()) == pytest.approx(1)


def test_the_crossover_is_where_the_larger_size_stays_ahead():
    clear = frontier.crossover(SMALL_THEN_LARGE, 8, 32)
    assert clear[:5] == (8, 32, 8.0, 8.0, 8.0) and clear.chance == 1.0
    never = frontier.crossover(SMALL_THEN_LARGE, 32, 8)
    assert never.budget == np.inf and never.chance == 0.0
    vague = frontier.crossover(table((8, 1, 5.0, 0.5), (8, 2, 4.0, 0.5), (32, 2, 4.1, 0.5), (32, 4, 3.0, 0.5)), 8, 32)
    assert vague.budget == 4.0 and vague.lo == 2.0 and 0.8 < vague.chance <= 1.0


def scores(n: int = 400):
    """Two settings whose scores of the same pictures move together, as rows and influences."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(n)
    a, b = shared + 0.1 * rng.standard_normal(n), shared + 0.1 * rng.standard_normal(n) + 0.03
    rows = pd.DataFrame(
        [{"size": c, "cost": 1, "key": key, **mean(x)._asdict()} for c, key, x in ((8, "a", a), (16, "b", b))]
    )
    return a, b, rows, {"a": a, "b": b}


def test_paired_worlds_differ_as_the_paired_difference_says():
    a, b, rows, influences = scores()
    drawn = bootstrap.replicates(rows, influences)
    exact = mean_difference(a, b)
    difference = drawn[0] - drawn[1]
    assert difference.mean() == pytest.approx(exact.value, abs=0.2 * exact.se)
    assert difference.std() == pytest.approx(exact.se, rel=0.05)
    np.testing.assert_allclose(drawn.std(1), [mean(a).se, mean(b).se], rtol=0.05)  # levels keep their intervals
    alone = bootstrap.replicates(rows)
    assert (alone[0] - alone[1]).std() > 5 * exact.se


def test_pairing_makes_the_better_size_certain():
    _, _, rows, influences = scores()
    assert frontier.frontier(rows).iloc[0]["chance"] < 0.75
    assert frontier.frontier(rows, influences=influences).iloc[0]["chance"] > 0.99
    crossing = frontier.crossover(rows, 16, 8, influences)
    assert crossing.chance > 0.99 and frontier.crossover(rows, 16, 8).chance < 0.75


def test_rows_without_influences_or_of_other_pictures_are_drawn_alone():
    _, b, rows, influences = scores()
    alone = bootstrap.replicates(rows)
    with pytest.raises(ValueError, match="1 of 2 rows, b first, have no influences"):  # all would be less sure, unsaid
        bootstrap.replicates(rows, {"a": influences["a"]})
    np.testing.assert_array_equal(bootstrap.replicates(rows, {}), alone)
    np.testing.assert_array_equal(bootstrap.replicates(rows, {"a": influences["a"], "b": b[:200]}), alone)


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: frontier.frontier(SMALL_THEN_LARGE.drop(columns="lo")), r"columns \['lo'\]"),
        (lambda: frontier.frontier(SMALL_THEN_LARGE, [0.5]), "budget 0.5 buys nothing"),
        (lambda: frontier.crossover(SMALL_THEN_LARGE, 8, 24), "no row has size 24"),
    ],
)
def test_bad_rows_are_told_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call()
