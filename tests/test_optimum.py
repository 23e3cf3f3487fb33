"""Confidence sets on settings whose truth is known, and races over made-up and over smoke cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm import profiles
from ldm.statistics import comparisons, optimum
from ldm.study import racing
from ldm.study.results import Store
from ldm.study.sampling import SamplingEvaluator, sampling_grid
from tests.test_verdicts import sampling

SMOKE = profiles.get("smoke")


def settings(truth: np.ndarray, seed: int, n: int = 200, shared: float = 3.0) -> tuple[pd.DataFrame, dict]:
    """Scores of settings on n pictures that all share, as rows and influences."""
    rng = np.random.default_rng(seed)
    pictures = truth[:, None] + shared * rng.standard_normal(n) + rng.standard_normal((len(truth), n))
    mean, half = pictures.mean(1), 1.96 * pictures.std(1) / np.sqrt(n)
    rows = pd.DataFrame(
        {"key": [str(i) for i in range(len(truth))], "value": mean, "lo": mean - half, "hi": mean + half}
    )
    return rows, {str(i): part - part.mean() for i, part in enumerate(pictures)}


def test_the_set_holds_the_best_setting_as_often_as_it_says():
    truth = np.array([0, 0.05, 0.1, 0.2, 0.4, 0.8])
    sets = [optimum.confidence_set(*settings(truth, seed)) for seed in range(200)]
    held = np.mean([inside[0] for inside in sets])
    assert held >= 0.93
    assert np.mean([inside[5] for inside in sets]) < 0.01 and np.mean([inside[1] for inside in sets]) > 0.8


def test_pairing_tells_apart_what_single_intervals_do_not():
    rows, influences = settings(np.array([0, 0.4]), 0)
    assert optimum.confidence_set(rows, influences).tolist() == [True, False]
    assert optimum.confidence_set(rows).all()


def test_equal_settings_all_stay():
    rows, influences = settings(np.zeros(1), 0)
    rows, influences = pd.concat([rows, rows.assign(key="again")]), influences | {"again": influences["0"]}
    assert optimum.confidence_set(rows.reset_index(), influences).all()


@pytest.mark.parametrize("metric, sign", [("kid_effnet", 1), ("subject", -1)])
def test_the_best_guidance_comes_with_all_that_may_be_the_best(metric, sign):
    rows, influences = sampling(lambda c, steps, g: sign * {1.0: 50, 2.0: 50.1, 4.0: 90}[g], metric, shared=0.9, seed=1)
    found = optimum.best_guidance(rows, metric, influences)
    assert len(found) == 12 and set(found["guidance"]) <= {1.0, 2.0}
    assert all(row.guidance in row.tied and 4.0 not in row.tied for row in found.itertuples())
    assert max(len(tied) for tied in found["tied"]) == 2


@pytest.mark.slow
def test_a_race_leaves_losers_early_and_counts_what_it_drew(tmp_path):
    contenders = sampling_grid(SMOKE, [8], [2], [1.5, 3.0, 30.0], n=16)
    store, evaluator = Store(tmp_path), SamplingEvaluator(SMOKE)
    ran = racing.race(contenders, "kid_effnet", store=store, evaluator=evaluator, stages=(16, 32)).set_index("guidance")
    assert set(ran.index) == {1.5, 3.0, 30.0} and ran["left"].any()
    assert ran["n"].min() == 16 and ran.loc[ran["left"], "n"].eq(32).all()  # some left after the first stage
    assert ran["drawn"].tolist() == [16 if n == 16 else 48 for n in ran["n"]]
    again = racing.races(contenders, "kid_effnet", store=store, evaluator=evaluator, stages=(16, 32))
    assert again["drawn"].item() == ran["drawn"].sum() and again["full"].item() == 96
    assert again["best"].item() in again["tied"].item()
    assert set(again["tied"].item()) == set(ran.index[ran["left"]])
    assert len(store.rows(metric="kid_effnet")) == 3 + (ran["n"] == 32).sum()


@pytest.mark.parametrize("gain", [0.3, 0.0, -0.3], ids=["steps pay", "steps do nothing", "steps harm"])
def test_more_steps_are_worth_what_they_truly_are_at_every_size(gain):
    rows, influences = sampling(
        lambda c, steps, guidance: (100 + 400 / c) * (1 if steps == 4 else 1 - gain), se=0.5, steps=(4, 16)
    )
    rows = rows.assign(seed=0)
    found = optimum.more_steps(rows, "kid_effnet", influences, 4, 16)
    assert list(found["c"]) == sorted(set(rows["c"])) and len(found) > 1
    for better in found["better"]:
        assert better.lo <= gain + 0.02 and gain - 0.02 <= better.hi and abs(better.value - gain) < 0.03
        assert (better.lo > 0) == (gain > 0) and (better.hi < 0) == (gain < 0)
    assert set(found["trainings"]) == {1} and optimum.more_steps(rows, "kid_effnet", influences, 4, 8).empty


def test_what_more_steps_are_worth_is_as_unsure_as_trainings_differ_by_it():
    """Steps pay in two trainings and harm in the third: pictures alone would be sure of the mean."""
    parts, known = [], {}
    for seed, gain in enumerate((0.2, 0.2, -0.2)):
        rows, influences = sampling(
            lambda c, steps, guidance, gain=gain: 100 * (1 if steps == 4 else 1 - gain), se=0.5, steps=(4, 16)
        )
        parts.append(rows.assign(seed=seed, key=rows["key"] + f"-{seed}"))
        known |= {f"{key}-{seed}": value for key, value in influences.items()}
    found = optimum.more_steps(pd.concat(parts, ignore_index=True), "kid_effnet", known, 4, 16)
    assert set(found["trainings"]) == {3}
    for better in found["better"]:
        assert better.value == pytest.approx(0.2 / 3, abs=0.02) and better.lo < -0.2 < 0.2 < better.hi


@pytest.mark.parametrize("ask", [optimum.best_guidance, optimum.enough_steps, comparisons.takeovers])
def test_the_luckiest_of_several_trainings_is_not_taken_for_the_best(ask):
    rows, influences = sampling(lambda c, steps, guidance: 100 / steps + guidance)
    both = pd.concat([rows.assign(seed=seed, profile="p", task="pretrain") for seed in (0, 1)], ignore_index=True)
    assert len(ask(both[both["seed"] == 0], "kid_effnet", influences))
    with pytest.raises(ValueError, match="several trainings of one model: keep those of one seed"):
        ask(both, "kid_effnet", influences)
