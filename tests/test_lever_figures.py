"""The chapter about levers: which rows it takes, what it says of them, and that it does without any."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm import profiles
from ldm.figures import levers as figures
from ldm.study import lever_grid
from ldm.study.lever_cells import Interval, Stored
from ldm.study.levers import LeverEvaluator
from ldm.study.results import Row, Store
from ldm.study.sampling import SamplingEvaluator, sampling_grid

OPEN, METRIC = profiles.get("laptop-eps"), "fd_scene_decoded"
SIZES = (8, 16)


@pytest.fixture
def store(tmp_path) -> tuple[Store, list[str]]:
    """Plain rows and all of one lever, at one level of caption; and the keys of the lever's."""
    store, pulled = Store(tmp_path), LeverEvaluator(OPEN)
    plain = SamplingEvaluator(OPEN)
    cells = [cell for cell in lever_grid.lever_grid(OPEN, SIZES) if isinstance(cell.lever, Interval | Stored)]
    keys = []
    for number, cell in enumerate([*sampling_grid(OPEN, SIZES, (4, 8, 16), (1.0, 2.0, 3.0, 4.0)), *cells]):
        evaluator = pulled if hasattr(cell, "lever") else plain
        value = 100 / cell.steps + 100 / cell.c - (5 if hasattr(cell, "lever") else 0)
        told = dict(metric=METRIC, protocol="made up", value=value, lo=value - 1, hi=value + 1, n=OPEN.n)
        store.write(f"{number:016x}", [Row(**evaluator.columns(cell), **told)])
        keys += [f"{number:016x}"] if hasattr(cell, "lever") else []
    return store, keys


def evidence(rows: pd.DataFrame) -> figures.Found:
    return figures.evidence(rows.assign(clock=rows["done"] ** 0.7), ["some", "all"], [METRIC], lambda *_: {})


def test_a_lever_counts_once_all_its_cells_are_there(store):
    store, keys = store
    rows = lever_grid.recorded(store, OPEN, ["some", "all"], SIZES)
    assert set(rows["lever"]) == {"", Interval.name, Stored.name} and set(rows["level"]) == {"some"}
    plain = rows[rows["lever"] == ""]
    assert np.allclose(plain["done"], plain["gflops"].astype(float) * plain["nfe"].astype(float))
    (store.runs / f"rows/{keys[0]}.parquet").unlink()
    assert set(lever_grid.recorded(store, OPEN, ["some", "all"], SIZES)["lever"]) == {"", Stored.name}


def test_the_chapter_says_what_each_lever_is_worth(store):
    rows = lever_grid.recorded(store[0], OPEN, ["some", "all"], SIZES)
    found = evidence(rows)
    assert list(found) == ["some"]
    said = figures.by_level(found, figures.answer)
    assert said[0].data == "### Where the caption says some of it" and "FD" in said[1].data
    assert said[2].data.startswith("- **Guidance in an interval**: of ") and "surely better" in said[2].data
    chart = figures.by_level(found, figures.chart, [METRIC])[2].to_dict()
    points = next(iter(chart["datasets"].values()))
    assert {point["name"] for point in points} == {Interval.name}
    assert all("c = " in point["setting"] and "noise levels" in point["setting"] for point in points)
    likely = figures.likely(found["some"][METRIC]).data
    assert "no lever" in likely and "100%" in likely
    assert "changes sides" in figures.flips(found["some"][METRIC]).data
    bits = figures.in_fewer_bits(rows, ["some", "all"], [METRIC], lambda *_: {})[0].data
    assert bits.count("int8") == bits.count("bfloat16") == len(SIZES) and "-5 [" in bits.replace("−", "-")


def test_the_explorer_has_a_choice_of_levers_and_counts_what_is_truly_done(store):
    store = store[0]
    rows = lever_grid.recorded(store, OPEN, ["some"], SIZES).assign(clock=1.0)
    drawn = figures.explore(rows, [METRIC], store).to_dict()
    menus = {param["name"]: param["bind"] for param in drawn["params"] if "options" in param.get("bind", {})}
    assert menus["sampler"]["options"] == ["no lever", Interval.name] and menus["sampler"]["name"] == "lever "
    assert menus["axis"]["options"] == ["flops", "seconds"]
    points = [point for data in drawn["datasets"].values() for point in data if "setting" in point]
    pulled = [point for point in points if point.get("sampler") == Interval.name]
    assert {point["flops"] for point in pulled} <= set(rows["done"]) and all(
        "noise levels" in p["setting"] for p in pulled
    )


def test_without_rows_it_says_so(tmp_path):
    rows = lever_grid.recorded(Store(tmp_path), OPEN, ["some"], SIZES)
    found = figures.evidence(rows.assign(clock=0.0), ["some"], [METRIC], lambda *_: {})
    for shown in (
        figures.by_level(found, figures.answer)[0],
        figures.pictures(Store(tmp_path), found, 1.0, ["a cat"]),
        figures.explore(rows, [METRIC], Store(tmp_path)),
        figures.in_fewer_bits(rows, ["some"], [METRIC], lambda *_: {})[0],
    ):
        assert shown.data == figures.MISSING


def test_seconds_are_those_of_all_passes(store):
    store, _ = store
    pulled = LeverEvaluator(OPEN)
    rows = lever_grid.recorded(store, OPEN, ["some"], SIZES)
    assert lever_grid.seconds(store, OPEN, pulled, rows).isna().all()
    price = {8: 0.001, 16: 0.004}
    for c, value in price.items():
        timed = dict(metric="seconds a pass", protocol="made up", value=value, lo=value, hi=value, n=5)
        row = Row(study="benchmark", profile=OPEN.name, task="pass", c=c, lever="whole", machine="this one", **timed)
        store.write(f"{c:016d}", [row])
    plain = rows[rows["lever"] == ""]
    found = lever_grid.seconds(store, OPEN, pulled, plain)
    assert np.allclose(found, plain["nfe"].astype(float) * plain["c"].map(price).astype(float))
