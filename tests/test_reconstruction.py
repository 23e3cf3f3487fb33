"""The autoencoder's losses: the two players of the decoder's finish do not move each other, nor the encoder."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ldm import paths
from ldm.data.scenes.dataset import Scenes
from ldm.networks import weights
from ldm.networks.autoencoder import AutoencoderKL, load_codec, save_codec
from ldm.networks.autoencoder_config import AutoencoderConfig
from ldm.networks.initial import KeySource
from ldm.networks.structure import split
from ldm.profiles import OPEN_EPS
from ldm.study import scene_metrics
from ldm.tasks import pretrain
from ldm.tasks.frozen import autoencoder as frozen
from ldm.tasks.frozen import reconstruction
from ldm.tasks.frozen.reconstruction import Critic, autoencoder_loss, decoder_loss, edges, fidelity
from ldm.tasks.frozen.reconstruction import players as players_of
from ldm.tasks.models import part_file

SMALL = AutoencoderConfig(channels=(16,), blocks=1, patch=4, groups=8)
IMAGES = Scenes(OPEN_EPS.scenes, "train", 4).images(range(4))


def test_fidelity_is_nil_for_equal_pictures_and_known_for_a_shift():
    x = jnp.linspace(-0.5, 0.5, 2 * 8 * 8 * 3, dtype=jnp.float32).reshape(2, 8, 8, 3)
    assert float(fidelity(x, x)[0]) == 0
    value, seen = fidelity(x + 0.1, x)  # no edge is wrong
    np.testing.assert_allclose([float(value), float(seen["l1"])], 0.1, rtol=1e-5)
    np.testing.assert_allclose(float(seen["psnr"]), 10 * np.log10(4 / 0.01), rtol=1e-5)


def test_edges_see_the_texture_that_l1_hardly_minds():
    flat = jnp.zeros((1, 8, 8, 3))
    checks = 0.1 * (-1.0) ** (jnp.arange(8)[:, None] + jnp.arange(8)[None])[None, :, :, None] * jnp.ones(3)
    np.testing.assert_allclose(float(fidelity(checks, flat)[0]), 0.1 + 2 * 0.2, rtol=1e-5)
    assert [e.shape for e in edges(flat)] == [(1, 7, 8, 3), (1, 8, 7, 3)]


def players():
    structure, autoencoder = split(AutoencoderKL(SMALL, keys=KeySource(jax.random.key(0))))
    critic_structure, critic = split(Critic(32, 8, keys=KeySource(jax.random.key(1))))
    decoder = {k: p for k, p in autoencoder.items() if k.startswith("decoder.")}
    params = decoder | {f"critic.{k}": p for k, p in critic.items()}
    batch = {"images": IMAGES, "latents": jax.random.normal(jax.random.key(2), (4, 8, 8, 4))}
    loss = decoder_loss(structure, critic_structure, autoencoder)
    return params, lambda: jax.grad(lambda p: loss(p, batch, jax.random.key(3))[0])(params)


def same(a, b) -> bool:
    return all(np.allclose(a[k], b[k], rtol=1e-4, atol=1e-7) for k in a)


@pytest.mark.slow
def test_neither_player_feels_the_others_aim(monkeypatch):
    _, gradients = players()
    decoder, critic = players_of(gradients())
    assert all(float(jnp.abs(g).max()) > 0 for g in (*decoder.values(), *critic.values()))
    monkeypatch.setattr(reconstruction, "SMOOTH", 100.0)
    decoder_now, critic_now = players_of(gradients())
    assert same(decoder, decoder_now) and not same(critic, critic_now)
    monkeypatch.undo()
    monkeypatch.setattr(reconstruction, "CRITIC", 50.0)
    monkeypatch.setattr(reconstruction, "PERCEPTUAL", 50.0)
    decoder_now, critic_now = players_of(gradients())
    assert same(critic, critic_now) and not same(decoder, decoder_now)


@pytest.mark.slow
def test_the_critic_learns_to_tell_noise_from_scenes():
    structure, params = split(Critic(32, 8, keys=KeySource(jax.random.key(1))))
    autoencoder, frozen = split(AutoencoderKL(SMALL, keys=KeySource(jax.random.key(0))))
    loss = decoder_loss(autoencoder, structure, frozen)
    batch = {"images": IMAGES, "latents": jax.random.normal(jax.random.key(2), (4, 8, 8, 4))}
    params = {f"critic.{k}": p for k, p in params.items()}
    step = jax.jit(
        lambda p: (jax.grad(lambda q: loss(q, batch, jax.random.key(3))[0])(p), loss(p, batch, jax.random.key(3))[1])
    )
    for _ in range(60):
        gradients, seen = step(params)
        params = {k: p - 0.05 * gradients[k] for k, p in params.items()}
    assert float(seen["above"]) > 0.1


@pytest.mark.slow
def test_the_prior_is_that_of_a_gaussian():
    """KL(N(m, s) || N(0, 1)) summed over a picture's latents, against jax.scipy's densities by quadrature."""
    structure, params = split(AutoencoderKL(SMALL, keys=KeySource(jax.random.key(0))))
    _, seen = autoencoder_loss(structure)(params, {"images": IMAGES}, jax.random.key(1))
    from ldm.networks.autoencoder import to_pixels
    from ldm.networks.structure import merge

    mean, logvar = merge(structure, params).encode(to_pixels(IMAGES))
    z, w = np.polynomial.hermite_e.hermegauss(20)  # expectation under N(0, 1)
    m, s = np.asarray(mean, np.float64)[..., None], np.exp(np.asarray(logvar, np.float64) / 2)[..., None]
    x = m + s * z
    ratio = (-0.5 * z**2 - np.log(s)) - (-0.5 * x**2)
    kl = (ratio * w).sum(-1) / w.sum()
    np.testing.assert_allclose(float(seen["kl"]), kl.sum((1, 2, 3)).mean(), rtol=1e-4)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A small autoencoder under a folder of its own, and the profile that it belongs to."""
    for name in ("WEIGHTS", "RUNS"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    monkeypatch.setattr(frozen, "KEEP", 32)
    small = replace(OPEN_EPS, autoencoder=SMALL, data=64)
    _, params = split(AutoencoderKL(SMALL, keys=KeySource(jax.random.key(0))))
    save_codec(part_file(small, "autoencoder"), params, SMALL, 0.7, psnr=1.0, images=5)
    return small


@pytest.mark.slow
def test_the_finish_keeps_the_encoder_and_the_scale_to_the_bit_and_resumes(workshop, capsys):
    shape = part_file(workshop, "autoencoder")
    before = load_codec(shape)
    frozen.finish_decoder(workshop, 32)
    frozen.finish_decoder(workshop, 64)  # goes on
    after, described = load_codec(shape), weights.metadata(shape)
    assert described["decoder_images"] == 64 and described["images"] == 5
    assert after.scale == before.scale
    moved = {k for k in before.params if not np.array_equal(before.params[k], after.params[k])}
    assert moved and all(k.startswith(("decoder.", "post_quant_conv.")) for k in moved)
    np.testing.assert_array_equal(before.encode(IMAGES), after.encode(IMAGES))
    assert capsys.readouterr().out.count("PSNR") == 2


@pytest.mark.slow
def test_the_shipped_codec_keeps_what_the_captions_name():
    codec, _ = pretrain.frozen_networks(OPEN_EPS)
    data = Scenes(OPEN_EPS.scenes, "val", 256)
    scenes = [data.scene(i) for i in range(256)]
    decoded = codec.decode(codec.encode(data.images(range(256))))
    found = scene_metrics.load_metrics(OPEN_EPS).score([decoded], scenes).estimates
    assert found["subject"][0].value > 0.92
    assert found["alignment"][0].value > 0.82
