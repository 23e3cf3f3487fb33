from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from ldm.data.batches import in_order
from ldm.data.scenes import dataset
from ldm.data.scenes.captions import IDENTIFIERS, caption, max_words, tokens, words
from ldm.data.scenes.config import EASY, FULL, KINDS, SceneConfig
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.emoji import COLOURS, STYLES, emojis
from ldm.data.scenes.record import SPLITS, held_out, scene
from ldm.data.scenes.render import pattern, render

CONFIGS = pytest.mark.parametrize("config", [EASY, FULL], ids=["easy", "full"])
GOLDEN = {
    "cartoon": "101dd36bc333dc48",
    "flat": "c0856003e6b02e6a",
    "papercut": "3033ecd11577ccef",
    "3d": "90f537caf249b2c5",
}


def records(config, split, n):
    return [scene(config, split, i) for i in range(n)]


def combos(record):
    names = [emojis()[thing.index].name for thing in record.objects]
    return [(name, record.style) for name in names] + list(combinations(names, 2))


@pytest.mark.parametrize("style", STYLES)
def test_the_first_picture_of_each_style_is_the_golden_one(style):
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("Pillow rotates with the processor's own floating point")
    config = replace(EASY, styles=(style,))
    record = scene(config, "train", 0)
    where = "hilly green and cream background"
    assert caption(record) == f"a large crab at the left, {style} style, on a {where}"
    assert hashlib.sha256(render(config, record).tobytes()).hexdigest()[:16] == GOLDEN[style]


def test_a_picture_depends_on_its_index_alone_and_not_on_order_batch_or_process(tmp_path):
    data = Scenes(EASY, "train", 40)
    one_by_one = np.stack([data.item(i)[0] for i in reversed(range(40))])[::-1]
    assert np.array_equal(data.images(range(40)), one_by_one)
    assert np.array_equal(data.images([7, 3]), one_by_one[[7, 3]])
    assert np.array_equal(Scenes(EASY, "train", 90).images(range(40)), one_by_one)
    for workers in (1, 2):
        parts = list(in_order(data.images, 40, 6, workers))
        assert [len(part) for part in parts] == [6] * 6 + [4]
        assert np.array_equal(np.concatenate(parts), one_by_one)
    cached = data.cached(tmp_path, workers=1)
    assert np.array_equal(cached, one_by_one)
    assert [path.name for path in tmp_path.iterdir()] == [f"scenes-train-64px-40-{data.key}.npy"]
    assert data.captions([5]) == [data.item(5)[1]]


