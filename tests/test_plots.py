"""ldm.figures.plots and ldm.figures.pictures: every figure draws, and none without an interval."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pandas as pd
import pytest
import vl_convert
from PIL import Image

from ldm.data.pictures import to_webp
from ldm.figures import (
    charts,
    contest,
    explorer,
    explorer_data,
    isoflop,
    laws,
    levels,
    pictures,
    plots,
    speed,
    training,
)
from ldm.figures import sensitivity as sensitivity_charts
from ldm.networks import family
from ldm.paths import ROOT
from ldm.statistics import sensitivity
from ldm.study.results import Store
from tests import synthetic

KID = "kid_effnet"
SECONDS = {("laptop-eps", c): (0.001 * c, 0.002) for c in synthetic.WIDTHS}
DISTURBED = Store(ROOT).rows(study="metrics", profile="smoke", only="recorded")


def square(key: str) -> bytes:
    return to_webp(np.full((8, 4, 3), 90, np.uint8))


def by_level() -> pd.DataFrame:
    """The same grid under captions that say more and less."""
    parts = [synthetic.sampling_rows().assign(level=level) for level in ("all", "some")]
    return pd.concat(parts, ignore_index=True)


def at_times() -> pd.DataFrame:
    """The held-out loss of two sizes at three times."""
    rows = synthetic.pretraining_rows().iloc[[0, 1, 2, 4, 5, 6]]
    return rows.assign(metric="denoising_at", strength=[50.0, 450.0, 950.0] * 2)


FIGURES = {
    "by_level": lambda: levels.curves(by_level(), KID, ["all", "some"]),
    "isoflop": lambda: isoflop.shown(synthetic.pretraining_rows(), KID)[0],
    "by_time": lambda: isoflop.by_time(at_times()),
    "quality_vs_compute": lambda: plots.quality_vs_compute(synthetic.pretraining_rows(), KID),
    "quality_vs_params": lambda: plots.quality_vs_params(synthetic.pretraining_rows(), KID),
    "guidance_curves": lambda: plots.guidance_curves(synthetic.sampling_rows(), KID),
    "optimum_guidance": lambda: plots.optimum_guidance(synthetic.sampling_rows(), KID),
    "quality_vs_cost": lambda: plots.quality_vs_cost(synthetic.sampling_rows(), "alignment"),
    "budget_explorer": lambda: explorer.budget_explorer(synthetic.samplers_rows(), [KID, "alignment"], pictures=square),
    "budget_explorer_up": lambda: explorer.budget_explorer(synthetic.sampling_rows(), ["alignment"], seconds=SECONDS),
    "law": lambda: laws.shown(laws.training_points(synthetic.pretraining_rows(), KID), KID, "compute")[0],
    "loss_curve": lambda: training.loss_curve(synthetic.history()),
    "table1_chart": lambda: plots.table1_chart(family.table1()),
    "quality_by_sampler": lambda: plots.quality_by_sampler(synthetic.samplers_rows(), KID),
    "beside_real": lambda: plots.quality_vs_cost(synthetic.sampling_rows().assign(real=1.0), KID),
    "samplers_beside_real": lambda: plots.quality_by_sampler(synthetic.samplers_rows().assign(real=1.0), KID),
    "levels_beside_real": lambda: levels.curves(by_level().assign(real=1.0), KID, ["all", "some"]),
    "in_gaps": lambda: sensitivity_charts.in_gaps(sensitivity.changes(DISTURBED), (KID, "coverage", "alignment")),
    "by_count": lambda: sensitivity_charts.by_count(DISTURBED, [("noise", 3)], (KID, "fd_effnet")),
    "speed": lambda: speed.chart(speed.races(Store(ROOT).rows(study="benchmark", only="recorded"))),
    "advantages": lambda: contest.shown(synthetic.sampling_rows(), [KID, "alignment"], lambda rows, name: {})[0],
}
ROWS = {
    plots.quality_vs_compute: synthetic.pretraining_rows,
    plots.quality_vs_params: synthetic.pretraining_rows,
    plots.guidance_curves: synthetic.sampling_rows,
    plots.optimum_guidance: synthetic.sampling_rows,
    plots.quality_vs_cost: synthetic.sampling_rows,
    plots.quality_by_sampler: synthetic.samplers_rows,
    lambda rows, metric: explorer.budget_explorer(rows, [metric]): synthetic.sampling_rows,
}


def data_of(chart) -> pd.DataFrame:
    """The largest table inside a chart."""
    tables = chart.to_dict()["datasets"].values()
    return pd.DataFrame(max(tables, key=lambda table: (len(table[0]), len(table))))


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("version", ["5.20", "6.4"])  # JupyterLab's Vega-Lite, and the book's
def test_a_figure_draws_under_both_vega_lites(name, version):
    spec = FIGURES[name]().to_dict()
    svg = vl_convert.vegalite_to_svg(spec, vl_version=version, allowed_base_urls=[])
    assert "mark-" in svg and "NaN" not in svg and "undefined" not in svg
    assert spec["description"]


@pytest.mark.parametrize("known, drawn", [(1.0, True), (0.0, False), (np.nan, False)])
def test_real_scenes_are_a_line_across_panels_where_they_are_known_and_a_logarithmic_axis_has_room(known, drawn):
    svg = vl_convert.vegalite_to_svg(levels.curves(by_level().assign(real=known), KID, ["all", "some"]).to_dict())
    assert svg.count("real scenes, decoded") == 2 * drawn


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_each_time(name):
    bundle = FIGURES[name]()._repr_mimebundle_()
    assert bundle[charts.MIMETYPE]["description"] == bundle["text/plain"]
    assert json.dumps(FIGURES[name]().to_dict()["datasets"]) == json.dumps(FIGURES[name]().to_dict()["datasets"])


@pytest.mark.parametrize("figure", ROWS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("column", ["lo", "hi", "n"])
def test_a_row_without_interval_or_n_is_refused(figure, column):
    rows = ROWS[figure]()
    rows.loc[rows.index[0], column] = None
    with pytest.raises(ValueError, match=r"^1 of \d+ rows of 'kid_effnet' have no interval or no n"):
        figure(rows, KID)
    with pytest.raises(ValueError, match=rf"lack the columns \['{column}'\]"):
        figure(rows.drop(columns=column), KID)


@pytest.mark.parametrize("figure", ROWS, ids=lambda f: f.__name__)
def test_an_unknown_metric_and_no_rows_are_refused(figure):
    with pytest.raises(ValueError, match="'fid' has no entry .* known: kid_effnet"):
        figure(ROWS[figure](), "fid")
    with pytest.raises(ValueError, match="no row holds the metric 'relation'"):
        figure(ROWS[figure](), "relation")


def test_rows_of_two_experiments_are_not_drawn_as_one_curve():
    rows = synthetic.pretraining_rows()
    rows.loc[rows.index[0], "guidance"] = 7.0
    with pytest.raises(ValueError, match=r"rows mix guidance = \[3.0, 7.0\]"):
        plots.quality_vs_compute(rows, KID)
    rows = synthetic.sampling_rows()
    rows.loc[rows.index[0], "protocol"] = "another"
    with pytest.raises(ValueError, match="rows mix protocol"):
        plots.quality_vs_cost(rows, KID)


def test_every_quality_point_carries_interval_and_n_in_its_tooltip():
    for name in list(FIGURES)[:8]:
        text = json.dumps(FIGURES[name]().to_dict())
        assert all(f'"field": "{field}"' in text for field in ("lo", "hi", "n", "value")), name


@pytest.mark.parametrize(("metric", "pick"), [(KID, "idxmin"), ("alignment", "idxmax")])
def test_the_optimum_is_the_best_row_in_the_metrics_own_direction(metric, pick):
    rows = synthetic.sampling_rows()
    drawn = data_of(plots.optimum_guidance(rows, metric)).set_index(["c", "steps"])["guidance"]
    rows = rows[rows["metric"] == metric]
    expected = rows.loc[getattr(rows.groupby(["c", "steps"])["value"], pick)()]
    assert drawn.to_dict() == expected.set_index(["c", "steps"])["guidance"].to_dict()


def test_the_optimum_names_the_range_of_what_may_be_the_best():
    drawn = data_of(plots.optimum_guidance(synthetic.sampling_rows(), KID)).set_index(["c", "steps"])
    assert drawn.loc[(8, 4), "guidance"] == 4 and drawn.loc[(8, 4), "tied"] == "3 to 4"
    assert drawn.loc[(32, 50), "guidance"] == 2 and drawn.loc[(32, 50), "tied"] == "1.5 to 3"


def test_the_frontier_never_gets_worse_with_more_budget():
    for metric, sign in ((KID, -1), ("alignment", 1)):
        drawn = data_of(plots.quality_vs_cost(synthetic.sampling_rows(), metric))
        assert (sign * drawn.sort_values("cost")["frontier"].diff().dropna() >= 0).all()


@pytest.mark.parametrize("metric", [KID, "alignment"])
def test_chances_sum_to_one_and_favour_the_winner(metric):
    points = explorer_data.points_of(synthetic.sampling_rows(), metric, None)
    chances = explorer_data.chances_of(points, ["cost"])
    assert (chances["from"] < chances["to"]).all() and set(chances["axis"]) == {"cost"}
    for budget in points["cost"]:
        inside = chances[(chances["from"] <= budget) & (budget < chances["to"])]
        assert inside["chance"].sum() == pytest.approx(1, abs=0.025)
    cheapest = chances[chances["from"] == points["cost"].min()]
    assert cheapest["chance"].tolist() == [1.0]  # only one size can be afforded


def test_seconds_a_picture_are_those_of_the_machine_measured_last():
    row = {
        "study": "benchmark",
        "profile": "laptop-eps",
        "c": 8,
        "protocol": "one; here",
        "created": "2026-01-02T00:00:00Z",
    }
    old = row | {"protocol": "one; there", "created": "2026-01-01T00:00:00Z"}
    rows = pd.DataFrame(
        [
            row | {"metric": "seconds an evaluation", "value": 0.25},
            row | {"metric": "seconds besides", "value": 0.5},
            old | {"metric": "seconds an evaluation", "value": 9.0},
            old | {"metric": "seconds besides", "value": 9.0},
        ]
    )
    assert speed.seconds_a_picture(rows) == {("laptop-eps", 8): (0.25, 0.5)}
    assert speed.seconds_a_picture(rows[:0]) == {}


def test_the_explorer_has_a_choice_of_levels_and_each_has_its_own_best():
    rows = synthetic.sampling_rows()
    worse = rows.assign(
        level="some", key=rows["key"] + "s", **{name: 1.5 * rows[name] for name in ("value", "lo", "hi")}
    )
    both = pd.concat([worse, rows.assign(level=None)], ignore_index=True)
    points = explorer_data.points_of(both, KID, None).set_index(["level", "c", "steps"])["value"]
    assert points["some", 8, 4] == pytest.approx(1.5 * points["all", 8, 4])
    drawn = explorer.budget_explorer(both, [KID]).to_dict()
    [choice] = [param for param in drawn["params"] if param["name"] == "level"]
    assert choice["value"] == "some" and choice["bind"]["labels"] == ["some of it", "everything"]
    assert choice["bind"]["name"] == "the caption says "


def test_the_contest_is_told_in_steps_of_the_largest():
    rows = synthetic.sampling_rows()
    said = contest.answer(rows, [KID], lambda rows, _: {}).data
    assert said.startswith("- By KID") and "where the budget buys" in said
    assert "not asked" in contest.answer(rows[rows["c"] == 8], [KID], lambda rows, _: {}).data


def test_every_cost_of_the_explorer_is_a_cost_of_the_setting():
    points = explorer_data.points_of(synthetic.sampling_rows().assign(nfe=8), KID, SECONDS)
    np.testing.assert_allclose(points["ms"], 8 * points["c"] + 2)
    np.testing.assert_allclose(points["flops"], 8 * 787.72 * points["cost"] / points["steps"])


def test_the_loss_keeps_its_mean_and_refuses_nothing_to_draw():
    history = pd.DataFrame(synthetic.history())
    drawn = data_of(training.loss_curve(history, bins=100))
    assert len(drawn) == 100
    assert drawn["loss"].mean() == pytest.approx(history["loss"].mean(), rel=1e-3)
    assert (drawn["lo"] <= drawn["loss"]).all() and (drawn["loss"] <= drawn["hi"]).all()
    with pytest.raises(ValueError, match="history is empty"):
        training.loss_curve(history.iloc[:0])
    with pytest.raises(ValueError, match=r"lacks \['loss'\]"):
        training.loss_curve(history.drop(columns="loss"))


def test_the_live_loss_collects_without_a_notebook():
    with training.LiveLoss() as live:
        live(images_seen=64, loss=1.0)
    assert live.history == [{"images_seen": 64, "loss": 1.0}]


def test_table_1s_odd_row_is_the_only_one_marked():
    drawn = data_of(plots.table1_chart(family.table1()))
    assert list(drawn[drawn["off"].abs() > 0.02]["name"]) == ["39M"]


def decoded(html: str) -> list[np.ndarray]:
    """The pictures inside HTML."""
    parts = html.split('src="data:image/webp;base64,')[1:]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(p.split('"')[0])))) for p in parts]


def test_a_strip_shows_each_picture_with_its_label_as_alternative_text():
    images = np.zeros((2, 64, 64, 3), np.uint8)
    images[1, :, :, 0] = 250
    html = pictures.picture_strip(images, ["dark", 'a "red" <one>'])._repr_html_()
    assert 'alt="dark"' in html and 'alt="a &quot;red&quot; &lt;one&gt;"' in html
    dark, red = decoded(html)
    assert dark.shape == (128, 128, 3)
    assert np.abs(red.mean((0, 1)) - [250, 0, 0]).max() < 6 and dark.mean() < 6


def test_a_grid_names_rows_and_columns():
    html = pictures.picture_grid(np.zeros((2, 3, 32, 32, 3), np.uint8), ["c 8", "c 16"], ["4", "8", "16"])
    text = html._repr_html_()
    assert text.count("<img") == 6 and 'alt="c 16, 8"' in text and text.count('scope="col"') == 3


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), "must be uint8"),
        (np.zeros((2, 8, 8, 1), np.uint8), "last one RGB"),
        (np.zeros((3, 8, 8, 3), np.uint8), "3 pictures need as many labels, not 2"),
    ],
)
def test_a_strip_refuses_what_it_cannot_show(images, message):
    with pytest.raises(ValueError, match=message):
        pictures.picture_strip(images, ["a", "b"])


def test_rows_that_cannot_be_compared_get_a_sentence_in_place_of_a_chart():
    one = synthetic.sampling_rows().query("c == 8")
    (said,) = contest.shown(one, [KID], lambda rows, name: {})
    assert "Not asked of these rows: Sizes are compared" in said.data
    (said,) = isoflop.shown(synthetic.pretraining_rows().query("c < 20"), KID)
    assert "needs 3 sizes at two training lengths or more, not 2" in said.data


def test_the_shares_of_a_contest_are_told_in_doublings_and_words():
    _, table = contest.shown(synthetic.sampling_rows(), [KID], lambda rows, name: {})
    assert "a smaller model is surely better" in table.data and "doublings" in table.data


def test_the_same_question_is_asked_with_each_way_of_counting_a_pictures_cost():
    rows = synthetic.sampling_rows()
    plain = rows.assign(guidance=1.0, nfe=rows["steps"], value=1.5 * rows["value"], key=rows["key"] + "-plain")
    plain = plain.drop_duplicates(["c", "steps", "metric"]).assign(
        lo=lambda x: x["value"] - 1, hi=lambda x: x["value"] + 1
    )
    ask = lambda rows: contest.by_count(rows, [KID], lambda rows, name: {})
    said = ask(pd.concat([rows, plain], ignore_index=True)).query("steps == 'all'")
    assert list(said["what a picture costs"]) == list(contest.COUNTS) and said[KID].nunique() > 1
    unguided = plain[plain["c"] == plain["c"].max()]
    mixed = pd.concat([rows[rows["c"] < rows["c"].max()], unguided], ignore_index=True)
    assert ask(mixed)[KID].str.startswith("not asked of these rows: No row of c").sum() == 2
    assert ask(synthetic.sampling_rows().query("c == 8"))[KID].str.startswith("not asked of these rows").all()


def test_levels_stand_side_by_side_and_one_without_rows_is_left_out():
    chart, table = levels.contests(by_level(), KID, ["all", "some", "nothing"], lambda rows, metric: {})
    panels = {part["panel"] for part in chart.to_dict()["datasets"].popitem()[1]}
    assert panels == {"the caption says everything", "the caption says some of it"}
    assert "everything: one training a size" in table.data
    assert table.data.count("| the caption says everything |") == 2  # of all budgets, and up to four steps
    table = levels.enough(by_level(), KID, ["some"], lambda rows, metric: {}).data
    assert "some of it" in table and "everything" not in table


def test_a_level_that_is_being_drawn_does_not_shrink_the_others():
    begun = by_level().query("level == 'all' or steps == 4")
    assert list(levels.recorded(begun, KID, ["all", "some"])) == ["all"]
    assert set(levels.recorded(begun, KID, ["all"])["all"]["steps"]) == set(by_level().query("level == 'all'")["steps"])


def test_settings_are_compared_by_the_sizes_levels_and_step_counts_that_both_have():
    rows = by_level()
    fewer = rows[rows["steps"] != rows["steps"].max()]
    shared = levels.shared({"laptop-eps": rows, "laptop-v": fewer, "gpu-v": rows[:0]})
    assert list(shared) == ["laptop-eps", "laptop-v"] and len(shared["laptop-eps"]) == len(fewer)
    assert not levels.shared({"laptop-eps": rows})
    small, large = rows["c"].min(), rows["c"].max()
    parted = rows[(rows["c"] == small) & (rows["level"] == "all") | (rows["c"] == large) & (rows["level"] == "some")]
    assert not levels.shared({"laptop-eps": rows, "laptop-v": parted}), "no level has two sizes"


def test_levels_without_rows_get_a_sentence():
    none = by_level().query("level == 'nothing'")
    said = [levels.curves(none, KID, ["all"]), *levels.contests(none, KID, ["all"], lambda rows, metric: {})]
    said += [levels.pictures(Store(ROOT), none, KID, ["all"]), levels.enough(none, KID, ["all"], lambda *_: {})]
    assert {one.data for one in said} == {levels.MISSING}


def test_each_setting_that_has_rows_stands_under_its_own_name_where_there_are_several():
    rows = by_level()
    assert levels.by_setting({"laptop-eps": rows, "laptop-v": rows[:0]}, lambda part: [len(part)]) == [len(rows)]
    named, drawn, other, _ = levels.by_setting({"laptop-eps": rows, "laptop-v": rows}, lambda part: [len(part)])
    assert named.data == "### Predicting the noise, drawn on leading times" and drawn == len(rows)
    assert other.data == "### Predicting v, drawn on trailing times"
    assert [one.data for one in levels.by_setting({"laptop-v": rows[:0]}, lambda part: [part])] == [levels.MISSING]


def test_the_answer_counts_budgets_in_steps_of_the_largest():
    text = levels.answer(by_level(), KID, ["some"], lambda rows, metric: {}).data
    assert text.count("- If the caption says some of it, ") == 1 and "the budget buys" in text
    assert levels.answer(by_level(), KID, ["nothing"], lambda rows, metric: {}).data == levels.MISSING


def test_the_explorer_names_its_cost_its_captions_and_who_affords_nothing():
    rows = synthetic.sampling_rows()
    drawn = explorer.budget_explorer(
        rows, [KID], seconds=SECONDS, pictures=square, captions={"all": ["a fox", "a red hat left of a kite " * 3]}
    ).to_dict()
    curves, winners, looks = drawn["vconcat"]
    assert "GFLOPs of all network evaluations" in curves["title"]["text"]["expr"]
    assert "above: a fox" in looks["title"]["text"]["expr"]
    texts = [layer["encoding"].get("text") for layer in winners["layer"]]
    assert {"value": "costs more, even in its fewest steps"} in texts
    # the axis holds all that is measured, whatever the budget affords
    assert any(
        layer["mark"].get("opacity") == 0 and not any("budget" in str(t) for t in layer["transform"])
        for layer in winners["layer"]
    )


def test_the_explorer_begins_at_a_budget_that_affords_what_is_asked():
    rows = synthetic.sampling_rows()
    drawn = explorer.budget_explorer(rows, [KID], start=2 * rows["cost"].min()).to_dict()
    params = {param["name"]: param.get("value") for param in drawn["params"]}
    low, high = params["ends"]["cost"]
    budget = np.exp(low + params["share"] * (high - low))
    assert 2 * rows["cost"].min() <= budget * 1.0001 <= 2.1 * rows["cost"].min()
    beyond = explorer.budget_explorer(rows, [KID], start=1e9).to_dict()
    assert next(param["value"] for param in beyond["params"] if param["name"] == "share") == 1
