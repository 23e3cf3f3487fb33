"""What the commands that draw and export need beside networks: plans that begin later, texts in a PNG, sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ldm.__main__ import call
from ldm.commands import draw
from ldm.data import pictures
from ldm.diffusion.editing import beginning
from ldm.diffusion.solvers import plan


@pytest.mark.parametrize("sampler, row", [("ddim", 3), ("dpm++", 2), ("heun", 4), ("ddpm", 0)])
def test_a_plan_that_begins_later_has_the_same_rows_and_looks_back_at_none(sampler, row):
    whole = plan(sampler, 6)
    left = beginning(whole, row)
    assert left.n == whole.n - row and len(left.t) == len(whole.t)
    for name in ("t", "alpha", "sigma", "x", "z"):
        np.testing.assert_array_equal(getattr(left, name)[: left.n], getattr(whole, name)[row : whole.n])
    np.testing.assert_array_equal(left.x0_prev[1 : left.n], whole.x0_prev[row + 1 : whole.n])
    assert left.x0_prev[0] == 0 and left.x0[0] == pytest.approx(whole.x0[row] + whole.x0_prev[row])
    with pytest.raises(ValueError, match=f"row = {whole.n}: expected 0 to"):
        beginning(whole, int(whole.n))


def test_a_png_keeps_texts_in_any_language_and_other_pictures_none(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    about = {"caption": "ein roter Stuhl, 猫", "seed": "7"}
    for name, kept in (("a.png", about), ("a.webp", {})):
        pictures.save(tmp_path / name, image, about)
        assert pictures.texts(tmp_path / name) == kept
    np.testing.assert_array_equal(pictures.whole(tmp_path / "a.png"), image)


def test_nothing_that_was_drawn_is_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert draw._free("picture", ".png") == Path("picture.png")
    about = {"caption": "a cat", "steps": "4"}
    for name in ("picture.png", "picture-2.png"):
        pictures.save(Path(name), np.zeros((4, 4, 3), np.uint8), about)
    assert draw._free("picture", ".png") == Path("picture-3.png")
    assert draw._drawn(Path("picture.png"), about) and not draw._drawn(Path("picture-3.png"), about)
    with pytest.raises(
        ValueError, match="picture.png is there already, of steps '4' and not steps '8'; give another --out"
    ):
        draw._drawn(Path("picture.png"), about | {"steps": "8"})
    pictures.save(Path("from.png"), np.zeros((4, 4, 3), np.uint8), about | {"image": "photo.jpg", "jax": "0.1"})
    assert draw._drawn(Path("from.png"), about | {"image": "photo.jpg", "jax": "0.2"}), "whatever the version"
    with pytest.raises(ValueError, match="of image 'photo.jpg' and not no image; give another"):
        draw._drawn(Path("from.png"), about)
    Path("broken.png").write_bytes(b"")
    with pytest.raises(ValueError, match="broken.png is there already and cannot be read"):
        draw._drawn(Path("broken.png"), about)


def test_a_folder_of_other_pictures_is_not_drawn_into(tmp_path):
    draw._check_folder(tmp_path, [])
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "00000.png", "text": ""}\n{"file_name": "owl.png"}\n')
    with pytest.raises(ValueError, match="names 1 pictures that are not asked for, such as owl.png"):
        draw._check_folder(tmp_path, [tmp_path / "00000.png"])


def test_a_contact_sheet_holds_every_picture_in_rows():
    images = [np.full((side, side, 3), 10 * side, np.uint8) for side in (8, 20, 12, 16, 16)]
    page = pictures.sheet(images, side=16)
    assert page.shape == (2 * 20 + 4, 3 * 20 + 4, 3)
    assert (page[4:12, 4:12] == 80).all() and (page[4:20, 24:40] == 200).all() and (page[24:40, 4:20] == 160).all()


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("draw nowhere", "give one caption, or several in a file"),
        ("draw nowhere cat --captions captions.txt", "give one caption, or several in a file"),
        ("draw nowhere --captions captions.txt", "captions.txt does not exist; give the path of a text file"),
        ("draw nowhere cat --n 0", "n = 0: expected at least 1 picture"),
        ("draw nowhere cat --n 2 --out a.png", "out = a.png: several pictures need a folder"),
        ("draw nowhere cat --negative dog --guidance 1", "negative = 'dog' without guidance"),
        ("draw nowhere cat --lora a.safetensors --lora-weight 1 2", "lora-weight has 2 numbers for 1 files"),
        ("export out", "give c, for a model of the study, or folder"),
        ("export out --c 12", "There is no trained model of c = 12"),
        ("export out --c 8 --kind guided", "takes guidance as an input"),
        ("export out --c 8 --kind codi", "takes guidance as an input"),
        ("export out --c 8 --unet a.safetensors", "unet and lora belong to folder"),
    ],
)
def test_a_wrong_request_gets_one_sentence(tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as refused:
        call(words.split())
    assert sentence in str(refused.value) and "\n" not in str(refused.value)
