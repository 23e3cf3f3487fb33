"""The small CLIP that ships: it knows which caption is a picture's own, and with which text tower it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from ldm import profiles
from ldm.data.scenes.dataset import Scenes
from ldm.networks import weights
from ldm.networks.scene_clip import load_clip
from ldm.tasks import models


@pytest.mark.slow
def test_the_shipped_clip_prefers_a_pictures_own_caption_to_another_and_to_a_changed_one():
    profile = profiles.get("laptop-eps")
    clip = load_clip(models.part_file(profile, "clip"), models.frozen_files(profile)[1])
    scenes = Scenes(profile.scenes, "val", 64, level="some")
    images, captions = scenes.images(range(64)), scenes.captions(range(64))
    own = clip(images, captions)
    others = [clip(images, captions[k:] + captions[:k]) for k in (1, 5)]
    assert (own > np.maximum(*others)).mean() > 0.9 and own.mean() > 0.5 > np.mean(others) + 0.2
    np.testing.assert_allclose(clip(images[:3], captions[:3]), own[:3], atol=1e-5)
    changed = [text.replace("a ", "a small ", 1) if "small" not in text else text for text in captions]
    some = np.array([a != b for a, b in zip(captions, changed, strict=True)])
    assert (own > clip(images, changed))[some].mean() > 0.7
    with pytest.raises(ValueError, match="3 captions of 2 pictures: expected one each"):
        clip(images[:2], captions[:3])


def test_a_clip_of_other_files_is_refused(tmp_path):
    autoencoder, tower = models.frozen_files(profiles.get("laptop-eps"))
    with pytest.raises(ValueError, match="does not describe a clip"):
        load_clip(autoencoder, tower)
    ours = models.part_file(profiles.get("laptop-eps"), "clip")
    with pytest.raises(ValueError, match="does not describe a tower"):
        load_clip(ours, autoencoder)
    other = tmp_path / "text.safetensors"
    weights.save(other, {name: 2 * array for name, array in weights.load(tower).items()}, weights.metadata(tower))
    with pytest.raises(ValueError, match="was trained beside another text tower than"):
        load_clip(ours, other)
