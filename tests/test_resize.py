"""The resizers against the originals: clean-fid, PIL, and TensorFlow 1's as torch-fidelity has it."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ldm.data.resample import cubic, smooth
from ldm.data.scenes.config import SceneConfig
from ldm.data.scenes.dataset import Scenes
from ldm.metrics.perceptual import resize
from ldm.metrics.perceptual.efficientnet import resize as approximate
from ldm.networks import weights
from tests.perceptual import GOLDEN, by_pil

ROOT = Path(__file__).parents[1]


def pictures() -> dict[str, np.ndarray]:
    """Scenes of several sizes and shapes, and the sheets of emoji art, on white."""
    scenes = {f"{size} px": Scenes(SceneConfig(size=size), "test", 1).images([0])[0] for size in (32, 64, 128, 512)}
    scenes |= {"wide": scenes["512 px"][100:333], "tall": scenes["512 px"][:, 20:197]}
    for path in sorted((ROOT / "art").rglob("*.*")):
        if path.suffix in (".png", ".webp"):
            art = Image.open(path).convert("RGBA")
            sheet = Image.new("RGBA", art.size, "white")
            sheet.alpha_composite(art)
            scenes[path.name] = np.asarray(sheet.convert("RGB").crop((0, 0, 384, 300)))
    return scenes


PICTURES = pictures()


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return weights.load(GOLDEN)


NAMED = {"clean": resize.CLEAN, "torch_bilinear": resize.TORCH, "tensorflow_bilinear": resize.TENSORFLOW}


def run(resizer, image: np.ndarray, *arguments: int) -> np.ndarray:
    return np.asarray(resizer(jnp.asarray(image[None]), *arguments))[0]


def cropped(images, side: int, shorter: int):
    return resize.resample_levels(images, *resize.crop(*images.shape[1:3], side, shorter))


@pytest.mark.parametrize("side", [37, 80])
@pytest.mark.parametrize("name", NAMED)
def test_a_resizer_is_that_of_its_package(golden, name, side):
    mine = run(NAMED[name].resize, golden["images"][0], side)
    assert np.abs(mine - golden[f"resize.{name}.{side}"][0]).max() < 1e-4


@pytest.mark.parametrize("side", [48, 224, 299])
@pytest.mark.parametrize("name", PICTURES)
def test_clean_is_pils_bicubic_on_float_channels_to_a_ten_thousandth_of_a_level(name, side):
    image = PICTURES[name]
    channels = [Image.fromarray(image[..., i].astype(np.float32)) for i in range(3)]
    bicubic = Image.Resampling.BICUBIC
    theirs = np.stack([np.asarray(c.resize((side, side), bicubic)) for c in channels], -1).clip(0, 255)
    mine = run(resize.CLEAN.resize, image, side)
    assert mine.dtype == np.float32
    assert np.abs(mine - theirs).max() < (2e-4 if image.shape[0] > 4 * side else 1e-4)  # longer sums in float32


@pytest.mark.parametrize("shorter", [None, 256])
@pytest.mark.parametrize("name", PICTURES)
def test_eight_bit_pictures_are_resized_and_cropped_as_by_pil_to_the_last_level(name, shorter):
    image, side = PICTURES[name], 224
    if shorter is None:
        theirs = by_pil(image, side, side)
        mine = run(resize.SQUARE.resize, image, side)
    else:
        h, w = (shorter * size // min(image.shape[:2]) for size in image.shape[:2])
        left, top = round((w - side) / 2), round((h - side) / 2)
        theirs = by_pil(image, w, h).crop((left, top, left + side, top + side))
        mine = run(cropped, image, side, shorter)
    np.testing.assert_array_equal(mine, np.asarray(theirs))


def test_of_a_long_and_narrow_picture_only_the_middle_is_made():
    """Of 2 x 20,000 pixels the whole would be 224 x 2,240,000, by a matrix of 45 thousand million numbers."""
    size, out, kept = 200, 4_480, slice(2_128, 2_352)
    whole, part = (smooth(size, out, cubic(-0.5), *rows) for rows in ((), (kept,)))
    np.testing.assert_array_equal(part, whole[kept])
    image = np.full((2, 20_000, 3), 9, np.uint8)
    assert (run(cropped, image, 224, 224) == 9).all()


@pytest.mark.parametrize("resizer", [resize.CLEAN, resize.TORCH, resize.TENSORFLOW, resize.SQUARE, resize.CLIP])
def test_a_picture_of_the_right_size_stays_as_it_is(resizer):
    image = PICTURES["64 px"]
    np.testing.assert_array_equal(run(resizer.resize, image, 64), image)


def test_the_legacy_resizers_alias_and_differ():
    """A fine chequerboard is grey; to the legacy resizers it is whatever they happen to pick."""
    board = np.indices((256, 256)).sum(0)[..., None].repeat(3, -1) % 2 * np.uint8(255)
    spread = {r.name: run(r.resize, board.astype(np.uint8), 100).std() for r in (resize.CLEAN, resize.TORCH)}
    assert spread[resize.CLEAN.name] < 2 < 20 < spread[resize.TORCH.name]


def test_efficientnets_resizer_is_clean_fids_but_for_its_rounding():
    image = PICTURES["128 px"]
    assert np.abs(run(approximate, image, 160) - run(resize.CLEAN.resize, image, 160)).max() < 1e-2


def test_sizes_are_static_so_that_a_resizer_compiles_to_two_products():
    text = jax.jit(resize.CLEAN.resize, static_argnums=1).lower(jnp.zeros((1, 8, 9, 3), jnp.uint8), 5).as_text()
    assert text.count("dot_general") == 2


@pytest.mark.parametrize(
    "resizer", [resize.CLEAN, resize.TORCH, resize.TENSORFLOW, resize.SQUARE, resize.CLIP, resize.DINO]
)
@pytest.mark.parametrize("name", ["32 px", "wide", "tall"])
def test_on_the_host_a_picture_is_resized_as_on_the_device(name, resizer):
    there, here = run(resizer.resize, PICTURES[name], 224), resizer.on_host(PICTURES[name], 224)
    assert here.dtype == np.float32 and here.shape == (224, 224, 3)
    assert np.abs(here - there).max() <= (0 if resizer.whole else 2e-4)
