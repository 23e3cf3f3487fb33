"""Readers' comments are off, and where they are on nothing is asked for before a reader asks."""

from __future__ import annotations

import sys

import pytest
import yaml

from tests.conftest import ROOT
from tests.pages import served

sys.path.insert(0, str(ROOT / "book"))
import comments  # noqa: E402

PAGE = "<!DOCTYPE html><title>A page</title><body><article><h1>A page</h1></article></body>"


def configured(value: str | None) -> dict:
    return {"sphinx": {"config": {"html_context": {"comments": value}}}}


def test_they_are_off_in_this_book():
    assert comments.service(yaml.safe_load((ROOT / "_config.yml").read_text())) == ""
    assert comments.offered(PAGE, "", 1) == PAGE
    on = comments.offered(PAGE, "hypothesis", 1)
    assert comments.offered(on, "hypothesis", 1) == on and comments.offered(on, "", 1) == PAGE  # built again


def test_an_unknown_service_is_refused():
    assert comments.service(configured("hypothesis")) == "hypothesis" and comments.service(configured(None)) == ""
    with pytest.raises(ValueError, match="^comments is 'disqus' in _config.yml; expected nothing or hypothesis"):
        comments.service(configured("disqus"))


def test_a_page_without_an_article_stays_as_it_is():
    assert comments.offered("<p>leads on</p>", "hypothesis", 0) == "<p>leads on</p>"


def test_the_service_is_asked_when_the_button_is_pressed_and_not_before(browser, tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static/comments.js").write_bytes((ROOT / "book/_static/comments.js").read_bytes())
    (tmp_path / "index.html").write_text(comments.offered(PAGE, "hypothesis", 0))
    page, asked, answers = browser.new_page(), [], [None, "window.commented = window.hypothesisConfig().openSidebar"]

    def answer(route):
        asked.append(route.request.url)
        script = answers.pop(0)
        route.abort() if script is None else route.fulfill(content_type="text/javascript", body=script)

    page.route("**/embed.js", answer)
    with served(tmp_path) as address:
        page.goto(address + "index.html", wait_until="load")
        button = page.locator(".ldm-comments button")
        assert not asked and "hypothes.is" in page.inner_text(".ldm-comments")
        button.click()
        page.get_by_text("It did not answer").click()
        page.wait_for_function("window.commented === true")
        page.wait_for_selector(".ldm-comments", state="detached")
    assert asked == ["https://hypothes.is/embed.js"] * 2
    page.close()
