"""Averages of several lengths beside the usual one: the best of each size, and what the usual one costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm.figures import averages as averages_figures


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
