"""The lessons: what is asked is answered by the rows, whatever edition they are of, and checked in the page alone."""

from __future__ import annotations

import dataclasses
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ldm import profiles
from ldm.figures import lessons as figures
from ldm.figures.pictures import picture_grid
from ldm.networks import family
from ldm.paths import ROOT
from ldm.study import influences
from ldm.study.lessons import Lessons
from ldm.study.questions import Question, first_lesson, letters, number, second_lesson
from ldm.study.results import Store
from ldm.study.rows import Row
from tests.pages import open_page, served

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
import lessons  # noqa: E402
import pdf  # noqa: E402

import build  # noqa: E402

SECOND = dataclasses.replace(profiles.get("laptop-v"), n=64, steps=(1, 2, 4, 8))
UNIT = {8: 0.001, 16: 0.003, 24: 0.006}
SHARED = np.random.default_rng(0).standard_normal(64)


def value(metric: str, c: int, steps: int, guidance: float) -> float:
    level = 20 + 300 / c + 60 / steps + 2 * abs(guidance - 2)
    return 1 - level / 200 if metric == "alignment" else level


@pytest.fixture(scope="module")
def second(tmp_path_factory) -> Lessons:
    """Rows as the second edition has them: decoded distances, captions that say some, two trainings of the smallest."""
    store = Store(tmp_path_factory.mktemp("second"))
    rng = np.random.default_rng(1)
    settings = [(c, s, g, seed) for c in UNIT for s in (1, 2, 4, 8) for g in (1.0, 2.0) for seed in (0, 1)]
    for c, steps, guidance, seed in settings:
        if seed and c != 8:
            continue
        key, rows, parts = f"{c}-{steps}-{guidance:g}-{seed}", [], {}
        for metric in ("kid_effnet_decoded", "fd_scene_decoded", "alignment"):
            small = 0.005 if metric == "alignment" else 1.0
            parts[metric] = (small * (40 * SHARED + 4 * rng.standard_normal(64))).astype(np.float32)
            v, half = value(metric, c, steps, guidance) + small * seed, 1.96 * parts[metric].std() / 8
            rows.append(
                Row(
                    **dict(study="sampling", profile=SECOND.name, task="pretrain", c=c, size=str(c), seed=seed),
                    **dict(params=1000 * c, gflops=1.0, images_seen=SECOND.length, sampler="ddim", steps=steps),
                    **dict(guidance=guidance, level="some", cost=UNIT[c] * steps, nfe=2 * steps, n=64),
                    **dict(metric=metric, protocol="p", value=float(v), lo=float(v - half), hi=float(v + half)),
                )
            )
        store.write(key, rows, {influences.FILE: influences.pack(parts)})
    return Lessons(SECOND, store)


def test_an_answer_is_right_within_its_reach_nearly_right_a_little_beyond_and_not_further():
    asked = number("?", 50, "", right=0.02, near=0.1)
    assert [asked.judge(x) for x in (50, 51, 49, 52, 55, 56, 0)] == ["right"] * 3 + ["nearly"] * 2 + ["not"] * 2
    choice = Question(ask="?", answer="b", choices=("a", "b"), why="")
    assert choice.judge("b") == "right" and choice.judge("a") == "not"
    with pytest.raises(ValueError, match="expected one of the choices, a, b"):
        Question(ask="?", answer="c", choices=("a", "b"), why="")
    with pytest.raises(ValueError, match="0 <= right <= near"):
        Question(ask="?", answer=1.0, right=2.0, near=1.0, why="")


def test_the_answers_are_those_of_the_rows_of_another_edition(second):
    first, other = first_lesson(second), second_lesson(second)
    assert first["steps"].answer == int(5 * 0.006 / 0.001)
    assert first["read"].answer == pytest.approx(value("fd_scene_decoded", 24, 4, 2.0))
    assert first["winner"].answer == "c = 16" and "the best FD-scene of c = 24" in first["read"].ask
    assert other["metrics"].answer == 3 and other["luck"].answer == pytest.approx(0.05 * 12)
    assert all(q.judge(q.answer) == "right" for q in (first | other).values())


@pytest.mark.parametrize(
    ("enough", "asked", "said"),
    [
        ((2, 4, 8), 16, "4 steps may be as good as its best count, 8 steps."),
        ((8, 8, 8), 24, "All 8: no count below the largest one that was measured may be as good."),
        ((1, 2, 4), 24, "4 steps may be as good"),
    ],
)
def test_how_many_steps_are_enough_is_asked_of_the_largest_size_that_needs_fewer_than_were_measured(
    second, enough, asked, said
):
    of = Lessons(SECOND, second.store)
    of.__dict__["enough"] = pd.DataFrame({"c": list(UNIT), "enough steps": enough, "best steps": 8, "loss": "0"})
    question = first_lesson(of)["enough"]
    assert f"c = {asked}," in question.ask and question.why.startswith(said)