def test_a_cache_that_was_interrupted_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(draw, n, length, workers):
        yield draw(range(1))
        raise RuntimeError("interrupted")

    monkeypatch.setattr(dataset, "in_order", fail)
    with pytest.raises(RuntimeError):
        Scenes(EASY, "val", 4).cached(tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_seeds_splits_and_configs_give_other_pictures_and_cache_names():
    base = Scenes(EASY, "train", 8)
    others = [
        Scenes(EASY, "train", 8, seed=1),
        Scenes(EASY, "val", 8),
        Scenes(replace(EASY, rotation=0), "train", 8),
    ]
    for other in others:
        assert not np.array_equal(base.images(range(8)), other.images(range(8)))
        assert base.key != other.key


@CONFIGS
def test_no_scene_is_in_two_splits(config):
    seen = {}
    for split in SPLITS:
        for record in records(config, split, 1500):
            what = (record.objects, record.style, record.kind, record.colours, record.variation)
            assert seen.setdefault(what, split) == split


@CONFIGS
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_held_out_combinations_and_subjects_are_never_trained_on(config, split):
    for record in records(config, split, 2500):
        assert not any(held_out(*combo) for combo in combos(record))
        assert not any(emojis()[thing.index].heldout for thing in record.objects)


@CONFIGS
def test_held_out_scenes_hold_a_held_out_combination_of_known_parts(config):
    for record in records(config, "heldout", 1500):
        assert any(held_out(*combo) for combo in combos(record))
        assert all(thing.index < config.vocabulary for thing in record.objects)


def test_every_object_is_trained_on_in_some_style_and_every_style_with_some_object():
    free = [(e, s) for e in emojis() for s in STYLES if not held_out(e.name, s)]
    assert {e for e, _ in free} == set(emojis()) and {s for _, s in free} == set(STYLES)
    easy = [(e, s) for e in emojis()[:32] for s in STYLES if held_out(e.name, s)]
    assert 4 <= len(easy) <= 16


def test_scenes_of_subjects_show_one_held_out_subject_and_can_be_kept_to_one():
    for record in records(EASY, "subjects", 500):
        assert sum(emojis()[thing.index].heldout for thing in record.objects) == 1
    teapot = replace(EASY, subject="teapot", styles=("3d",))
    for record in records(teapot, "subjects", 100):
        assert "teapot" in [thing.name for thing in record.objects] and record.style == "3d"


@CONFIGS
@pytest.mark.parametrize("size", [32, 64, 128])
def test_boxes_are_in_the_frame_and_never_overlap(config, size):
    config = replace(config, size=size)
    for record in records(config, "train", 1500):
        boxes = [thing.box for thing in record.objects]
        for x0, y0, x1, y1 in boxes:
            assert 0 <= x0 < x1 <= size and 0 <= y0 < y1 <= size and x1 - x0 == y1 - y0
        for a, b in combinations(boxes, 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_drawings_stay_in_their_boxes_and_touch_two_sides():
    config = replace(EASY, shadow=False, kinds=("plain",), counts=(0.5, 0.5, 0.0))
    for record in records(config, "train", 40):
        there = (render(config, record) != COLOURS[record.colours[0]]).any(-1)
        for thing in record.objects:
            x0, y0, x1, y1 = thing.box
            rows, cols = np.nonzero(there[y0:y1, x0:x1])
            side = x1 - x0
            assert side - 2 <= max(np.ptp(rows), np.ptp(cols)) + 1 <= side
            there[y0:y1, x0:x1] = False
        assert not there.any()


@CONFIGS
def test_a_caption_says_what_the_record_says(config):
    names = {e.caption: e for e in emojis()}
    noun = rf"(?:(an?) )?(?:(small|large) )?({'|'.join(sorted(names, key=len, reverse=True))})"
    what = re.compile(
        rf"(?:{noun} (?P<place>in the centre|at the [a-z ]+)"
        rf"|{noun} (?P<pair>left of|right of|above|below) {noun}"
        rf"|{noun}, {noun} and {noun} (?P<row>from left to right|from top to bottom)"
        rf"|{noun} (?P<roof>above) {noun} and {noun})"
        rf", (?P<style>\S+) style, on a (?P<kind>\S+) (?P<colours>\S+(?: and \S+)?) background"
    )
    for record in records(config, "train", 1500):
        found = what.fullmatch(caption(record))
        assert found, caption(record)
        groups = found.groups()
        places = [k for k, group in enumerate(groups[:-3]) if group in names]  # lime is a colour too
        nouns = [(groups[k - 2], groups[k - 1] or "", groups[k]) for k in places]
        assert [(size, name) for _, size, name in nouns] == [(thing.size, thing.name) for thing in record.objects]
        for article, size, name in nouns:
            first = size or name
            vowel = first[0] in "aeio" or first in ("umbrella", "hourglass")
            expected = None if names[name].plural else "an" if vowel else "a"
            assert article == expected, caption(record)
        relation = found["pair"] or found["row"] or found["roof"]
        assert (relation, found["place"]) == (record.relation, record.place)
        assert found["style"] == record.style and found["kind"] == record.kind
        assert tuple(found["colours"].split(" and ")) == record.colours


@CONFIGS
def test_relations_and_places_are_true_of_the_boxes(config):
    for record in records(config, "train", 1500):
        xs = [thing.centre[0] / config.size for thing in record.objects]
        ys = [thing.centre[1] / config.size for thing in record.objects]
        if record.relation is None:
            for value, low, high in ((xs[0], "left", "right"), (ys[0], "top", "bottom")):
                is_low, is_high = low in record.place, high in record.place
                assert (value < 0.49) >= is_low and (value > 0.51) >= is_high
                assert is_low or is_high or abs(value - 0.5) < 0.07
        elif record.relation in ("left of", "from left to right"):
            assert xs == sorted(xs)
        elif record.relation in ("above", "from top to bottom"):
            assert all(ys[0] < y for y in ys[1:]) and (len(ys) < 3 or ys[1] < ys[2] or xs[1] < xs[2])
        else:
            assert {"right of": xs[0] > xs[1], "below": ys[0] > ys[1]}[record.relation]


@CONFIGS
def test_captions_of_every_split_use_the_closed_vocabulary_and_fit_the_length(config):
    known, longest = set(words(config)), max_words(config)
    assert set(IDENTIFIERS) <= known and len(known) == len(words(config))
    for split in SPLITS:
        for record in records(config, split, 800):
            text = tokens(caption(record))
            assert set(text) <= known and not set(text) & set(IDENTIFIERS)
            assert len(text) <= longest
    assert max_words(EASY) <= 24


def test_backgrounds_show_objects_when_there_is_a_choice_of_colours():
    for record in records(EASY, "train", 1500):
        hidden = frozenset().union(*(emojis()[thing.index].hidden_on for thing in record.objects))
        if len(set(EASY.colours) - hidden) >= 3:
            assert not hidden & set(record.colours)


def test_a_scene_is_the_same_at_every_size():
    for i in range(50):
        small, large = (scene(replace(EASY, size=size), "train", i) for size in (32, 128))
        assert caption(small) == caption(large)
        for a, b in zip(small.objects, large.objects, strict=True):
            assert np.abs(np.multiply(a.box, 4) - b.box).max() <= 8
    a, b = (render(replace(EASY, size=s), scene(replace(EASY, size=s), "train", 3)) for s in (32, 64))
    assert a.shape == (32, 32, 3) and b.shape == (64, 64, 3) and a.dtype == b.dtype == np.uint8
    assert np.abs(b.reshape(32, 2, 32, 2, 3).mean((1, 3)) - a).mean() < 12


@pytest.mark.parametrize("kind", KINDS)
def test_patterns_use_both_colours_and_vary(kind):
    shares = [pattern(kind, variation, 64) for variation in range(4)]
    assert all(share.shape == (64, 64) and share.dtype == np.uint8 for share in shares)
    if kind == "plain":
        assert not any(share.any() for share in shares)
        return
    assert all(np.ptp(share) >= 100 for share in shares)
    assert all(not np.array_equal(a, b) for a, b in combinations(shares, 2))


def test_the_table_of_emoji_is_nested_and_plain():
    table = emojis()
    assert [emoji.index for emoji in table] == list(range(437))
    assert sum(emoji.heldout for emoji in table) == 16
    assert all(emoji.heldout for emoji in table[421:]), "held-out subjects come last"
    names = [emoji.caption for emoji in table]
    assert len(set(names)) == 437
    assert all(re.fullmatch(r"[a-z-]+( [a-z-]+)*", name) for name in names)


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"size": 16}, "size=16"),
        ({"vocabulary": 437}, "expected 4 to 421"),
        ({"styles": ("cartoon", "outlined")}, "outlined"),
        ({"kinds": ()}, "kinds=()"),
        ({"colours": ("red", "red", "blue", "green")}, "different names"),
        ({"colours": ("red", "blue")}, "at least 4"),
        ({"counts": (0.5, 0.4, 0.0)}, "sum to 1"),
        ({"small": 1.5}, "small=1.5"),
        ({"rotation": 90}, "rotation=90"),
        ({"variations": 0}, "variations=0"),
        ({"subject": "panda"}, "held-out subjects"),
    ],
)
def test_a_wrong_config_is_refused_in_one_sentence(wrong, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        SceneConfig(**wrong)


def test_wrong_splits_and_indices_are_refused():
    with pytest.raises(ValueError, match="split='tset'"):
        Scenes(EASY, "tset", 3)
    with pytest.raises(ValueError, match="n=0"):
        Scenes(EASY, "test", 0)
    with pytest.raises(IndexError, match="scene 3"):
        Scenes(EASY, "test", 3).item(3)
    with pytest.raises(IndexError, match="scene -1"):
        Scenes(EASY, "test", 3).item(-1)
    style = next(s for s in STYLES if not any(held_out(e.name, s) for e in emojis()[:4]))
    one = SceneConfig(vocabulary=4, styles=(style,), counts=(1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="larger vocabulary"):
        scene(one, "heldout", 0)
