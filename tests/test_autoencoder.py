"""The autoencoder: folding is lossless, the codec keeps its borders, and a file describes itself."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm.networks import weights
from ldm.networks.autoencoder import (
    AutoencoderKL,
    Codec,
    fold,
    load_codec,
    save_codec,
    to_images,
    to_pixels,
    unfold,
)
from ldm.networks.autoencoder_config import AutoencoderConfig
from ldm.networks.initial import KeySource
from ldm.networks.structure import split

SMALL = AutoencoderConfig(channels=(16,), blocks=1, patch=4, groups=8)


@pytest.mark.slow
@given(patch=st.sampled_from([1, 2, 4]), h=st.integers(1, 3), w=st.integers(1, 3), c=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_unfold_undoes_fold(patch, h, w, c):
    x = np.random.default_rng(0).standard_normal((2, h * patch, w * patch, c)).astype(np.float32)
    folded = fold(x, patch)
    assert folded.shape == (2, h, w, patch * patch * c)
    np.testing.assert_array_equal(unfold(jax.device_put(folded), patch), x)


def test_every_byte_survives_the_way_to_pixels_and_back():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, -1)
    np.testing.assert_array_equal(to_images(to_pixels(images)), images)


def codec() -> Codec:
    structure, params = split(AutoencoderKL(SMALL, keys=KeySource(jax.random.key(0))))
    return Codec(structure, params, 0.5, SMALL.factor, batch=4)


def test_a_codec_gives_the_same_whatever_the_number_of_pictures():
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    whole = codec().encode(images)
    assert whole.shape == (5, 4, 4, 4)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(codec().encode(images[3:4]), whole[3:4], atol=1e-6)
    decoded = codec().decode(whole)
    assert decoded.shape == images.shape
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_finite_never_becomes_a_picture(number):
    latents = np.zeros((6, 4, 4, 4), np.float32)
    latents[4, 1, 2, 3] = number
    with pytest.raises(ValueError, match="1 of 6 pictures are not made of finite numbers, the first is number 4"):
        codec().decode(latents)


def test_a_saved_codec_is_read_back_with_its_scale(tmp_path):
    save_codec(tmp_path / "a.safetensors", codec().params, SMALL, 0.25, psnr=20.0)
    read = load_codec(tmp_path / "a.safetensors")
    assert read.scale == 0.25
    assert read.factor == 4
    for name, array in codec().params.items():
        np.testing.assert_allclose(read.params[name], array, atol=1e-3)


def test_a_truncated_codec_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "a.safetensors"
    save_codec(path, codec().params, SMALL, 0.25)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="only a part of one"):
        load_codec(path)


def test_the_description_in_the_file_is_the_configuration(tmp_path):
    save_codec(tmp_path / "a.safetensors", codec().params, SMALL, 0.25)
    assert weights.metadata(tmp_path / "a.safetensors")["config"] == {**dataclasses.asdict(SMALL), "channels": [16]}
