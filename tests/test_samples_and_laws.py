"""Pictures of cells by two of their fields, and at equal cost; laws in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm import profiles
from ldm.data.pictures import to_webp
from ldm.data.scenes.dataset import Scenes
from ldm.figures import laws, samples
from ldm.statistics import optimum
from ldm.study import sampling
from ldm.study.results import Store
from ldm.study.rows import Row
from tests import synthetic

SMOKE = profiles.get("smoke")


class Names:
    """An evaluator that only names cells."""

    profile = SMOKE

    def key(self, cell) -> str:
        return f"{cell.c}-{cell.steps}-{cell.guidance:g}"

    def scenes_of(self, cell) -> Scenes:
        return Scenes(SMOKE.scenes, cell.split, cell.n, level=cell.level)


@pytest.fixture
def store(tmp_path):
    """Cells of plain pictures, as bright as their steps; (16, 8) has never run."""
    store = Store(tmp_path)
    for c, steps in ((8, 4), (8, 8), (16, 4)):
        row = Row(
            study="sampling",
            profile="smoke",
            task="pretrain",
            metric="kid_effnet",
            protocol="-",
            value=1,
            lo=0,
            hi=2,
            n=16,
        )
        strip = np.full((32, 8 * 32, 3), 10 * steps, np.uint8)
        store.write(f"{c}-{steps}-2", [row], {"strip.webp": to_webp(strip)})
    return store


def cells(sizes, steps):
    return sampling.sampling_grid(SMOKE, sizes, steps, [2.0], n=16)


def test_a_cells_pictures_come_apart_again(store):
    assert samples.kept(store, "8-8-2").shape == (8, 32, 32, 3)
    assert abs(int(samples.stacked(store, "8-8-2").mean()) - 80) < 3
    with pytest.raises(ValueError, match="The pictures of cell 16-8-2 are missing: run the cell"):
        samples.kept(store, "16-8-2")


def test_a_table_leaves_out_what_some_row_lacks(store):
    one = samples.sample_table(store, Names(), [*cells([8], [4, 8]), *cells([16], [4])], "c", "steps").data
    assert one.count("<img") == 2 and "4 steps" in one and "8 steps" not in one and "c = 16" in one
    both = samples.sample_table(store, Names(), cells([8], [4, 8]), "guidance", "steps").data
    assert both.count("<img") == 2 and "guidance 2" in both
    assert [samples.label("steps", steps) for steps in (1, 2)] == ["1 step", "2 steps"]


def test_a_strip_carries_its_captions(store):
    text = samples.strip(store, Names(), cells([8], [4])[0]).data
    assert text.count("<img") == 8 and text.count("<figcaption") == 8


def test_what_a_size_cannot_afford_is_said(store):
    points = pd.DataFrame(
        {
            "key": ["8-4-2", "8-8-2", "16-4-2"],
            "metric": "subject",
            "protocol": "-",
            "c": [8, 8, 16],
            "steps": [4, 8, 4],
            "guidance": 2.0,
            "cost": [1.0, 2.0, 3.0],
            "value": [0.5, 0.6, 0.7],
            "lo": 0.0,
            "hi": 1.0,
            "n": 16,
        }
    )
    best = optimum.within(points, "subject", [1.0, 3.0])
    assert list(zip(best["budget"], best["key"], strict=True)) == [(1.0, "8-4-2"), (3.0, "8-8-2"), (3.0, "16-4-2")]
    text = samples.at_equal_cost(store, best, [1.0, 3.0]).data
    assert text.count("costs more") == 1 and text.count("8 steps, guidance 2") == 1 and "cost 3" in text


@pytest.mark.parametrize("metric", ["kid_effnet", "alignment"])
def test_the_frontier_of_a_law_falls_and_the_law_is_told_with_its_misfit(metric):
    points = laws.frontier_points(synthetic.sampling_rows(), metric)
    assert points["x"].is_monotonic_increasing and (points["value"].diff().dropna() < 0).all()
    assert (points["lo"] <= points["value"]).all() and (points["value"] <= points["hi"]).all()
    chart, words = laws.shown(points, metric, "cost")
    assert "points. The points" in words.data and f"{len(points)} points" in words.data and chart.to_dict()["vconcat"]
    (words,) = laws.shown(points[:3], metric, "cost")
    assert "3 points are too few" in words.data


def test_a_law_through_all_lengths_uses_compute():
    points = laws.training_points(synthetic.pretraining_rows(), "kid_effnet")
    np.testing.assert_allclose(points["x"], points["cost"] / points["steps"] * points["images_seen"])
    law = laws.fit(points)
    assert law.exponent.value == pytest.approx(0.4, abs=0.05) and law.floor == pytest.approx(4, abs=2)
