"""CLIP's towers against those of transformers, with random weights."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here may look for a file elsewhere

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel
from transformers.utils import logging

from ldm.data.scenes.config import SceneConfig
from ldm.data.scenes.dataset import Scenes
from ldm.metrics.perceptual import clip
from ldm.networks import weights
from ldm.networks.clip_text import ClipTextConfig
from tests.perceptual import GOLDEN, answers, relative
from tests.random_weights import draw, shapes_of

logging.set_verbosity_error()
logging.disable_progress_bar()
SMALL = clip.ClipConfig(
    name="small CLIP",
    side=48,
    patch=12,
    width=64,
    layers=3,
    heads=4,
    dimension=40,
    text=ClipTextConfig(vocabulary=99, length=12, width=32, hidden=128, layers=2, heads=2),
)


def twin(config: clip.ClipConfig) -> CLIPModel:
    text = config.text
    return CLIPModel(
        CLIPConfig(
            text_config=dict(
                vocab_size=text.vocabulary,
                hidden_size=text.width,
                intermediate_size=text.hidden,
                num_hidden_layers=text.layers,
                num_attention_heads=text.heads,
                max_position_embeddings=text.length,
                bos_token_id=text.vocabulary - 2,
                eos_token_id=text.vocabulary - 1,
                pad_token_id=text.vocabulary - 1,
            ),
            vision_config=dict(
                hidden_size=config.width,
                intermediate_size=4 * config.width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                image_size=config.side,
                patch_size=config.patch,
            ),
            projection_dim=config.dimension,
        )
    ).eval()


@pytest.fixture(scope="module")
def theirs() -> CLIPModel:
    model = twin(SMALL)
    state = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    model.load_state_dict({name: torch.from_numpy(np.asarray(tensor)) for name, tensor in draw(state).items()})
    return model


@pytest.fixture(scope="module")
def ours(theirs, tmp_path_factory) -> clip.ClipNetwork:
    folder = tmp_path_factory.mktemp("clip")
    theirs.save_pretrained(folder)
    return clip.load_clip(folder / "model.safetensors", SMALL)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return weights.load(GOLDEN)["images"]  # 64 x 48


def test_image_vectors_are_those_of_transformers_from_the_picture_on(theirs, ours, images):
    side = {"shortest_edge": SMALL.side}
    processor = CLIPImageProcessorPil(size=side, crop_size={"height": SMALL.side, "width": SMALL.side})
    pixels = processor([Image.fromarray(image) for image in images], return_tensors="pt").pixel_values
    with torch.no_grad():
        expected = theirs.get_image_features(pixels).pooler_output
    expected = (expected / expected.norm(dim=-1, keepdim=True)).numpy()
    vectors = ours(images)
    assert vectors.dtype == np.float32 and vectors.shape == (3, ours.dimension)
    assert relative(vectors, expected) < 1e-5


def test_text_vectors_are_those_of_transformers(theirs, ours):
    ids = np.random.default_rng(0).integers(0, 97, (5, 12))
    for row, length in enumerate((3, 12, 7, 4, 9)):
        ids[row, length - 1 :] = 98  # the end token, and padding by it
    with torch.no_grad():
        expected = theirs.get_text_features(torch.from_numpy(ids)).pooler_output
    expected = (expected / expected.norm(dim=-1, keepdim=True)).numpy()
    assert relative(ours.text(ids), expected) < 1e-5
    assert relative(ours.text(ids[4:]), expected[4:]) < 1e-5


def test_vectors_depend_neither_on_the_neighbours_nor_on_the_padding_of_the_last_batch(ours, images):
    five = images[[0, 1, 2, 0, 1]]
    together = ours(five)
    assert relative(np.concatenate([ours(image[None]) for image in five]), together) < 1e-6
    np.testing.assert_allclose(np.linalg.norm(together, axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("size", [224, 300])
def test_pictures_of_any_shape_are_prepared_as_by_clips_own_processor(size):
    """Sides that differ by an even number, where transformers' crop and torchvision's are the same."""
    image = Scenes(SceneConfig(size=512), "test", 1).images([0])[0][: 512 - 112, :]
    processor = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    expected = processor(Image.fromarray(image), return_tensors="np").pixel_values[0].transpose(1, 2, 0)
    mine = np.asarray(clip.View(clip.CLIP, size, clip.MEAN, clip.STD)(image[None]))[0]
    np.testing.assert_allclose(mine, expected, atol=1e-5)


@pytest.mark.parametrize("config", [clip.VIT_B_32, clip.VIT_L_14, clip.VIT_L_14_336], ids=lambda c: c.name)
def test_the_published_towers_have_the_weights_that_transformers_has(config):
    with torch.device("meta"):
        theirs = twin(config)
    expected = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items() if name != "logit_scale"}
    assert shapes_of(lambda keys: clip.Clip(config, keys=keys)) == expected
    view = clip.View(clip.CLIP, config.side, clip.MEAN, clip.STD)
    vectors = answers(view, lambda keys: clip.Clip(config, keys=keys))
    assert vectors.shape == (2, config.dimension) and vectors.dtype == np.float32


def test_what_are_no_ids_is_refused(ours):
    for ids in (np.zeros((2, 13), int), np.zeros(5, int), np.zeros((2, 12))):
        with pytest.raises(ValueError, match=r"small CLIP got .*give it ids of shape \(n, at most 12\)"):
            ours.text(ids)
    with pytest.raises(ValueError, match="got ids from 0 to 99; give it those of its tokenizer, 0 to 98"):
        ours.text(np.arange(0, 100, 9)[None])


def test_the_protocol_and_another_towers_weights(ours, tmp_path):
    assert ours.protocol.startswith("small CLIP, 40-d, 48 px PIL bicubic, shorter side, centre crop, float32, weights ")
    wide = clip.ClipConfig(**vars(SMALL) | {"width": 32})
    path = weights.save(tmp_path / "w.safetensors", draw(shapes_of(lambda keys: clip.Clip(wide, keys=keys))))
    with pytest.raises(ValueError, match=r"has shape \(.*32.*\) where \(.*64.*\) is expected"):
        clip.load_clip(path, SMALL)
