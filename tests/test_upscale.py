"""Tiles are joined without seams, whatever the picture's size, and wrong files are named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ldm.figures import enlarge
from ldm.tasks import upscale


class Pixels:
    """Restores by repeating pixels, so that neighbouring tiles agree; adds a level a tile where they should not."""

    side = 16

    def __init__(self, step: int = 0):
        self.step, self.seen = step, []

    def images(self, low, plan, *, seed, first):
        self.seen.append(first)
        for i in range(0, len(low), 3):
            part = low[i : i + 3].repeat(4, 1).repeat(4, 2)
            yield part + (self.step * (np.arange(len(part)) + i + first)[:, None, None, None] % 2).astype(np.uint8) * 60


def picture(h: int, w: int) -> np.ndarray:
    return np.random.default_rng(h * w).integers(0, 150, (h, w, 3), dtype=np.uint8)


@given(h=st.integers(1, 40), w=st.integers(1, 40), overlap=st.integers(0, 7))
def test_where_tiles_agree_there_is_nothing_to_see(h, w, overlap):
    image = picture(h, w)
    assert np.array_equal(upscale.upscale(image, Pixels(), None, overlap=overlap), image.repeat(4, 0).repeat(4, 1))


def test_where_tiles_disagree_one_fades_into_the_other():
    flat = np.full((16, 40, 3), 100, np.uint8)
    big = upscale.upscale(flat, Pixels(step=1), None)
    assert {100, 160} <= set(big.ravel().tolist())
    assert np.abs(np.diff(big.astype(int), axis=1)).max() <= 5  # 60 levels over 16 pixels


def test_many_tiles_are_restored_in_turns_with_noise_of_their_own():
    restorer = Pixels()
    upscale.upscale(picture(220, 220), restorer, None)
    assert restorer.seen == [0, 256]


@pytest.mark.parametrize(
    "image, overlap, sentence",
    [
        (np.zeros((8, 8), np.uint8), 4, "give uint8"),
        (np.zeros((8, 8, 3)), 4, "the picture is float64"),
        (np.zeros((1025, 1024, 3), np.uint8), 4, "at most 1,048,576"),
        (np.zeros((8, 8, 3), np.uint8), 8, "overlap = 8"),
    ],
)
def test_wrong_pictures_are_refused(image, overlap, sentence):
    with pytest.raises(ValueError, match=sentence):
        upscale.upscale(image, Pixels(), None, overlap=overlap)


def test_a_wrong_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="nothing.png does not exist"):
        upscale.read(tmp_path / "nothing.png")
    with pytest.raises(ValueError, match="is a folder; give the path of a PNG"):
        upscale.read(tmp_path)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="a.png is not a readable picture"):
        upscale.read(tmp_path / "a.png")
    Image.new("L", (1025, 1024)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match="large.png has 1025 x 1024 pixels; give at most 1,048,576"):
        upscale.read(tmp_path / "large.png")
    Image.new("LA", (3, 2), (10, 0)).save(tmp_path / "b.png")
    assert np.array_equal(upscale.read(tmp_path / "b.png"), np.full((2, 3, 3), 255, np.uint8))


def test_ones_own_picture_is_saved_whole_and_shown_small(tmp_path):
    small = picture(50, 400)
    shown, path = enlarge.enlarged(small, Pixels(), None, name="there/my.picture.jpg", folder=tmp_path / "new")
    assert path == tmp_path / "new/my.picture.png"
    assert np.array_equal(np.asarray(Image.open(path)), small.repeat(4, 0).repeat(4, 1))
    assert (
        shown.data.count("<img") == 4 and "its middle, pixel by pixel" in shown.data
    )  # by each way the whole and its middle
    assert enlarge.enlarged(small[:, :40], Pixels(), None, name="b", folder=tmp_path)[0].data.count("<img") == 2


def test_the_photographs_of_the_book_are_shown_beside_what_they_were(tmp_path):
    assert len(enlarge.EXAMPLES) == 2 and (enlarge.EXAMPLES[0].parent / "LICENSE").is_file()
    small, true = enlarge.example(enlarge.EXAMPLES[0])
    assert small.shape == (64, 64, 3) and true.shape == (256, 256, 3)
    assert np.abs(small.mean((0, 1)) - true.mean((0, 1))).max() < 2
    shown, _ = enlarge.enlarged(small, Pixels(), None, name="cat", true=true, folder=tmp_path)
    assert shown.data.count("<img") == 3
