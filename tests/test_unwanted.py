"""Negative prompts of scenes: as much is said as in the caption, it is not so, and it depends on the scene alone."""

from __future__ import annotations

from typing import get_args

import pytest

from ldm.data.scenes.captions import caption, tokens, words
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.unwanted import Unwanted, unwanted
from ldm.profiles import OPEN_EPS


@pytest.mark.parametrize("what", get_args(Unwanted))
@pytest.mark.parametrize("level", ["all", "some", "subject"])
def test_it_is_another_caption_in_known_words_and_says_what_kind_of_thing_the_caption_says(what, level):
    data = Scenes(OPEN_EPS.scenes, "val", 64, level=level)
    found = unwanted(data, range(64), what)
    assert all(text and text != own for text, own in zip(found, data.captions(range(64)), strict=True))
    assert set(tokens(" ".join(found))) <= set(words(data.config))
    for i, text in enumerate(found):
        assert (" style" in text, " background" in text) == (
            " style" in data.caption(i),
            " background" in data.caption(i),
        )


def test_of_another_scene_it_is_that_scenes_caption():
    data = Scenes(OPEN_EPS.scenes, "val", 64)
    assert unwanted(data, range(63), "another scene") == [caption(data.scene(i + 1), data.said(i)) for i in range(63)]


@pytest.mark.parametrize("what", get_args(Unwanted))
def test_it_is_the_same_whichever_pictures_are_asked_for(what):
    few, many = (Scenes(OPEN_EPS.scenes, "val", n, level="some") for n in (8, 64))
    assert unwanted(few, range(8), what) == unwanted(many, range(64), what)[:8]
    assert unwanted(many, [5], what) == unwanted(many, range(64), what)[5:6]


@pytest.mark.parametrize("what", get_args(Unwanted))
def test_where_nothing_is_said_it_says_nothing(what):
    assert unwanted(Scenes(OPEN_EPS.scenes, "val", 4, level="nothing"), range(4), what) == [""] * 4


def test_one_thing_changed_is_one_part_of_the_caption():
    """Of scenes of one object, of which all is said: what, style or background."""
    data = Scenes(OPEN_EPS.scenes, "val", 200)
    single = [i for i in range(200) if len(data.scene(i).objects) == 1]
    for i, text in zip(single, unwanted(data, single, "one thing changed"), strict=True):
        own, other = data.caption(i).split(", "), text.split(", ")
        assert sum(a != b for a, b in zip(own, other, strict=True)) == 1, (own, other)
