"""Super-resolution's charts and tables, from made-up rows in which the larger size and longer finetuning are better."""

from __future__ import annotations

import pandas as pd
import pytest

from ldm.figures import superres as figures
from ldm.statistics import comparisons
from tests.synthetic import WIDTHS

LOST = {"published": 100.0, "mild": 20.0}


def row(
    task: str, level: str | None, value: float, *, c: int | None = None, images: int | None = None, steps: int = 50
):
    return {
        "key": f"{task}-{level}-{c}-{images}-{steps}",
        "study": "superres",
        "profile": "laptop-64",
        "task": task,
        "level": level,
        "c": c,
        "params": WIDTHS[c][0] if c else None,
        "gflops": 1.0,
        "size": f"c{c}",
        "seed": 0,
        "metric": "kid_effnet",
        "protocol": "made up",
        "sampler": "ddim",
        "guidance": 1.0,
        "steps": steps if c else None,
        "nfe": steps if c else None,
        "cost": WIDTHS[c][1] * steps if c else None,
        "images_seen": images,
        "value": value,
        "lo": value - 0.5,
        "hi": value + 0.5,
        "n": 512,
    }


@pytest.fixture(scope="module")
def given() -> pd.DataFrame:
    return pd.DataFrame(
        [row("true", None, 0.0), row("autoencoder", None, 5.0)]
        + [row("bicubic", level, 2 * lost) for level, lost in LOST.items()]
    )


def restored(steps=(50,), lengths=(8_000, 16_000, 32_000)) -> pd.DataFrame:
    """Mildly degraded pictures need no steps; of the others more are better."""
    kept = [
        row(
            "superres",
            level,
            lost * (1 + (8 / c) + 32_000 / images) + (400 / count if level == "published" else 0),
            c=c,
            images=images,
            steps=count,
        )
        for level, lost in LOST.items()
        for c in (8, 16, 32)
        for images in lengths
        for count in steps
    ]
    return pd.DataFrame(kept)


def influences(rows, metric):
    return {}


def test_every_strength_has_a_panel_with_a_line_at_bicubic_and_at_the_autoencoder(given):
    for chart in (
        figures.by_cost(restored((4, 16, 50), (32_000,)), given, "kid_effnet"),
        figures.by_compute(restored(), given, "kid_effnet"),
    ):
        spec = chart.to_dict()
        rows = next(iter(spec["datasets"].values()))
        assert {(row["panel"], row["bicubic"], row["autoencoder"]) for row in rows} == {
            ("degraded as published", 200.0, 5.0),
            ("only made smaller", 40.0, 5.0),
        }
        assert [mark for mark in spec["spec"]["layer"] if mark["mark"]["type"] == "text"], "the lines are named"


def test_tables_name_each_way_and_say_what_the_last_doubling_brought(given):
    control = pd.DataFrame([row("superres-regression", "mild", 30.0, c=16, images=16_000)])
    mild = pd.concat(
        [given[given["level"].isna()], given[given["level"] == "mild"], control, restored().query("level == 'mild'")]
    )
    table = figures.values_table(mild.sort_values("task"), ["kid_effnet"]).set_index("way")["kid_effnet"]
    assert list(table.index[:2]) == ["true", "autoencoder"], "what knows the true picture stands first"
    assert table["true"] == "0 [-0.5, 0.5]" and table["bicubic"] == "40 [39.5, 40.5]"
    assert {"regression, c = 16", "c = 8", "c = 8, half as long"} <= set(table.index)
    gains = figures.gains_table(
        mild[mild["images_seen"].isin([32_000]) | mild["c"].isna()], ["kid_effnet"], influences, over="bicubic"
    )
    assert list(gains["way"]) == ["c = 8", "c = 16", "c = 32"], "what knows the true picture gains nothing"
    settled = figures.settled(mild[mild["task"] == "superres"], ["kid_effnet"], influences)
    assert list(settled["size"]) == ["c = 8", "c = 16", "c = 32"]
    assert settled["kid_effnet"].str.startswith("**+20**").all()
    shown = figures.at_each_strength(restored(), lambda part: figures.settled(part, ["kid_effnet"], influences)).data
    assert shown.index("*Degraded as published:*") < shown.index("*Only made smaller:*")


def test_the_winner_at_each_budget_is_said_of_each_strength():
    rows = restored((4, 8, 16, 50, 250), (32_000,))
    chart, said = figures.contests(rows, "kid_effnet", influences)
    assert len(chart.to_dict()["spec"]["layer"]) > 3
    assert "- Degraded as published, a smaller model is surely better where" in said.data
    assert "- Only made smaller, the largest is surely better where" in said.data
    steps = figures.enough_steps(rows[rows["level"] == "mild"], "kid_effnet", influences)
    assert set(steps["enough steps"]) == {4}


def test_a_gain_over_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="0 rows are of task 'bicubic'"):
        comparisons.gains(restored(), "kid_effnet", {}, over="bicubic")
