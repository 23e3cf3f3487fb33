"""DINO and DINOv2 against transformers, with random weights; the positions also against the authors' rule."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here may look for a file elsewhere

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel
from transformers.utils import logging

from ldm.metrics.perceptual import dino
from ldm.metrics.perceptual.network import Network
from ldm.networks import weights
from ldm.networks.initial import KeySource
from ldm.networks.structure import abstract
from tests.perceptual import GOLDEN, answers, by_pil, relative
from tests.random_weights import draw

logging.set_verbosity_error()
logging.disable_progress_bar()
SMALL = {
    "DINO": replace(dino.VIT_S_16, side=64, trained=64, width=48, layers=3, heads=4),
    # transformers resizes positions by the size, not by the authors' factor
    "DINOv2": replace(dino.VIT_L_14, side=56, trained=98, width=48, layers=3, heads=4, offset=0.0),
}


def twin(config: dino.DinoConfig) -> torch.nn.Module:
    shape = dict(
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        image_size=config.trained,
        patch_size=config.patch,
        layer_norm_eps=dino.EPS,
    )
    if config.scaled:
        return Dinov2Model(Dinov2Config(**shape)).eval()
    return ViTModel(ViTConfig(**shape, intermediate_size=4 * config.width)).eval()


def pair(name: str, folder: Path) -> tuple[Network, torch.nn.Module]:
    theirs = twin(SMALL[name])
    state = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
    theirs.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in draw(state).items()})
    theirs.save_pretrained(folder)  # under the names of the published files
    return dino.load_dino(folder / "model.safetensors", SMALL[name]), theirs


@pytest.fixture(scope="module", params=SMALL)
def networks(request, tmp_path_factory):
    return pair(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return weights.load(GOLDEN)["images"]  # 64 x 48


def prepared(config: dino.DinoConfig, images: np.ndarray) -> torch.Tensor:
    """By PIL: DINO's resize to 8/7 of the side and centre crop, DINOv2's resize to a square."""

    def one(image: np.ndarray) -> np.ndarray:
        side = config.side
        if config.resizer is dino.SQUARE:
            return np.asarray(by_pil(image, side, side))
        h, w = (side * 256 // 224 * size // min(image.shape[:2]) for size in image.shape[:2])
        left, top = round((w - side) / 2), round((h - side) / 2)
        return np.asarray(by_pil(image, w, h).crop((left, top, left + side, top + side)))

    pixels = np.stack([one(image) for image in images]) / 255
    pixels = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32))


def test_features_are_those_of_transformers_from_the_picture_on(networks, images):
    ours, theirs = networks
    config = SMALL[ours.name.split()[0]]
    with torch.no_grad():
        expected = theirs(prepared(config, images)).last_hidden_state[:, 0].numpy()
    features = ours(images)
    assert features.dtype == np.float32 and features.shape == (3, ours.dimension)
    assert relative(features, expected) < 1e-5


def test_features_depend_neither_on_the_neighbours_nor_on_the_padding_of_the_last_batch(networks, images):
    ours, _ = networks
    five = images[[0, 1, 2, 0, 1]]
    together = ours(five)
    assert relative(np.concatenate([ours(image[None]) for image in five]), together) < 1e-6


@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_positions_are_resized_as_torch_does_by_the_size_or_by_the_authors_factor(offset):
    config = replace(dino.VIT_L_14, width=8, offset=offset)
    module = dino.Embeddings(config, keys=KeySource(jax.random.key(0)))
    learnt = np.random.default_rng(0).standard_normal((1, 37**2 + 1, 8)).astype(np.float32)
    module.position_embeddings[...] = learnt
    square = torch.from_numpy(learnt[:, 1:].reshape(1, 37, 37, 8)).permute(0, 3, 1, 2)
    how = {"scale_factor": ((16 + 0.1) / 37,) * 2} if offset else {"size": (16, 16)}
    theirs = torch.nn.functional.interpolate(square, mode="bicubic", align_corners=False, **how)
    assert theirs.shape == (1, 8, 16, 16)
    expected = np.concatenate([learnt[:, :1], theirs.permute(0, 2, 3, 1).reshape(1, -1, 8).numpy()], 1)
    np.testing.assert_allclose(np.asarray(module.positions()), expected, atol=1e-5)


@pytest.mark.parametrize("config", [dino.VIT_S_16, dino.VIT_L_14], ids=lambda c: c.name)
def test_the_published_networks_have_as_many_weights_as_transformers_has(config):
    with torch.device("meta"):
        theirs = twin(config)
    expected = [t.numel() for name, t in theirs.state_dict().items() if dino.ours(name) is not None]
    _, like = abstract(lambda keys: dino.Dino(config, keys=keys))
    assert sorted(a.size for a in like.values()) == sorted(expected)
    view = dino.View(config.resizer, config.side, dino.MEAN, dino.STD)
    features = answers(view, lambda keys: dino.Dino(config, keys=keys))
    assert features.shape == (2, config.width) and features.dtype == np.float32


def test_the_protocol_and_another_networks_weights(networks, tmp_path):
    ours, theirs = networks
    config = SMALL[ours.name.split()[0]]
    assert ours.protocol.startswith(f"{config.name} class token, 48-d, {config.side} px PIL bicubic")
    theirs.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'embeddings.position_embeddings' has shape .* is expected"):
        dino.load_dino(tmp_path / "model.safetensors", replace(config, trained=config.trained + config.patch))
    other = SMALL["DINO" if config.scaled else "DINOv2"]
    with pytest.raises(ValueError, match="tensors.*belongs to another network"):
        dino.load_dino(tmp_path / "model.safetensors", replace(other, trained=config.trained, patch=config.patch))
