"""The chapter about levers: which rows it takes, what it says of them, and that it does without any."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm import profiles
from ldm.figures import lever_bits, lever_frontier
from ldm.figures import levers as figures
from ldm.study import distillation, lever_grid, lever_record
from ldm.study.lever_cells import Interval, Kept, Stored
from ldm.study.levers import ALONE, LeverEvaluator
from ldm.study.results import Store
from ldm.study.rows import Row
from ldm.study.sampling import SamplingEvaluator, sampling_grid

OPEN, METRIC = profiles.get("laptop-eps"), "fd_scene_decoded"


@pytest.fixture(scope="module")
def evaluator() -> LeverEvaluator:
    return LeverEvaluator(OPEN)


@pytest.fixture(scope="module")
def made(tmp_path_factory, evaluator) -> tuple[Store, dict[type, list[str]]]:
    """Plain rows and all of two levers, at one level of caption; and the keys of the levers'."""
    store, plain, keys = Store(tmp_path_factory.mktemp("store")), SamplingEvaluator(OPEN), {}
    cells = [cell for cell in lever_grid.lever_grid(OPEN) if isinstance(cell.lever, Interval | Stored)]
    for cell in [*sampling_grid(OPEN, lever_grid.SIZES, (4, 8, 16), OPEN.guidance), *cells]:
        pulled = hasattr(cell, "lever")
        by = evaluator if pulled else plain
        value = 100 / cell.steps + 100 / cell.c + cell.guidance - (5 if pulled else 0)
        numbers = dict(metric=METRIC, protocol="made up", value=value, lo=value - 1, hi=value + 1, n=OPEN.n)
        store.write(by.key(cell), [Row(**by.columns(cell), **numbers)])
        if pulled:
            keys.setdefault(type(cell.lever), []).append(by.key(cell))
    return store, keys


@pytest.fixture
def rows(made, evaluator) -> pd.DataFrame:
    return lever_record.recorded(made[0], evaluator, ["some", "all"])[0]


def evidence(rows: pd.DataFrame) -> figures.Found:
    """By the clock a lever takes ten times as long as its FLOPs say, in place of a plain setting's one."""
    clock = rows["done"] * np.where(rows["lever"] == "", 1, 10)
    return figures.evidence(rows.assign(clock=clock), ["some", "all"], [METRIC], lambda *_: {})


def test_what_is_recorded_whole_counts_with_what_it_truly_costs(rows):
    assert set(rows["lever"]) == {"", Interval.name, Stored.name} and set(rows["level"]) == {"some"}
    plain = rows[rows["lever"] == ""]
    assert np.allclose(plain["done"], plain["gflops"].astype(float) * plain["nfe"].astype(float))


def test_a_lever_of_which_a_cell_is_missing_does_not_count_nor_a_level_without_all_plain_settings(
    made, evaluator, monkeypatch
):
    store, keys = made
    has = store.has
    lacking = lambda lost: lambda key: key != lost and has(key)
    monkeypatch.setattr(store, "has", lacking(keys[Interval][3]))
    assert set(lever_record.recorded(store, evaluator, ["some"])[0]["lever"]) == {"", Stored.name}
    monkeypatch.setattr(
        lever_record, "by_level", lambda *asked: pd.DataFrame(columns=["seed", "c", "steps", "guidance", "key"])
    )
    rows, settings = lever_record.recorded(store, evaluator, ["some"])
    assert rows.empty and not settings


def test_students_are_a_lever_asked_once_a_step(tmp_path, evaluator):
    store, plain, taught = Store(tmp_path), SamplingEvaluator(OPEN), distillation.DistillationEvaluator(OPEN)
    asked = [(plain, cell) for cell in sampling_grid(OPEN, lever_grid.SIZES, (4, 8, 16), OPEN.guidance)]
    students = [(taught, cell) for cell in lever_grid.student_grid(OPEN)]
    for by, cell in asked + students:
        numbers = dict(metric=METRIC, protocol="made up", value=cell.steps, lo=0.0, hi=99.0, n=OPEN.n)
        store.write(by.key(cell), [Row(**by.columns(cell), **numbers)])
    rows, settings = lever_record.recorded(store, evaluator, ["some"])
    own = rows[rows["lever"] == lever_grid.STUDENTS]
    assert set(own["dose"]) == {"CoDi", "LCM"} and len(own) == len(students)
    assert np.allclose(own["done"], own["gflops"].astype(float) * own["steps"].astype(float))
    assert all(settings[row.key].asked == [(row.c, ALONE, row.steps)] for row in own.itertuples())


