"""The rule in words, for levels of caption at which the right number of steps is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from ldm.figures import advice
from tests.synthetic import sampling

KID, STEPS = "kid_effnet", (1, 2, 4, 6, 16, 32)


def rows_of(enough: int, level: str | None) -> tuple[pd.DataFrame, dict]:
    """Quality that grows with steps up to `enough`, and then with size."""
    rows, influences = sampling(
        lambda c, steps, guidance: 1000 / min(steps, enough) + 40 / c, se=0.01, steps=STEPS, guidance=(1.0, 2.0)
    )
    rows = rows.assign(level=level, key=rows["key"] + f"-{level}")
    return rows, {f"{key}-{level}": value for key, value in influences.items()}


@pytest.fixture
def rules():
    """Captions that say some need six steps; rows from before there were levels need four."""
    parts = [rows_of(6, "some"), rows_of(4, None)]
    influences = {key: value for _, known in parts for key, value in known.items()}
    return advice.rules(pd.concat([rows for rows, _ in parts], ignore_index=True), [KID], lambda rows, _: influences)


def test_the_price_of_a_step_is_that_of_two_passes_in_flops_and_in_milliseconds_where_they_are_known():
    rows = pd.DataFrame({"c": [16, 8, 8], "profile": "p", "gflops": [0.03, 0.01, 0.01]})
    assert advice.prices(rows, {}).startswith(
        "One guided step, which is two passes, of c = 8, 16 costs 0.02, 0.06 GFLOPs. Where the caption says nothing"
    )
    sentence = advice.prices(rows, {("p", 8): (0.0005, 1.0), ("p", 16): (0.0015, 1.0)})
    assert "0.02, 0.06 GFLOPs, and 1, 3 ms a picture where many are drawn at once on [one machine]" in sentence


def test_the_example_takes_the_largest_size_whose_steps_are_paid_and_one_pass_a_step_where_nothing_is_said(rules):
    rule = rules["some", KID]
    found = {("some", KID): rule, ("nothing", KID): rule}  # six steps each
    rows = pd.DataFrame({"c": [8, 16, 32], "gflops": [0.01, 0.03, 0.1]})
    said = advice.example(found, KID, rows, 0.5)
    assert said.startswith("By KID-EfficientNet, for 0.5 GFLOPs a picture, the rule takes c = 16 where the caption")
    assert said.endswith("says some of the scene or nothing.")
    assert advice.example(found | {("all", KID): rule}, KID, rows, 0.5).endswith(
        "takes c = 16, whatever the caption says."
    )
    dear = found | {("all", KID): dataclasses.replace(rule, steps=60)}
    assert "whatever" not in advice.example(dear, KID, rows, 0.5), "where everything is said nothing is affordable"
    assert "c = 32 where the caption says nothing" in advice.example(found, KID, rows, 0.6)
    assert advice.example(found, KID, rows, 0.07).endswith("c = 8 where the caption says nothing.")
    assert advice.example(found, KID, rows, 0.001) == "", "where no size affords its steps nothing is advised"
    assert advice.example({}, KID, rows, 0.5) == ""


def test_each_level_has_its_own_number_and_rows_without_a_level_said_everything(rules):
    assert {level: rule.steps for (level, _), rule in rules.items()} == {"some": 6, "all": 4}
    everything, some = advice.in_words(rules).splitlines()
    assert "says **some of the scene**" in some and "can run **6 steps** within" in some
    assert "says **everything**" in everything and "can run **4 steps** within" in everything


def test_metrics_that_choose_other_numbers_make_a_range(rules):
    rule = rules["some", KID]
    others = {("some", "fd_scene_decoded"): dataclasses.replace(rule, steps=8), ("some", "alignment"): rule}
    said = advice.in_words(rules | others)
    assert "can run **6 to 8 steps** within" in said.splitlines()[1]
    assert said.endswith("demanding [metric](../book/metrics.md) chooses.")


def test_by_the_clock_the_rule_is_asked_of_budgets_in_seconds_and_of_guided_steps():
    rows, influences = rows_of(6, "some")
    rows = rows.assign(nfe=rows["steps"] * rows["guidance"].gt(1).add(1), profile="p")
    found = advice.rules(rows, [KID], lambda rows, _: influences)
    asked = lambda seconds: advice.by_the_clock(rows, found, KID, lambda rows, _: influences, seconds)
    profile = "p"
    as_flops = {
        (profile, c): (0.001 * cost, 0.0)
        for c, cost in (rows["cost"] / rows["steps"]).groupby(rows["c"]).first().items()
    }
    assert f"loses {found['some', KID].regret.value:.0%} where" in asked(as_flops), "seconds as FLOPs: the same regret"
    assert asked({(profile, 8): (0.001, 0.0)}) == "", "a size was not timed"
    assert advice.by_the_clock(rows, {}, KID, lambda rows, _: influences, as_flops) == "", "there is no rule"


def test_the_table_says_what_other_numbers_would_cost(rules):
    line = next(line for line in advice.regrets(rules).data.splitlines() if "some of it" in line)
    assert line.split("|")[3].strip() == "6"
    assert all(f"{steps}: " in line for steps in STEPS if steps != 6) and "6: 0%" not in line


def test_one_size_gives_no_rule():
    rows, influences = rows_of(4, "all")
    found = advice.rules(rows[rows["c"] == 8], [KID], lambda rows, _: influences)
    assert found == {} and "one size" in advice.in_words(found) and advice.regrets(found).data == ""


def test_a_level_that_is_measured_in_part_gives_no_rule():
    whole, influences = rows_of(6, "some")
    part, more = rows_of(4, "all")
    part = part[(part["c"] == 8) | (part["steps"] <= 4)]
    found = advice.rules(pd.concat([whole, part], ignore_index=True), [KID], lambda rows, _: influences | more)
    assert [level for level, _ in found] == ["some"]


def test_a_rule_is_measured_on_other_trainings_where_they_have_all_of_its_settings(monkeypatch):
    rows, influences = rows_of(6, "some")
    rows = rows.assign(profile="p", seed=0)
    again = rows.assign(seed=1, key=rows["key"] + "-again", value=2 * rows["value"])
    known = influences | {f"{key}-again": value for key, value in influences.items()}
    by = lambda others: advice.rules(rows, [KID], lambda *_: known, others)["some", KID]
    assert by(again).elsewhere and by(again).steps == by(None).steps
    lacking = again[again["key"] != again["key"].iloc[0]]
    assert not any(by(others).elsewhere for others in (None, lacking, rows))  # the same rows are no other trainings
    said = advice.regrets({("some", KID): by(again), ("all", KID): by(None)}).data
    assert "other trainings" in said and "the same pictures" in said
    monkeypatch.setattr(advice, "rule", lambda chosen_by, measured_on: (chosen_by, measured_on))
    chosen_by, measured_on = by(again)
    np.testing.assert_allclose(measured_on.values, 2 * chosen_by.values)
