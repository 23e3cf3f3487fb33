"""What a shared page says of itself."""

from __future__ import annotations

import io
import sys

import pytest
from PIL import Image

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "book"))
import social  # noqa: E402

PAGE = (
    "<head><title>Levers &#8212; The book</title></head><h1>Levers</h1><p><b>The question.</b> Size &amp; steps. {}</p>"
)


def test_a_page_says_its_title_its_first_sentences_and_a_picture():
    page = social.described(PAGE.format("More?"), "notebooks/13.html", "https://example.org/book")
    assert '<meta property="og:title" content="Levers"/>' in page
    assert page.count('content="The question. Size &amp; steps. More?"') == 2
    assert 'content="https://example.org/book/_static/card.png"' in page
    assert 'content="https://example.org/book/notebooks/13.html"' in page
    assert social.described(page, "notebooks/13.html", "https://example.org/book") == page  # built again
    alone = social.described(PAGE, "notebooks/13.html")
    assert 'content="../_static/card.png"' in alone and "og:url" not in alone


@pytest.mark.parametrize("more, said", [("x. " * 200, "x."), ("x" * 400, "steps.")])
def test_a_long_paragraph_ends_with_a_sentence(more, said):
    first = social.first_sentences(PAGE.format(more))
    assert first.endswith(said) and len(first) <= social.MOST


def test_a_page_without_a_paragraph_has_no_description():
    assert "description" not in social.described("<title>Index</title><h1>Index</h1>", "genindex.html")


def test_a_title_that_says_the_same_twice_says_it_once():
    assert "<title>Bigger</title>" in social.described("<title>Bigger &#8212; Bigger</title>", "index.html")


def test_the_card_is_as_large_as_programs_show_it():
    with Image.open(io.BytesIO(social.card(ROOT / "book/_static/family.webp"))) as card:
        assert card.size == (1200, 630) and len(card.getcolors(1 << 20)) > 1000