def test_the_chapter_says_what_each_lever_is_worth(rows):
    found = evidence(rows)
    assert list(found) == ["some"]
    [said] = figures.answer(found)  # one level: no heading
    assert said.data.count("\n") == 2 and "| guidance in an interval |" in said.data and "better at" in said.data
    two = figures.answer({"some": found["some"], "all": found["some"]})
    assert [one.data for one in two[::2]] == [
        f"### Where the caption says {words}" for words in ("some of it", "everything")
    ]
    likely = figures.likely(found["some"][METRIC]).data
    assert "no lever" in likely and "100%" in likely and "settings" in likely
    assert "by the clock" in figures.flips(found["some"][METRIC]).data
    unpriced = figures.evidence(rows.assign(clock=np.nan), ["some"], [METRIC], lambda *_: {})
    assert "No machine is timed yet" in figures.flips(unpriced["some"][METRIC]).data
    bits = lever_bits.in_fewer_bits(rows, ["some", "all"], [METRIC], lambda *_: {})[0].data
    assert bits.count("int8") == bits.count("bfloat16") == len(lever_grid.SIZES) and "-5 [" in bits.replace("−", "-")


def test_the_chart_has_room_for_large_gains_and_its_tooltips_say_all_of_them(rows):
    worse = rows["lever"] == Interval.name
    rows = rows.assign(**{name: rows[name] + 200 * worse for name in ("value", "lo", "hi")})
    points = next(iter(figures.chart(evidence(rows)["some"][METRIC]).to_dict()["datasets"].values()))
    assert {point["name"] for point in points} == {Interval.name}
    assert all("c = " in point["setting"] and "noise levels" in point["setting"] for point in points)
    assert min(point["gain"] for point in points) < -1 and min(point["gain_shown"] for point in points) == -figures.MOST


def test_the_explorer_has_a_choice_of_levers_and_counts_what_is_truly_done(made, rows):
    drawn = figures.explore(rows.assign(clock=1.0), [METRIC], made[0]).to_dict()
    menus = {param["name"]: param["bind"] for param in drawn["params"] if "options" in param.get("bind", {})}
    assert menus["sampler"]["options"] == ["no lever", Interval.name] and menus["sampler"]["name"] == "lever "
    assert menus["axis"]["options"] == ["flops", "passes"]
    points = [point for data in drawn["datasets"].values() for point in data if "setting" in point]
    pulled = [point for point in points if point.get("sampler") == Interval.name]
    assert pulled and {point["flops"] for point in pulled} <= set(rows["done"])
    assert all("noise levels" in point["setting"] for point in pulled)


def test_without_rows_it_says_so(tmp_path, evaluator):
    rows, _ = lever_record.recorded(Store(tmp_path), evaluator, ["some"])
    found = figures.evidence(rows.assign(clock=0.0), ["some"], [METRIC], lambda *_: {})
    for shown in (
        figures.answer(found)[0],
        figures.by_level(found, figures.chart)[0],
        figures.pictures(Store(tmp_path), found, "some", 1.0, ["a cat"]),
        lever_frontier.chart(found, METRIC),
        lever_frontier.table(found, METRIC),
        figures.explore(rows, [METRIC], Store(tmp_path)),
        lever_bits.in_fewer_bits(rows, ["some"], [METRIC], lambda *_: {})[0],
        lever_bits.prices(Store(tmp_path), OPEN, []),
    ):
        assert shown.data == figures.MISSING


