"""Averages of several lengths as cells: refused where they make no sense, absent where no snapshots are, paired with
the usual.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm import profiles
from ldm.figures import averages as averages_figures
from ldm.study import averages
from ldm.study.results import Store
from ldm.study.run import run
from tests import synthetic

SMOKE = profiles.get("smoke")


def test_a_share_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"sigma_rel = 0.5: expected 0.01 to 0.25"):
        averages.averages_grid(SMOKE, [8], [], [0.1, 0.5], steps=4, guidance=2.0)


def test_without_snapshots_there_are_no_rows_and_the_sentence_says_what_makes_them(tmp_path):
    cells = averages.averages_grid(SMOKE, [8], [20_000], [0.05], steps=4, guidance=2.0, seed=99)
    evaluator = averages.AveragesEvaluator(SMOKE)
    assert averages.measure(cells, store=Store(tmp_path), evaluator=evaluator).empty
    with pytest.raises(ValueError, match=r"average --sigma 0.05 --images 20000 --seed 99 --profile smoke --c 8"):
        run(cells, store=Store(tmp_path), evaluator=evaluator)


def test_a_share_is_compared_with_the_usual_one_and_drawn():
    rows = synthetic.pretraining_rows()
    rows = rows[(rows["c"] == rows["c"].min()) & (rows["metric"] == "kid_effnet")]
    rows = rows.loc[rows.groupby("images_seen").head(1).index]
    every = [
        rows.assign(strength=share, value=rows["value"] + share, key=rows["key"] + f"{share}")
        for share in (0.05, 0.1, 0.2)
    ]
    rows = pd.concat(every, ignore_index=True)
    noise = np.random.default_rng(0).normal(size=256)
    table = averages_figures.against_usual(rows, "kid_effnet", {key: noise for key in rows["key"]})
    assert table.count("-0.05 [-0.05, -0.05] *") == table.count("+0.1 [0.1, 0.1] *") == rows["images_seen"].nunique()
    chart = averages_figures.curves(rows, "kid_effnet").to_dict()
    assert chart["layer"][2]["encoding"]["tooltip"][0]["field"] == "share"


def test_a_size_whose_usual_share_is_best_says_so_and_another_by_how_much_it_is_worse():
    rng = np.random.default_rng(0)
    common = dict(
        size="1M", cost=1.0, steps=1, guidance=1.0, sampler="", metric="denoising", protocol="p", n=256, task="average"
    )
    lines = [
        dict(
            common, c=c, params=c * 1e5, strength=share, value=value, key=f"{c}-{share}", lo=value - 0.1, hi=value + 0.1
        )
        for c, best in ((8, 0.05), (16, 0.1))
        for share in (0.05, 0.1, 0.2)
        for value in [1 + abs(share - best)]
    ]
    rows, noise = pd.DataFrame(lines), rng.normal(size=256)
    influences = {line["key"]: noise for line in lines}
    said = averages_figures.best_shares(rows, "denoising", influences)
    assert "for c = 8 it is 0.05, and 0.1 is worse by 5.0% [5.0%, 5.0%]" in said
    assert "for c = 16 the usual 0.1 is the best of them" in said
    drawn = averages_figures.by_size(rows, "denoising", influences).to_dict()
    [data] = drawn["datasets"].values()
    at = {(point["c"], point["share"]): point["value"] for point in data}
    assert at[8, 0.1] == at[16, 0.1] == 0 and at[8, 0.05] == pytest.approx(-0.05 / 1.05)
