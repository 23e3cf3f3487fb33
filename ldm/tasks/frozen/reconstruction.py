"""What a good reconstruction is: the losses of the autoencoder, and the critic that sharpens its decoder.

First encoder and decoder together minimise L1 and edges. Such a loss is content with the average of all
pictures that fit a latent, which is a blur; so the decoder is then finished against a critic that learns to
tell real patches from decoded ones (Esser et al. 2021; Rombach et al. 2022, app. G), with the encoder
frozen: the latents, and every UNet trained on them, stay as they are. The critic's own features are the
perceptual distance (Larsen et al. 2016), so that no network that judges the study has a part in it.
"""

from __future__ import annotations

import operator
from functools import reduce

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from ldm.diffusion.losses import DeviceBatch
from ldm.networks.autoencoder import fold, to_pixels
from ldm.networks.initial import KeySource
from ldm.networks.layers import AnyArray, Conv
from ldm.networks.structure import Params, Structure, merge
from ldm.training.loop import Loss

KL = 1e-6  # weight of the prior, as in LDM: keeps the latents' scale from drifting, no more
EDGES = 1.0  # weight of the error of pixel differences: L1 alone is content with soft edges and with faint texture
CRITIC = 0.05  # weight of the critic's opinion
PERCEPTUAL = 0.5  # weight of the distance between the critic's features
SMOOTH, NOISE = 1.0, 0.05  # weight of what a little noise changes in the critic, and the noise's deviation


def edges(pixels: Float[Array, "b h w 3"]) -> tuple[Array, Array]:
    """Return the differences of neighbours, down and across."""
    return pixels[:, 1:] - pixels[:, :-1], pixels[:, :, 1:] - pixels[:, :, :-1]


def fidelity(fake: Float[Array, "b h w 3"], real: Float[AnyArray, "b h w 3"]) -> tuple[Array, dict[str, Array]]:
    """Return L1 of pixels plus L1 of edges; and, to look at, L1 and the peak signal-to-noise ratio in dB."""
    error = fake - real
    l1 = jnp.abs(error).mean()
    down, across = edges(error)
    gradient = jnp.abs(down).mean() + jnp.abs(across).mean()
    # the batch's, for the log of the training; a picture's own is `ldm.metrics.pixels.psnr`
    return l1 + EDGES * gradient, {"l1": l1, "psnr": 10 * jnp.log10(4 / jnp.square(error).mean())}


def autoencoder_loss(structure: Structure) -> Loss:
    """Return fidelity and the KL term; a batch holds `images`, uint8 (b, h, w, 3)."""

    def loss(params: Params, batch: DeviceBatch, key: Array) -> tuple[Array, dict[str, Array]]:
        net = merge(structure, params)
        pixels = to_pixels(batch["images"])
        mean, logvar = net.encode(pixels)
        z = mean + jnp.exp(logvar / 2) * jax.random.normal(key, mean.shape)
        value, terms = fidelity(net.decode(z), pixels)
        kl = (jnp.square(mean) + jnp.exp(logvar) - 1 - logvar).sum((1, 2, 3)).mean() / 2
        return value + KL * kl, {**terms, "kl": kl}

    return loss


class Critic(nnx.Module):
    """Pixels in [-1, 1] -> a logit for each patch (PatchGAN; Isola et al. 2017), on maps of 16 x 16, then 8 x 8."""

    def __init__(self, side: int, width: int = 48, *, keys: KeySource):
        self.patch = side // 16
        self.convs = nnx.List(
            [
                Conv(3 * self.patch**2, width, keys=keys),
                Conv(4 * width, 2 * width, keys=keys),
                Conv(2 * width, 2 * width, keys=keys),
            ]
        )
        self.logits = Conv(2 * width, 1, 1, keys=keys)

    def __call__(self, pixels: Float[Array, "b h w 3"]) -> tuple[Float[Array, "b 8 8 1"], list[Array]]:
        """Return the logits, and each layer's features."""
        features, x = [], fold(pixels, self.patch)
        for i, conv in enumerate(self.convs):
            x = nnx.leaky_relu(conv(fold(x, 2) if i == 1 else x), 0.2)
            features.append(x)
        return self.logits(x), features


def players(params: Params) -> tuple[Params, Params]:
    """Return the decoder's parameters and the critic's, which are called `critic.` in the dict of both."""
    critic = {name.removeprefix("critic."): p for name, p in params.items() if name.startswith("critic.")}
    return {name: p for name, p in params.items() if not name.startswith("critic.")}, critic


def decoder_loss(autoencoder: Structure, critic: Structure, frozen: Params) -> Loss:
    """Return both players' losses in one: neither has a gradient of the other's (`lax.stop_gradient`).

    The logits of a picture and of its own reconstruction are compared as a pair (Jolicoeur-Martineau
    2019): the critic wants the real one above, the decoder the decoded one. What a little noise changes in
    the critic is kept small, on real and on decoded pictures:
    the finite-difference form of the gradient penalties R1 and R2 (Mescheder et al. 2018).

    Args:
        frozen: all parameters of the autoencoder; those that are trained replace their namesakes.
    A batch holds `images`, uint8 (b, h, w, 3), and `latents`, unscaled (b, h', w', z).
    """

    def loss(params: Params, batch: DeviceBatch, key: Array) -> tuple[Array, dict[str, Array]]:
        decoder, own = players(params)
        judge, onlooker = merge(critic, own), merge(critic, lax.stop_gradient(own))
        real = to_pixels(batch["images"])
        fake = merge(autoencoder, {**frozen, **decoder}).decode(batch["latents"])

        value, terms = fidelity(fake, real)
        (opinion, seen), (truth, wanted) = onlooker(fake), onlooker(real)
        distances = [jnp.abs(a - b).mean() / (jnp.abs(b).mean() + 1e-6) for a, b in zip(seen, wanted, strict=True)]
        perceptual = reduce(operator.add, distances) / len(distances)
        deceived = nnx.softplus(truth - opinion).mean()

        both = jnp.concatenate([real, lax.stop_gradient(fake)])
        logits = judge(both)[0]
        above = logits[: len(real)] - logits[len(real) :]
        moved = judge(both + NOISE * jax.random.normal(key, both.shape))[0]
        told_apart = nnx.softplus(-above).mean() + SMOOTH * jnp.square((moved - logits) / NOISE).mean()
        total = value + PERCEPTUAL * perceptual + CRITIC * deceived + told_apart
        return total, {**terms, "perceptual": perceptual, "above": above.mean()}

    return loss