def test_seconds_are_those_of_all_passes(made, evaluator):
    store, _ = made
    rows, settings = lever_record.recorded(store, evaluator, ["some"])
    assert lever_record.seconds(store, OPEN, settings) == {}
    price = {"whole": 1.0, "alone": 0.7, "bfloat16": 3.0, "int8": 2.0}
    timed = [(c, kind, value * c) for c in lever_grid.SIZES for kind, value in price.items()]
    for c, kind, value in timed[:-1]:
        row = dict(study="benchmark", profile=OPEN.name, task="pass", c=c, lever=kind, machine="this one")
        row |= dict(metric="seconds a pass", protocol="made up", value=value, lo=value, hi=value, n=5)
        store.write(f"{c}{kind}".rjust(16, "0"), [Row(**row)])
    with pytest.raises(ValueError, match="int8"):
        lever_record.seconds(store, OPEN, settings)
    c, kind, value = timed[-1]
    row |= dict(c=c, lever=kind, value=value, lo=value, hi=value)
    store.write("last".rjust(16, "0"), [Row(**row)])
    found = rows.assign(clock=rows["key"].map(lever_record.seconds(store, OPEN, settings))).set_index("key")
    plain = found[(found["lever"] == "") & (found["guidance"] > 1)]
    assert np.allclose(plain["clock"], plain["nfe"].astype(float) * plain["c"].astype(float))
    for cell in lever_grid.lever_grid(OPEN, [16]):
        if isinstance(cell.lever, Interval):
            guided = evaluator.passes(cell).nfe - cell.steps
            expected = 16 * (2 * guided + 0.7 * (cell.steps - guided))
        elif isinstance(cell.lever, Stored):
            expected = 16 * price[cell.lever.kind] * 2 * cell.steps
        else:
            continue
        assert found["clock"][evaluator.key(cell)] == pytest.approx(expected)


def test_a_pass_with_kept_features_is_priced_by_its_depth(evaluator):
    cell = next(cell for cell in lever_grid.lever_grid(OPEN, [8]) if isinstance(cell.lever, Kept))
    kinds = {kind: count for _, kind, count in evaluator.asked(cell)}
    assert kinds == {
        "whole": evaluator.passes(cell).whole[0],
        f"shallow {cell.lever.depth}": evaluator.passes(cell).shallow,
    }


def test_the_frontier_has_what_no_cheaper_setting_beats_and_a_rule_to_get_near_it(rows):
    found = evidence(rows)
    best = lever_frontier.settings(found["some"][METRIC])
    assert best["budget"].is_monotonic_increasing and best["value"].is_monotonic_decreasing
    assert set(best["name"]) <= {"no lever", Interval.name} and best["chance"].between(0, 1).all()
    drawn = lever_frontier.chart(found, METRIC).to_dict()
    points = next(iter(drawn["datasets"].values()))
    assert {"plain", Interval.name} <= {point["name"] for point in points}
    assert all(point["lo"] <= point["value"] <= point["hi"] and point["n"] for point in points)
    unpriced = figures.evidence(rows.assign(clock=np.nan), ["some"], [METRIC], lambda *_: {})
    assert "No machine is timed yet" in lever_frontier.chart(unpriced, METRIC, "clock").data
    said = lever_frontier.table(found, METRIC, count=4).data
    assert said.count("some of it") == 4 and "no lever" in said
    assert "| guidance in an interval (16 steps or more) |" in lever_frontier.rules(found["some"][METRIC]).data


def test_a_frontier_of_a_metric_of_which_more_is_better_has_its_own_sign(rows):
    shares = rows.assign(metric="alignment", value=0.5 + rows["value"] / 1000)
    shares = shares.assign(lo=shares["value"] - 0.01, hi=shares["value"] + 0.01)
    found = figures.evidence(shares, ["some"], ["alignment"], lambda *_: {})
    best = lever_frontier.settings(found["some"]["alignment"])
    assert best["value"].is_monotonic_increasing and (best["lo"] < best["value"]).all() and (best["value"] > 0).all()


def test_bytes_and_seconds_of_weights_in_fewer_bits(tmp_path):
    full, half, one = lever_bits.bytes_of(OPEN, 8).values()
    assert 0.49 < half / full < 0.52 and 0.25 < one / full < 0.3
    said = lever_bits.prices(Store(tmp_path), OPEN, [8]).data  # no machine was timed
    assert said.count("| 8 |") == 3 and "ms" not in said


def test_doses_are_the_best_settings_of_one_lever(rows):
    said = figures.doses(evidence(rows)["some"][METRIC], Interval.name).data
    assert "noise levels" in said and "%" in said
    assert figures.doses(evidence(rows)["some"][METRIC], "absent").data == figures.MISSING
