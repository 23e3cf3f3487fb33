"""A critic for the autoencoder's decoder: what makes its pictures sharp (Esser et al. 2021; Rombach et al. 2022, app. G).

An L1 loss is content with the average of all pictures that fit a latent, which is a blur. The decoder is
therefore finished, with the encoder frozen, against a critic that sees patches of pictures and learns to
tell real from decoded. The critic's own features also serve as the perceptual distance (Larsen et al.
2016), so that no network that judges the study has a part in it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from ldm.autoencoder import fold, to_pixels
from ldm.layers import Conv, KeySource, Params, Structure, merge
from ldm.train import Batch, Loss

ADVERSARY = 0.05  # weight of the critic's opinion beside L1
PERCEPTUAL = 0.5  # weight of the distance between the critic's features
SMOOTH, SMOOTH_STD = 1.0, 0.05  # weight of the critic's change under small noise, and that noise's deviation


class Critic(nnx.Module):
    """Pixels in [-1, 1] -> one logit for each patch of them (PatchGAN; Isola et al. 2017), on maps of 16 and 8."""

    def __init__(self, side: int, width: int = 48, *, keys: KeySource):
        self.patch = side // 16
        self.convs = nnx.List([
            Conv(3 * self.patch**2, width, keys=keys),
            Conv(4 * width, 2 * width, keys=keys),
            Conv(2 * width, 2 * width, keys=keys),
        ])  # fmt: skip
        self.logits = Conv(2 * width, 1, 1, keys=keys)

    def __call__(self, pixels: Float[Array, "b h w 3"]) -> tuple[Float[Array, "b 8 8 1"], list[Array]]:
        """Logits, and the features of each layer."""
        features, x = [], fold(pixels, self.patch)
        for i, conv in enumerate(self.convs):
            x = nnx.leaky_relu(conv(fold(x, 2) if i == 1 else x), 0.2)
            features.append(x)
        return self.logits(x), features


def decoder_loss(autoencoder: Structure, critic: Structure, frozen: Params) -> Loss:
    """Both players' losses at once; `lax.stop_gradient` keeps each from moving the other.

    The parameters are the decoder's and, under `critic.`, the critic's. The logits of a picture and of its
    own reconstruction are compared in pairs (Jolicoeur-Martineau 2019): the critic wants the real one
    higher, the decoder the decoded one. The critic is kept smooth by what a little noise changes in it, the
    finite-difference form of the gradient penalty R1.
    """

    def loss(params: Params, batch: Batch, key: Array) -> tuple[Array, dict[str, Array]]:
        own = {name.removeprefix("critic."): p for name, p in params.items() if name.startswith("critic.")}
        decoder = {name: p for name, p in params.items() if not name.startswith("critic.")}
        judge = merge(critic, own)
        onlooker = merge(critic, lax.stop_gradient(own))
        real = to_pixels(batch["images"])
        fake = merge(autoencoder, frozen | decoder).decode(batch["latents"])

        error = fake - real
        l1 = jnp.abs(error).mean()
        opinion, seen = onlooker(fake)
        truth, wanted = onlooker(real)
        perceptual = sum(
            jnp.abs(a - b).mean() / (jnp.abs(b).mean() + 1e-6) for a, b in zip(seen, wanted, strict=True)
        ) / len(seen)
        adversary = nnx.softplus(truth - opinion).mean()

        both = jnp.concatenate([real, lax.stop_gradient(fake)])
        logits = judge(both)[0]
        moved = judge(both + SMOOTH_STD * jax.random.normal(key, both.shape))[0]
        above = logits[: len(real)] - logits[len(real) :]
        smooth = jnp.square((moved - logits) / SMOOTH_STD).mean()
        return (
            l1 + PERCEPTUAL * perceptual + ADVERSARY * adversary + nnx.softplus(-above).mean() + SMOOTH * smooth,
            {"l1": l1, "psnr": 10 * jnp.log10(4 / jnp.square(error).mean()), "perceptual": perceptual,
             "above": above.mean(), "smooth": smooth},
        )  # fmt: skip

    return loss
