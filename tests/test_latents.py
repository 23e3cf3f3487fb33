"""Encoded scenes: what lies on the accelerator gives the batches of what lies on the disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ldm.data.latents import device_set, latent_set
from ldm.data.scenes.captions import words
from ldm.data.scenes.config import EASY
from ldm.data.scenes.dataset import Scenes
from ldm.networks import text


class Means:
    """In place of the autoencoder: the mean colour of each patch."""

    params = {"encoder.weight": np.ones(3, np.float32)}

    def encode(self, images):
        return images.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4), dtype=np.float32) / 128 - 1


def test_a_set_on_the_device_gives_the_batches_of_the_one_on_the_disk(tmp_path):
    data = Scenes(replace(EASY, size=32), "train", 40)
    tower = text.build(words(data.config), length=24, width=16, layers=1, heads=2, context=32)
    disk, device = latent_set(data, Means(), tower, tmp_path), device_set(data, Means(), tower, tmp_path)
    for step in (0, 3):
        a, b = disk.batch(7, step, 12), device.batch(7, step, 12)
        np.testing.assert_array_equal(a["latents"], b["latents"])
        assert b["context"].shape == (12, 24, 32)
        np.testing.assert_allclose(
            a["context"], b["context"], rtol=1e-3, atol=1e-3
        )  # float16, rounded after another sum
        np.testing.assert_array_equal(device.batch(7, step, 12, slice(4, 8))["latents"], b["latents"][4:8])
