"""The autoencoder is diffusers' own."""

from __future__ import annotations

import jax
import numpy as np
import torch
from diffusers import AutoencoderKL as Reference

from ldm.networks.autoencoder import AutoencoderConfig, AutoencoderKL
from ldm.networks.initial import KeySource
from ldm.networks.structure import merge, split


def test_the_network_is_diffusers_autoencoder():
    """Same weights, same latents and pictures; two levels of SD's autoencoder, with its attention."""
    torch.manual_seed(0)
    channels = (32, 64)
    reference = Reference(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=32,
    ).eval()
    config = AutoencoderConfig(channels=channels, blocks=2, patch=1, groups=32, attention=True)
    structure, params = split(AutoencoderKL(config, keys=KeySource(jax.random.key(0))))
    theirs = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
    assert sorted(theirs) == sorted(params)

    def turned(name: str) -> np.ndarray:
        array = theirs[name]
        return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T

    net = merge(structure, {name: np.ascontiguousarray(turned(name)) for name in params})
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    with torch.no_grad():
        moments = reference.encode(torch.tensor(x.transpose(0, 3, 1, 2))).latent_dist
        mean = moments.mean.numpy().transpose(0, 2, 3, 1)
        picture = reference.decode(moments.mean).sample.numpy().transpose(0, 2, 3, 1)
    ours = np.asarray(net.encode(x)[0])
    assert np.abs(ours - mean).max() < 1e-4 * np.abs(mean).max()
    assert np.abs(np.asarray(net.decode(mean)) - picture).max() < 1e-4 * np.abs(picture).max()