def test_the_pair_overlaps_and_is_told_apart_by_its_pairs(second):
    rows, paired, unpaired = second.pair
    assert rows["lo"].max() < rows["hi"].min(), "the two intervals overlap"
    assert paired.lo > 0 or paired.hi < 0
    assert unpaired.lo < 0 < unpaired.hi
    halves = (rows["hi"] - rows["lo"]).to_numpy(float) / 2
    assert unpaired.hi - unpaired.value == pytest.approx(np.hypot(*halves), rel=1e-6)


def test_two_trainings_are_compared_by_pairs_and_one_alone_asks_nothing(second, tmp_path):
    assert second.trainings["metric"].tolist() == list(second.metrics) and set(second.trainings["c"]) == {8}
    assert second.trainings["gap"].to_numpy()[:2] == pytest.approx([1, 1], abs=1e-3)
    alone = Store(tmp_path)
    for key, rows in second.store.rows(seed=0).groupby("key"):
        fields = [{k: v for k, v in row.items() if not pd.isna(v)} for row in rows.to_dict("records")]
        alone.write(key, [Row(**row) for row in fields])
    of = Lessons(SECOND, alone)
    assert of.trainings.empty and "trained once" in figures.trainings(of)
    assert "seeds" not in second_lesson(of)


def test_rows_of_one_size_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="need the grid of two sizes of laptop-v, and 0 are recorded; run"):
        _ = Lessons(profiles.get("laptop-v"), Store(tmp_path)).rows


def test_letters_hide_the_order_of_sizes_and_are_the_same_every_time():
    sizes = [8, 16, 24, 32, 48, 64]
    assert sorted(letters(sizes).values()) == sizes != list(letters(sizes).values())
    assert letters(sizes) == letters(sizes)


def test_the_sheet_of_table_1_says_nothing_of_what_is_wrong_with_it():
    table = figures.printed_table1()
    assert "25.3" in table and "56.8" not in table and table.count("\n") == 12


def test_the_odd_row_of_table_1_is_the_one_whose_printed_numbers_disagree():
    paper = family.table1().set_index("name")
    off = (paper["gflops_paper"] / paper.loc["866M", "gflops_paper"] / paper["norm_cost_paper"] - 1).abs()
    assert off.idxmax() == "39M" and off.drop("39M").max() < 0.1


def test_a_template_that_names_what_is_not_known_is_refused():
    with pytest.raises(ValueError, match="ask:nothing .* is not known to a lesson"):
        lessons.fill("{{ ask:nothing }}", {"text:a": "b"}, lessons.on_page)


@pytest.fixture(scope="module")
def known(second) -> dict:
    """What templates name, in small: charts and votes as they are, numbers of the made-up rows."""
    found = dict.fromkeys(re.findall(r"\{\{ (\S+) \}\}", "".join(p.read_text() for p in _templates())), "words")
    plain = ("step_costs", "curves", "pair", "differences")
    charts = {f"chart:{name}": getattr(figures, name)(second) for name in plain}
    charts |= {f"chart:{n}": figures.advantage(second, second.metrics[:1]) for n in ("advantage", "advantage_first")}
    charts["chart:step_costs_on_half"] = figures.step_costs(second, lessons.HALF)
    charts["html:unnamed"] = picture_grid(
        np.zeros((6, 4, 32, 32, 3), np.uint8), list("ABCDEF"), list("1234"), width=88
    ).data
    asked = {f"ask:{name}": q for name, q in (first_lesson(second) | second_lesson(second)).items()}
    votes = {f"guess:{name}": ("Which?", ["a", "b"]) for name in ("budget", "letter", "overlap")}
    return found | charts | asked | votes | {"text:printed_table1": figures.printed_table1()}


def _templates() -> list[Path]:
    return sorted((ROOT / "book/lessons").glob("*.md"))


def test_every_place_of_every_template_is_one_that_the_build_fills():
    source = Path(lessons.__file__).read_text()
    asked = {f"ask:{name}" for name in ("steps", "read", "winner", "enough", "verdict")}
    asked |= {f"ask:{name}" for name in ("unpaired", "ratio", "needed", "luck", "metrics", "row", "table", "seeds")}
    for path in _templates():
        for place in re.findall(r"\{\{ (\S+) \}\}", path.read_text()):
            assert place in asked or f'"{place}"' in source, f"{path.name}: {place}"


def test_a_sheet_asks_and_does_not_answer(known):
    for path in (path for path in _templates() if path.name.endswith(".sheet.md")):
        page = lessons.sheet(lessons.fill(path.read_text(), known, lessons.on_sheet))
        body = page.split("<main>")[1].split("</main>")[0]
        assert not [word for word in ("How one finds it", "data-judge", "ldm-reveal", "<form") if word in body]


