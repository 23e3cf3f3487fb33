"""A network in two ways: on made-up rows of which the better way is known, and with a word where rows lack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ldm import profiles
from ldm.figures import levels, ways
from ldm.study.results import Store
from ldm.study.rows import Row

NOISE, FLOW, EARLY = (profiles.get(name) for name in ("laptop-dit", "laptop-flow", "laptop-flow-3"))
METRIC = "fd_scene_decoded"
PAIR = (ways.Way("noise predictors", NOISE, (48, 72)), ways.Way("rectified flows", FLOW, (48, 72)))


def write(store, profile, better, *, sizes=(48, 72), steps=(4, 8, 16), sampler="ddim", guidance=(1.0, 2.0)) -> None:
    """A grid in which quality is better(c, steps), and a unit worse at each guidance but the last."""
    for c in sizes:
        for s in steps:
            for g in guidance:
                value = better(c, s) + (g != guidance[-1])
                row = Row(
                    study="sampling", profile=profile.name, task="pretrain", c=c, size=f"{c}", params=c,
                    gflops=float(c), seed=0, level="some", images_seen=profile.length, sampler=sampler, guidance=g,
                    steps=s, nfe=s, cost=float(c * s), n=profile.n, metric=METRIC, protocol="p", value=value,
                    lo=value - 0.1, hi=value + 0.1,
                )  # fmt: skip
                store.write(f"{profile.name}-{sampler}-{c}-{s}-{g:g}", [row])


@pytest.mark.parametrize(("factor", "better"), [(0.5, 1), (2.0, 0)])
def test_the_better_way_is_named_and_seen(tmp_path, factor, better):
    store = Store(tmp_path)
    write(store, NOISE, lambda c, steps: 1000 / c + 40 / steps)
    write(store, FLOW, lambda c, steps: factor * (1000 / c + 40 / steps))
    names, found = tuple(way.name for way in PAIR), ways.together(store, PAIR, [METRIC])
    said, drawn, _ = ways.compared(found, PAIR, store)
    assert f"**the {names[better]} are surely better**" in said.data and "says some of it" in said.data
    assert f"advantage of the {names[0]} over the {names[1]}" in drawn.to_dict()["description"]
    rows = found[METRIC]["some"]
    chart = ways.curves({"width 48": rows[rows["c"] == 48]}, METRIC).to_dict()
    drawn = next(iter(chart["datasets"].values()))
    assert {(point["kind"], point["steps"]) for point in drawn} == {(kind, s) for kind in names for s in (4, 8, 16)}
    assert {point["guidance"] for point in drawn} == {2.0}, "the best"


def test_ways_are_compared_where_all_sizes_have_rows_and_at_common_steps(tmp_path):
    store = Store(tmp_path)
    write(store, NOISE, lambda c, steps: 1000 / c)
    write(store, FLOW, lambda c, steps: 1000 / c, sizes=(48,))
    assert ways.together(store, PAIR, [METRIC]) == {METRIC: {}}
    assert ways.compared({METRIC: {}}, PAIR, store)[0].data == ways.curves({}, METRIC).data == levels.MISSING
    write(store, FLOW, lambda c, steps: 1000 / c, sizes=(72,), steps=(8, 32))
    assert ways.together(store, PAIR, [METRIC]) == {METRIC: {}}, "one step count says nothing of steps"
    write(store, FLOW, lambda c, steps: 1000 / c, sizes=(72,), steps=(4, 8))
    assert set(ways.together(store, PAIR, [METRIC])[METRIC]["some"]["steps"]) == {4, 8}
    with pytest.raises(ValueError, match="captions that say all and some; expected one"):
        ways.together(store, (PAIR[0], replace(PAIR[1], profile=replace(FLOW, level="all"))), [METRIC])


def test_the_table_of_solvers_has_a_line_a_solver_and_shift_at_its_best_guidance(tmp_path):
    store = Store(tmp_path)
    write(store, FLOW, lambda c, steps: 100.0 + steps, sizes=(48,))
    write(store, EARLY, lambda c, steps: 200.0 + steps, sizes=(48,), sampler="heun", steps=(4, 8))
    heads, _, euler, heun = ways.solvers(ways.straight(store, [FLOW, EARLY], (48, 72), METRIC), METRIC).data.split("\n")
    assert heads == "| width | solver | times shifted by | evaluations | 4 steps | 8 steps | 16 steps |"
    assert euler == "| 48 | Euler | 1 | 4, 8, 16 | 104 [104, 104] | 108 [108, 108] | 116 [116, 116] |"
    assert heun == "| 48 | Heun | 3 | 7, 15 | 204 [204, 204] | 208 [208, 208] | – |"
    none = ways.straight(store, [replace(FLOW, name="laptop-flow-half")], (48,), METRIC)
    assert ways.solvers(none, METRIC).data == levels.MISSING
