"""The shape of an autoencoder: numbers alone, so that a profile can hold one without loading the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Shape of an autoencoder; its factor is `patch * 2 ** (len(channels) - 1)`."""

    channels: tuple[int, ...] = (32, 64, 128)
    blocks: int = 1  # residual blocks a level in the encoder; the decoder has one more
    patch: int = 2  # side of the pixel patches folded into channels
    latents: int = 4
    groups: int = 16
    attention: bool = False  # self-attention in the middle

    @property
    def factor(self) -> int:
        return self.patch * 2 ** (len(self.channels) - 1)


SD = AutoencoderConfig(channels=(128, 256, 512, 512), blocks=2, patch=1, groups=32, attention=True)