def test_sheets_are_one_page_of_a4_and_slides_as_many_as_there_are(known, browser, tmp_path):
    reader = pytest.importorskip("pypdf")
    for path in _templates():
        kind = path.name.split(".")[-2]
        if kind not in ("sheet", "slides"):
            continue
        make, show = (lessons.sheet, lessons.on_sheet) if kind == "sheet" else (lessons.slides, lessons.on_slide)
        (tmp_path / "page.html").write_text(text := make(lessons.fill(path.read_text(), known, show)))
        page, wrong = open_page(browser, f"file://{tmp_path}/page.html", "light")
        page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
        wide, high = map(float, (pages := reader.PdfReader(tmp_path / "page.pdf").pages)[0].mediabox[2:])
        assert len(pages) == (1 if kind == "sheet" else text.count("<section")), path.name
        assert (wide > high) == (kind == "slides") and not wrong
        page.context.close()


def test_answers_are_told_in_the_page_guesses_counted_and_results_hidden_until_asked(known, browser, tmp_path):
    text = lessons.fill((ROOT / "book/lessons/steps-or-size.slides.md").read_text(), known, lessons.on_slide)
    (tmp_path / "s.html").write_text(lessons.slides(text))
    with served(tmp_path) as address:
        page, wrong = open_page(browser, f"{address}s.html?lesson", "light")
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        sheets = page.locator("main > section")
        assert page.locator("main > section:visible").count() == 1
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert sheets.nth(2).is_visible() and page.url.endswith("#3")
        page.locator("section.now .ldm-guess button").first.click(click_count=2)
        assert page.locator("section.now .ldm-guess b").all_inner_texts() == ["2", "0"]
        for _ in range(2):
            page.locator("nav button", has_text="Next").click()
        hidden = page.locator("section.now .ldm-reveal")
        assert not hidden.is_visible()
        page.keyboard.press("Escape")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("r")
        assert hidden.is_visible()
        page.keyboard.press("ArrowRight")
        form = page.locator("section.now form.ldm-ask")
        verdicts = {}
        for given in ("30", "30.5", "33,0", "1,024", "words", ""):
            form.locator("input").fill(given)
            form.locator("button").click()
            verdicts[given] = form.get_attribute("data-verdict")
        assert verdicts == {"30": "right", "30.5": "right", "33,0": "nearly", "1,024": "not", "words": "", "": ""}
        assert form.locator("output").inner_text() == "Type a number."
        assert not wrong and not asked
        page.context.close()
        page, _ = open_page(browser, f"{address}s.html", "light")
        assert page.locator(".ldm-reveal[hidden]").count() == 0 == page.locator(".ldm-show").count()
        page.context.close()


def test_a_class_sees_neither_the_sections_for_the_teacher_nor_links_to_them(browser, tmp_path):
    script = (Path(lessons.__file__).parent / "_static/lessons.js").read_text()
    (tmp_path / "page.html").write_text(
        '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><ul><li><a href="#plan">Plan</a></li>'
        '<li><a href="#guess">Guess</a></li></ul><section id="plan"><h2>Plan</h2><p class="ldm-teacher">For you.</p>'
        f'</section><section id="guess"><h2>Guess</h2></section><script>{script}</script>'
    )
    with served(tmp_path) as address:
        for query, shown in {"": 2, "?lesson": 1}.items():
            page, wrong = open_page(browser, f"{address}page.html{query}", "light")
            assert page.locator("section:visible").count() == page.locator("li").count() == shown and not wrong
            page.context.close()


def test_a_page_of_a_lesson_holds_live_charts_and_forms(known):
    page = lessons.fill((ROOT / "book/lessons/is-it-real.md").read_text(), known, lessons.on_page)
    assert page.count('class="ldm-chart"') == 2 and page.count("<form") == 8 and "{{" not in page
    assert page.count("```") % 2 == 0 and build.raw("<p>") in "```{raw} html\n<p>\n```"


def test_sizes_that_share_no_step_count_are_refused_and_four_steps_are_asked_where_all_have_them(second):
    assert second.few == 4
    apart = Lessons(SECOND, second.store)
    rows = second.rows
    keep = ((rows["c"] == 8) & (rows["steps"] == 1)) | ((rows["c"] != 8) & (rows["steps"] == 8))
    apart.__dict__["rows"] = rows[keep]
    with pytest.raises(ValueError, match="laptop-v share no step count; run more cells"):
        _ = apart.few


def test_slides_are_printed_beside_their_page_and_offered_beside_each_link_once(chromium, tmp_path):
    reader = pytest.importorskip("pypdf")
    folder = tmp_path / "_static/lessons"
    folder.mkdir(parents=True)
    (folder / "a.slides.html").write_text(lessons.slides("# One\n\n---\n\n## Two\n"))
    page = tmp_path / "book/lessons/a.html"
    page.parent.mkdir(parents=True)
    page.write_text('<a href="../../_static/lessons/a.slides.html?lesson">slides</a> <a href="x.html">x</a>')
    with ThreadPoolExecutor() as other:  # in this thread the fixture's playwright may run
        (made,) = other.submit(pdf.handouts, tmp_path).result()
    assert made == folder / "a.slides.pdf" and len(reader.PdfReader(made).pages) == 2
    for _ in range(2):
        pdf.offer(tmp_path)
    assert page.read_text().count('(<a href="../../_static/lessons/a.slides.pdf">PDF, with answers</a>)') == 1
