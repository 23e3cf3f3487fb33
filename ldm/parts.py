"""Trains the frozen part of the diffusion model that sees pixels: the autoencoder.

(The text tower, the other frozen part, is trained by `scene_clip.py`; the judge by `scene_detector.py`.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from ldm.autoencoder import AutoencoderKL, Codec, save_codec, to_pixels
from ldm.data import batch_indices
from ldm.layers import KeySource, Params, merge, split
from ldm.profiles import RUNS, WEIGHTS, Profile
from ldm.scenes import Scenes
from ldm.train import Batch, Loss, TrainConfig, fit

KL = 1e-6  # weight of the prior, as in LDM: keeps the latents' scale from drifting, no more
EDGES = 1.0  # weight of the error of pixel differences: L1 alone is content with soft edges


def edges(pixels: Float[Array, "b h w 3"]) -> tuple[Array, Array]:
    """Differences of neighbours, down and across."""
    return pixels[:, 1:] - pixels[:, :-1], pixels[:, :, 1:] - pixels[:, :, :-1]


def autoencoder_loss(structure: nnx.GraphDef) -> Loss:
    """L1 on pixels and on their differences, and the KL term (Rombach et al. 2022, app. G, without the
    adversary and the perceptual network: at 64 pixels and on drawings these two suffice)."""

    def loss(params: Params, batch: Batch, key: Array) -> tuple[Array, dict[str, Array]]:
        net = merge(structure, params)
        pixels = to_pixels(batch["images"])
        mean, logvar = net.encode(pixels)
        z = mean + jnp.exp(logvar / 2) * jax.random.normal(key, mean.shape)
        error = net.decode(z) - pixels
        l1 = jnp.abs(error).mean()
        gradient = sum(jnp.abs(e).mean() for e in edges(error))
        kl = (jnp.square(mean) + jnp.exp(logvar) - 1 - logvar).sum((1, 2, 3)).mean() / 2
        psnr = 10 * jnp.log10(4 / jnp.square(error).mean())
        return l1 + EDGES * gradient + KL * kl, {"psnr": psnr, "l1": l1, "kl": kl}

    return loss


def train_autoencoder(profile: Profile, images: int = 0) -> None:
    """Train the profile's autoencoder, resuming where it stopped, and write its weights.

    Weights are also kept along the way, every 20,000 images, so that a run may be ended early.
    """
    config = TrainConfig(
        images=images or 200_000, batch=8, learning_rate=2e-3, warmup_images=2_000, decay_images=20_000
    )
    data = Scenes(profile.scenes, "train", profile.data)
    pictures = data.cached(RUNS / "cache")
    structure, params = split(AutoencoderKL(profile.autoencoder, keys=KeySource(jax.random.key(config.seed))))
    held_out = Scenes(profile.scenes, "val", 512).images(range(512))

    def keep(seen: int, ema: Params) -> None:
        codec = Codec(structure, ema, 1.0, profile.autoencoder.factor)
        latents = codec.encode(held_out)
        squares = np.square(codec.decode(latents).astype(np.float32) - held_out).mean((1, 2, 3))
        psnr = float(np.mean(10 * np.log10(255**2 / squares)))
        print(f"{seen:,} images: PSNR {psnr:.2f} dB on {len(held_out)} held-out scenes", flush=True)
        save_codec(
            WEIGHTS / profile.weights / "autoencoder.safetensors", ema, profile.autoencoder,
            1 / float(latents.std()), images=seen, psnr=psnr,
        )  # fmt: skip

    fit(
        autoencoder_loss(structure), params,
        lambda step: {"images": pictures[batch_indices(config.seed, step, config.batch, len(pictures))]},
        config, folder=RUNS / profile.weights / "train-autoencoder",
        lengths=range(20_000, config.images + 1, 20_000), on_length=keep, title="autoencoder",
    )  # fmt: skip
