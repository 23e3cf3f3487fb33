"""Numbers of exercises lead to them."""

from __future__ import annotations

import sys

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "book"))
import exercises  # noqa: E402

LINK = '<a class="reference internal" href="../notebooks/a4_exercises.html"><span class="doc">{}</span></a>'


def test_each_exercise_has_a_place_on_its_page():
    page = "<p><strong>29</strong> ●● Eleven pictures</p> <p><strong>7</strong> of them</p>"
    link = '<a class="ldm-exercise" href="#exercise-29" title="A link to this exercise">29</a>'
    assert exercises.anchored(page) == page.replace(">29<", f' id="exercise-29">{link}<')


def test_a_link_that_names_an_exercise_leads_to_it():
    for text, place in (("28 to 30", "#exercise-28"), ("exercise 26", "#exercise-26"), ("exercises", "")):
        assert exercises.pointed(LINK.format(text)) == LINK.format(text).replace(".html", f".html{place}")


def test_each_number_after_a_link_becomes_one():
    page = exercises.pointed(LINK.format("Exercises") + " 7, 13 and 14 with solutions; 3 of them")
    for number in (7, 13, 14):
        assert f'a4_exercises.html#exercise-{number}">{number}</a>' in page
    assert page.endswith("</a> with solutions; 3 of them") and page.count("<a ") == 4


def test_other_links_and_numbers_stay():
    page = '<a href="a5_first_hour.html">the first hour</a> 7'
    assert exercises.pointed(page) == page
