"""How much a caption says: levels, what follows from what is said, and captions that do not hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldm.data.scenes import truth
from ldm.data.scenes.captions import PARTS, caption, said, tokens
from ldm.data.scenes.config import EASY, FULL
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.record import scene

N = 2_000
OPEN = Scenes(EASY, "train", N, level="some")


def test_the_ends_are_everything_the_subject_alone_and_nothing():
    for i in range(50):
        record = scene(FULL, "val", i)
        assert caption(record, said(record, "all")) == caption(record)
        assert caption(record, said(record, "subject")).split()[-1] == tokens(record.objects[0].name)[-1]
        assert caption(record, said(record, "nothing")) == ""


def test_any_number_of_parts_is_as_likely_as_any_other():
    """Of one object there are five parts besides the subject: each number of them in a sixth of the captions."""
    one = [i for i in range(N) if len(OPEN.scene(i).objects) == 1]
    counts = Counter(len(OPEN.said(i)) for i in one)
    expected = len(one) / 6
    assert set(counts) == {1, 2, 3, 4, 5, 6}
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 20.5, "chi squared of 5, one in a thousand"


def test_what_is_said_is_a_function_of_seed_and_index_and_leaves_the_picture_alone():
    again, other, full = (
        Scenes(EASY, "train", N, level="some"),
        Scenes(EASY, "train", N, 1, "some"),
        Scenes(EASY, "train", N),
    )
    assert [OPEN.caption(i) for i in range(40)] == [again.caption(i) for i in range(40)]
    assert [said(OPEN.scene(i), "some", 0) for i in range(40)] != [said(OPEN.scene(i), "some", 1) for i in range(40)]
    assert (OPEN.images(range(8)) == full.images(range(8))).all()
    assert len({OPEN.key, other.key, full.key}) == 3


@given(st.integers(0, 10_000), st.sets(st.sampled_from(PARTS)))
def test_a_caption_holds_the_words_of_what_it_says_and_of_nothing_else(i, parts):
    record = scene(FULL, "train", i)
    words = set(tokens(caption(record, parts)))
    if "subject" not in parts:
        assert not words
        return
    assert ({"style"} <= words) == ("style" in parts)
    assert ("background" in words) == bool(parts & {"kind", "colours"})
    assert set(tokens(" ".join(record.colours))) <= words or "colours" not in parts
    assert not parts & {"size"} or {thing.size for thing in record.objects[:1]} <= words | {""}
    names = [set(tokens(thing.name)) for thing in record.objects]
    assert names[0] <= words and ("other" not in parts or all(name <= words for name in names))


def test_a_relation_is_not_said_without_the_object_that_it_is_to():
    two = [i for i in range(N) if len(OPEN.scene(i).objects) == 2]
    assert all("other" in OPEN.said(i) for i in two if "where" in OPEN.said(i))
    assert any("other" in OPEN.said(i) and "where" not in OPEN.said(i) for i in two)


def test_what_follows_from_a_caption_is_true_and_no_more_than_it_says():
    for i in range(200):
        record, parts = OPEN.scene(i), OPEN.said(i)
        answers = truth.answered(EASY, record, parts)
        whole = dict.fromkeys(truth.questions(EASY), "") | truth.answers(record)
        assert answers.items() <= whole.items() and answers["object 1"] == record.objects[0].name
        assert ("style" in answers) == ("style" in parts) and ("where" in answers) == ("where" in parts)
        assert ("object 2" in answers) == ("other" in parts or (len(record.objects) == 1 and "where" in parts))
        everything = truth.answered(EASY, record, said(record, "all"))
        assert everything == {name: answer for name, answer in whole.items()}


def test_an_untrue_caption_says_as_much_and_something_else():
    rng = np.random.default_rng(0)
    for i in range(200):
        record, parts = OPEN.scene(i), OPEN.said(i)
        wrong = truth.untrue(EASY, record, parts, rng)
        assert wrong != caption(record, parts)
        if parts == {"subject"}:
            assert wrong.split()[-1] != record.objects[0].name.split()[-1]


def test_a_small_cat_is_a_cat():
    """Where sizes are said and something else is not, leaving the size word out does not make a caption wrong."""
    rng = np.random.default_rng(0)
    small = next(
        r for r in (scene(EASY, "train", i) for i in range(N)) if r.objects[0].size == "small" and len(r.objects) == 1
    )
    truths = {caption(replace(small, objects=(replace(small.objects[0], size=""),)), {"subject", "size"})}
    assert not truths & {truth.untrue(EASY, small, {"subject", "size"}, rng) for _ in range(200)}


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="level='half': expected one of all, some, subject, nothing"):
        said(scene(EASY, "train", 0), "half")
