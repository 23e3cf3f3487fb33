"""What the chapter says of a search: gains by each judge, and by the verifier, on made-up rows."""

from __future__ import annotations

import pandas as pd
import pytest

from ldm import profiles
from ldm.figures import search
from ldm.metrics.catalogue import short
from ldm.statistics.search import CHOSE, gains
from ldm.study import lever_grid, lever_record, levers
from ldm.study.lever_cells import Search
from ldm.study.levers import LeverEvaluator
from ldm.study.results import Store
from ldm.study.rows import Row
from ldm.study.sampling import SamplingEvaluator, sampling_grid

OPEN = profiles.get("laptop-eps")
METRICS = ["fd_scene_decoded", "alignment"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> pd.DataFrame:
    """A search by which alignment gains a tenth for each candidate, and the distance nothing."""
    store, evaluator, plain = Store(tmp_path_factory.mktemp("s")), LeverEvaluator(OPEN), SamplingEvaluator(OPEN)
    evaluator.__dict__["search_gflops"] = {levers.LOOK: 0.2, levers.DECODED: 0.1}
    cells = [cell for cell in lever_grid.lever_grid(OPEN) if isinstance(cell.lever, Search)]
    for cell in [*sampling_grid(OPEN, lever_grid.SIZES, lever_grid.STEPS, OPEN.guidance), *cells]:
        n = cell.lever.candidates if hasattr(cell, "lever") else 1
        by = evaluator if n > 1 else plain
        worse = 1 + abs(cell.guidance - 3) / 10
        values = {"fd_scene_decoded": 10 * worse, "alignment": 0.5 * (1 + 0.1 * n) / worse}
        values |= {"similarity": 0.5 + 0.1 * n, "similarity_first": 0.5, "style": 0.9} if n > 1 else {}
        measured = [
            Row(
                **by.columns(cell),
                metric=metric,
                protocol="made up",
                value=v,
                lo=v - 0.01,
                hi=v + 0.01,
                n=OPEN.n // (1 + (metric == "style")),
            )
            for metric, v in values.items()
        ]
        store.write(by.key(cell), measured)
    return lever_record.recorded(store, evaluator, ["some"])[0]


def test_a_search_is_compared_with_one_picture_at_the_best_guidance_of_each(rows):
    found = gains(rows, Search.name, METRICS, lambda *_: {}).set_index(["by", "c", "candidates"])
    assert {candidates for *_, candidates in found.index} == {2, 4, 8} and set(found["steps"]) == {4}
    for candidates in (2, 4, 8):
        gained = found.loc[(short("alignment"), 16, candidates)]
        assert gained["better"] == pytest.approx((1 + 0.1 * candidates) / 1.1 - 1, rel=0.01)
        assert gained["lo"] < gained["better"] < gained["hi"]
        assert found.loc[(short("fd_scene_decoded"), 16, candidates)]["better"] == pytest.approx(0)
        assert found.loc[(CHOSE, 16, candidates)]["better"] == pytest.approx(0.2 * candidates)


def test_the_chart_begins_with_one_picture_and_without_rows_says_so(rows):
    chart = search.chart(rows, METRICS, lambda *_: {})
    assert set(chart.data["candidates"]) == {1, 2, 4, 8} and set(chart.data["panel"]) == {
        f"c = {c}" for c in lever_grid.SIZES
    }
    assert search.chart(rows[rows["lever"] == ""], METRICS, lambda *_: {}).data == search.MISSING
