"""The KL autoencoder: images to latents and back (Rombach et al. 2022, app. E.1; `AutoencoderKL` of SD).

One class serves SD's own (f8, channels 128-256-512-512) and ours: small, and working on patches of pixels
(space to depth) so that two CPU cores can train it. The `Codec` is the only place that knows about [-1, 1]
and about the factor that gives latents unit variance: everything outside sees uint8 images and latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, UInt8

from ldm.networks import weights
from ldm.networks.autoencoder_config import AutoencoderConfig
from ldm.networks.batched import in_batches
from ldm.networks.initial import KeySource
from ldm.networks.layers import AnyArray, Attention, Conv, Downsample, GroupNorm, ResBlock, Upsample
from ldm.networks.structure import Params, Structure, abstract, merge


def fold(x: Float[AnyArray, "b h w c"], patch: int) -> Float[AnyArray, "b h2 w2 c2"]:
    """Move space to depth: (b, h, w, c) -> (b, h / patch, w / patch, patch * patch * c)."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // patch, patch, w // patch, patch, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // patch, w // patch, -1)


def unfold(x: Float[Array, "b h w c"], patch: int) -> Float[Array, "b h2 w2 c2"]:
    """Move depth to space, the inverse of `fold`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, patch, patch, c // patch**2)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * patch, w * patch, -1)


class MidAttention(Attention):
    """Single-head self-attention over the pixels, on a normalised input, added."""

    def __init__(self, width: int, groups: int, *, keys: KeySource):
        super().__init__(width, width, 1, bias=True, keys=keys)
        self.group_norm = GroupNorm(width, groups, 1e-6)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        y = self.group_norm(x).reshape(x.shape[0], -1, x.shape[-1])
        return x + super().__call__(y, y).reshape(x.shape)


class Middle(nnx.Module):
    """Two residual blocks, with self-attention between them where the shape says so."""

    def __init__(self, width: int, config: AutoencoderConfig, *, keys: KeySource):
        self.resnets = nnx.List([ResBlock(width, width, 0, config.groups, 1e-6, keys=keys) for _ in range(2)])
        if config.attention:
            self.attentions = nnx.List([MidAttention(width, config.groups, keys=keys)])

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        x = self.resnets[0](x)
        if hasattr(self, "attentions"):
            x = self.attentions[0](x)
        return self.resnets[1](x)


class Level(nnx.Module):
    """Residual blocks, then a change of size: `Downsample`, `Upsample` or none."""

    def __init__(
        self, inputs: int, width: int, blocks: int, config: AutoencoderConfig, resize: str, *, keys: KeySource
    ):
        block = lambda i: ResBlock(inputs if i == 0 else width, width, 0, config.groups, 1e-6, keys=keys)
        self.resnets = nnx.List([block(i) for i in range(blocks)])
        if resize == "down":
            self.downsamplers = nnx.List([Downsample(width, asymmetric=True, keys=keys)])
        if resize == "up":
            self.upsamplers = nnx.List([Upsample(width, keys=keys)])

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        for resnet in self.resnets:
            x = resnet(x)
        for resize in getattr(self, "downsamplers", ()) or getattr(self, "upsamplers", ()):
            x = resize(x)
        return x


class Encoder(nnx.Module):
    """Folded pixels -> mean and log-variance of the latents, one after the other in the channels."""

    def __init__(self, config: AutoencoderConfig, *, keys: KeySource):
        channels, last = config.channels, len(config.channels) - 1
        self.conv_in = Conv(3 * config.patch**2, channels[0], keys=keys)
        self.down_blocks = nnx.List(
            [
                Level(channels[max(i - 1, 0)], width, config.blocks, config, "down" if i < last else "", keys=keys)
                for i, width in enumerate(channels)
            ]
        )
        self.mid_block = Middle(channels[-1], config, keys=keys)
        self.conv_norm_out = GroupNorm(channels[-1], config.groups, 1e-6)
        self.conv_out = Conv(channels[-1], 2 * config.latents, keys=keys)

    def __call__(self, x: Float[AnyArray, "b h w p"]) -> Float[Array, "b h2 w2 z2"]:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(nnx.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nnx.Module):
    """Latents -> folded pixels."""

    def __init__(self, config: AutoencoderConfig, *, keys: KeySource):
        channels = config.channels[::-1]
        last = len(channels) - 1
        self.conv_in = Conv(config.latents, channels[0], keys=keys)
        self.mid_block = Middle(channels[0], config, keys=keys)
        self.up_blocks = nnx.List(
            [
                Level(channels[max(i - 1, 0)], width, config.blocks + 1, config, "up" if i < last else "", keys=keys)
                for i, width in enumerate(channels)
            ]
        )
        self.conv_norm_out = GroupNorm(channels[-1], config.groups, 1e-6)
        self.conv_out = Conv(channels[-1], 3 * config.patch**2, keys=keys)

    def __call__(self, z: Float[Array, "b h w z"]) -> Float[Array, "b h2 w2 p"]:
        x = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(nnx.silu(self.conv_norm_out(x)))


class AutoencoderKL(nnx.Module):
    """Pixels in [-1, 1] -> a diagonal Gaussian over latents; latents -> pixels."""

    def __init__(self, config: AutoencoderConfig, *, keys: KeySource):
        self.patch = config.patch
        self.encoder = Encoder(config, keys=keys)
        self.decoder = Decoder(config, keys=keys)
        self.quant_conv = Conv(2 * config.latents, 2 * config.latents, 1, keys=keys)
        self.post_quant_conv = Conv(config.latents, config.latents, 1, keys=keys)

    def encode(self, pixels: Float[AnyArray, "b H W 3"]) -> tuple[Float[Array, "b h w z"], Float[Array, "b h w z"]]:
        """Return the mean and log-variance (clipped to [-30, 20]) of the latents."""
        mean, logvar = jnp.split(self.quant_conv(self.encoder(fold(pixels, self.patch))), 2, -1)
        return mean, jnp.clip(logvar, -30.0, 20.0)

    def decode(self, z: Float[AnyArray, "b h w z"]) -> Float[Array, "b H W 3"]:
        """Return the pixels that latents stand for, in [-1, 1] but for what the network misses."""
        return unfold(self.decoder(self.post_quant_conv(z)), self.patch)


def to_pixels(images: UInt8[AnyArray, "b h w 3"]) -> Float[AnyArray, "b h w 3"]:
    """Map uint8 0..255 to float32 [-1, 1]."""
    return images.astype(jnp.float32) / 127.5 - 1


def to_side(images: UInt8[AnyArray, "b h w 3"], side: int) -> Float[Array, "b side side 3"]:
    """Return pixels in [-1, 1], resampled to side x side (triangle filter, antialiased) where needed."""
    pixels = jnp.asarray(to_pixels(images))
    if pixels.shape[1:3] == (side, side):
        return pixels
    return jax.image.resize(pixels, (pixels.shape[0], side, side, 3), "linear")


def to_images(pixels: Float[AnyArray, "b h w 3"]) -> UInt8[Array, "b h w 3"]:
    """Map float [-1, 1] to uint8, rounded and clipped."""
    return jnp.clip(jnp.round((pixels + 1) * 127.5), 0, 255).astype(jnp.uint8)


@partial(jax.jit, static_argnums=0)
def encode(structure: Structure, params: Params, images: UInt8[Array, "b H W 3"]) -> Float[Array, "b h w z"]:
    """Return the raw latents, not scaled."""
    return merge(structure, params).encode(to_pixels(images))[0]


@partial(jax.jit, static_argnums=0)
def decode(structure: Structure, params: Params, z: Array) -> tuple[UInt8[Array, "b H W 3"], Bool[Array, " b"]]:
    """Return pictures, and whether each is made of finite numbers: uint8 has no others, and shows them as black."""
    pixels = merge(structure, params).decode(z)
    return to_images(pixels), jnp.isfinite(pixels).all((1, 2, 3))


@dataclass(frozen=True)
class Codec:
    """uint8 images <-> latents of about zero mean and unit variance.

    The encoder's mean is used, not a sample: its standard deviation is far below the latents' own (SD
    samples; the difference is invisible). `scale` is SD's scaling factor, 1 / std of the raw latents.
    """

    structure: Structure
    params: Params
    scale: float
    factor: int
    batch: int = 64

    def _map(self, function: Callable[..., Any], x: np.ndarray) -> Any:
        """Map in batches of one shape, so that there is one compilation."""
        return in_batches(partial(function, self.structure, self.params), x, batch=self.batch)

    def encode(self, images: UInt8[AnyArray, "n H W 3"]) -> Float[np.ndarray, "n h w z"]:
        """Return the latents of pictures, float32, of about zero mean and unit variance."""
        return self._map(encode, np.asarray(images)) * np.float32(self.scale)

    def decode(self, latents: Float[AnyArray, "n h w z"]) -> UInt8[np.ndarray, "n H W 3"]:
        """Decode latents. Raises: ValueError, one sentence, for pictures that are not made of finite numbers."""
        images, finite = self._map(decode, np.asarray(latents, np.float32) / np.float32(self.scale))
        if not finite.all():
            raise ValueError(
                f"{np.count_nonzero(~finite)} of {len(images)} pictures are not made of finite numbers, the first is"
                f" number {np.argmin(finite)}: what drew them has diverged; guide less, or use other weights."
            )
        return images


def load_codec(path: str | Path, batch: int = 64) -> Codec:
    """Load a trained codec, for `batch` pictures at once. Its description holds the `AutoencoderConfig` and the scale.

    Raises: ValueError, in one sentence, for a missing or broken file.
    """
    described = weights.metadata(path)
    fields = described["config"]
    config = AutoencoderConfig(**{**fields, "channels": tuple(fields["channels"])})
    structure, like = abstract(lambda keys: AutoencoderKL(config, keys=keys))
    params = jax.device_put(weights.load(path, like, half_to_float32=True))  # once, not with every batch
    return Codec(structure, params, described["scale"], config.factor, batch)


def save_codec(
    path: str | Path, params: Params, config: AutoencoderConfig, scale: float, **measured: float | int
) -> None:
    """Write the averaged weights in half precision, with what is needed to use them and what was measured."""
    weights.save_half(path, params, {"config": asdict(config), "scale": scale, **measured})
