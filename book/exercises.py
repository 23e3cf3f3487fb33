"""Exercises have addresses: a page that names one by its number leads to it, and not to the first of sixty.

In the sources an exercise is a number in bold (`**29** ●●`), and a link to it is one to the page of exercises with the
number in its text or after it, so that both stay readable in Jupyter.
"""

from __future__ import annotations

import re

PAGE = "a4_exercises"
NUMBER = re.compile(r"<strong>(\d+)</strong>(?= ●)")
LINK = re.compile(
    rf'<a (?P<before>[^>]*)href="(?P<page>(?:[^"#]*/)?{PAGE}\.html)"(?P<after>[^>]*)>(?P<text>.*?)</a>'
    r"(?P<list>(?:(?:\s|,|and)*\s\d+\b(?!\s*(?:%|px)))*)",
    re.S,
)


def anchored(page: str) -> str:
    """Return the page of exercises with a place for each, `exercise-29`, whose number is a link to it."""
    link = r'<a class="ldm-exercise" href="#exercise-\1" title="A link to this exercise">\1</a>'
    return NUMBER.sub(rf'<strong id="exercise-\1">{link}</strong>', page)


def pointed(page: str) -> str:
    """Return a page whose links to the exercises lead to those that they name.

    "Others: 28 to 30" leads to the first of them. Of a list after the link, "exercises 2, 9 and 15", each number
    becomes a link of its own. What names no number leads to the page, as before.
    """
    return LINK.sub(_pointed, page)


def _pointed(found: re.Match[str]) -> str:
    to = lambda number: f'<a class="reference internal" href="{found["page"]}#exercise-{number}">{number}</a>'
    named = re.search(r"\d+", re.sub(r"<[^>]*>", "", found["text"]))
    place = f"#exercise-{named[0]}" if named else ""
    link = f'<a {found["before"]}href="{found["page"]}{place}"{found["after"]}>{found["text"]}</a>'
    return link + (found["list"] if named else re.sub(r"\d+", lambda number: to(number[0]), found["list"]))
