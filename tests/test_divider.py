"""The divider shows what its menus say, moves by keyboard, and has words for every picture."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ldm.figures.divider import divider

WAYS = {way: np.full((2, 8, 12, 3), level, np.uint8) for way, level in (("bicubic", 40), ("c = 8", 120), ("true", 250))}


def test_one_picture_by_two_ways_is_shown_at_first_and_all_have_words():
    text = divider(WAYS, ["scene 0", "scene <1>"], left="bicubic", right="true").data
    tags = re.findall(r"<img [^>]*>", text)
    assert len(tags) == 6
    assert [re.search(r'alt="([^"]*)"', tag)[1] for tag in tags if "hidden" not in tag] == [
        "scene 0, bicubic",
        "scene 0, true",
    ]
    assert "scene &lt;1&gt;, true" in text and "scene <1>" not in text
    assert "aspect-ratio:12 / 8" in text and not re.search("https?:", text)


@pytest.mark.parametrize(
    "ways, sides, sentence",
    [
        (WAYS, ("bicubic", "best"), "'best' is no way; expected one of bicubic, c = 8, true"),
        (WAYS | {"true": WAYS["true"][:1]}, ("bicubic", "true"), "'true' has 1 pictures; give 2"),
        (WAYS | {"true": WAYS["true"] / 255}, ("bicubic", "true"), "give 2 of uint8"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(ways, sides, sentence):
    with pytest.raises(ValueError, match=sentence):
        divider(ways, ["a", "b"], left=sides[0], right=sides[1])


def test_arrow_keys_move_it_and_menus_choose_the_pictures(browser):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_default_timeout(120_000)
    page.set_content(divider(WAYS, ["a", "b"], left="bicubic", right="true").data)
    seen = lambda: page.eval_on_selector_all("img:not([hidden])", "all => all.map(i => [i.alt, i.style.clipPath])")
    assert seen() == [["a, bicubic", ""], ["a, true", "inset(0px 0px 0px 50%)"]]
    page.focus("input[type=range]")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert seen()[1] == ["a, true", "inset(0px 0px 0px 53%)"]
    page.select_option("select[name=picture]", "1")
    page.select_option("select[name=left]", "c = 8")
    assert seen() == [["b, c = 8", "none"], ["b, true", "inset(0px 0px 0px 53%)"]]
    page.select_option("select[name=right]", "c = 8")
    assert [alt for alt, _ in seen()] == ["b, c = 8"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
