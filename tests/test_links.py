"""Every link of the built book leads somewhere: to a file that is there, and to a place on its page."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
from links import broken  # noqa: E402


def test_every_link_within_the_book_leads_somewhere(smoke_study):
    wrong = broken(smoke_study / "_build/html")
    assert not wrong, "\n".join(wrong)


def test_a_broken_link_is_named(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here">1</a><a href="b.html#there">2</a><a href="https://x.org">3</a>'
    )
    (tmp_path / "b.html").write_text('<a href="c.html">4</a><img src="d.png"><a href="a.html#here">5</a>')
    assert broken(tmp_path) == [
        "a.html: b.html#there: no such place",
        "b.html: c.html: no such file",
        "b.html: d.png: no such file",
    ]
