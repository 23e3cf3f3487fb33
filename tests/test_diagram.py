"""The diagram of the method: each box names code that is there, and leads to pages that are there."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ldm.figures import diagram
from ldm.paths import ROOT

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
import api  # noqa: E402

import build  # noqa: E402

NAME = "{http://www.w3.org/2000/svg}"
BOXES = (*diagram.ASKED, diagram.TEXT, diagram.LOOP, *diagram.STEP, *diagram.DRAWN, *diagram.TRAINED)


def drawn() -> ElementTree.Element:
    return ElementTree.fromstring(diagram.method().replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


@pytest.mark.parametrize("box", BOXES, ids=lambda box: box.code)
def test_a_box_names_a_piece_of_the_code_that_its_room_describes(box):
    module, name = box.code.split(":")
    path = ROOT / "ldm" / (module.replace(".", "/") + ".py")
    found = [node for node in ast.parse(path.read_text()).body if getattr(node, "name", None) == name]
    assert found and ast.get_docstring(found[0]), "the pages about the code leave out what has no docstring"
    assert path in api.rooms(ROOT)[diagram.room(module)]


def test_every_box_leads_to_a_chapter_of_the_book_and_to_the_code():
    pages = {*build.chapters(ROOT / "book/_toc.yml"), *(f"book/code/{room}" for room in api.rooms(ROOT))}
    links = [link.get("href") for link in drawn().iter(f"{NAME}a")]
    assert len(links) == 2 * len(BOXES)
    assert {re.sub(r"\.html(#.*)?$", "", link.removeprefix("../")) for link in links} <= pages


def test_no_text_leaves_its_box_and_no_box_the_drawing():
    """By a generous width of a letter: a browser's own may be a little wider."""
    picture = drawn()
    for link in picture.iter(f"{NAME}a"):
        rect = link.find(f"{NAME}rect")
        if rect is None:
            continue
        x, y, width, height = (float(rect.get(side)) for side in ("x", "y", "width", "height"))
        assert x >= 0 and x + width <= diagram.WIDTH
        for line in link.iter(f"{NAME}tspan"):
            assert float(line.get("x")) + 6.4 * len(line.text) <= x + width + diagram.PAD
            assert y < float(line.get("y")) < y + height


def test_where_a_name_stands_beside_a_title_both_have_room():
    wide = {diagram.LOOP, *diagram.STEP, *diagram.DRAWN, *diagram.TRAINED}
    for box in wide:
        inner = diagram.WIDTH - 3 * diagram.PAD - 12 if box in diagram.STEP else diagram.WIDTH
        assert 8 * len(box.title) + 7.6 * len(box.code.split(":")[1]) < inner - 2 * diagram.PAD


def test_it_takes_its_colours_from_the_page():
    assert not re.search(r"#[0-9a-f]{3,6}\b", diagram.STYLE) and "currentColor" in diagram.STYLE
