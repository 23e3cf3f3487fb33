"""The networks of a Stable Diffusion folder as `diffusers` describes them: fields of JSON to our shapes and back.

Each part is a pair, `read_x(folder)` and `write_x(folder, ...)`. A field that says something our networks
do not do is refused by its name; what says nothing new (dropout, sizes that follow from others) is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jax

from ldm.interop.stable_diffusion.files import (
    STEMS,
    check_config,
    naming,
    quoted,
    read_config,
    read_params,
    write_config,
    write_params,
)
from ldm.networks.autoencoder import AutoencoderConfig, AutoencoderKL
from ldm.networks.clip_text import ClipText, ClipTextConfig
from ldm.networks.cost import BLOCKS, MULTIPLIERS, groups, heads
from ldm.networks.structure import Params, Structure, abstract
from ldm.networks.unet import UNet

ATTEND = len(MULTIPLIERS) - 1  # levels with attention


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Shape of a UNet. Raises: ValueError for a width or heads that do not fit."""

    c: int = 320
    context: int = 768
    latents: int = 4
    size: int = 64  # height and width of the latents it was trained on
    heads: tuple[int, ...] = ()  # a level; Stable Diffusion 1's rule unless given
    linear: bool = False  # whether its files have matrices for 1 x 1 convolutions, as Stable Diffusion 2's

    def __post_init__(self):
        if self.c < 8 or self.c % 8:
            raise ValueError(f"c = {self.c}: expected a multiple of 8, as every width of the family is.")
        if not self.heads:
            object.__setattr__(self, "heads", (heads(self.c),) * len(MULTIPLIERS))
        if len(self.heads) != len(MULTIPLIERS) or any(
            n < 1 or m * self.c % n for m, n in zip(MULTIPLIERS, self.heads, strict=False)
        ):
            raise ValueError(
                f"heads = {self.heads}: expected {len(MULTIPLIERS)} divisors of the levels' channels "
                f"{[m * self.c for m in MULTIPLIERS]}."
            )


@cache
def network(unet: UNetConfig) -> tuple[Structure, dict[str, jax.ShapeDtypeStruct]]:
    """Return the network's structure and the shapes of its weights."""
    return abstract(lambda keys: UNet(unet.c, unet.context, unet.latents, heads=unet.heads, keys=keys))


UNET = {
    "act_fn": "silu",
    "addition_embed_type_num_heads": 64,
    "attention_type": "default",
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "down_block_types": ["CrossAttnDownBlock2D"] * ATTEND + ["DownBlock2D"],
    "downsample_padding": 1,
    "dropout": 0.0,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "layers_per_block": BLOCKS,
    "mid_block_scale_factor": 1,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "norm_eps": 1e-5,
    "resnet_out_scale_factor": 1.0,
    "resnet_time_scale_shift": "default",
    "time_embedding_type": "positional",
    "transformer_layers_per_block": 1,
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * ATTEND,
}


def read_unet(folder: Path) -> tuple[UNetConfig, Params]:
    """Read a UNet. Raises: ValueError, one sentence, as `read_pipeline` does."""
    path = folder / "config.json"
    config = read_config(path)
    with naming(path):
        channels, many = config["block_out_channels"], config.get("attention_head_dim", 8)
        size = config.get("sample_size")
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(
                f"sample_size = {quoted(size)}: expected a whole number, the height and width of the latents that the "
                "UNet was trained on; write it there (64 for pictures of 512 pixels)."
            )
        c, latents = int(channels[0]), int(config["out_channels"])
        unet = UNetConfig(
            c=c,
            context=int(config["cross_attention_dim"]),
            latents=latents,
            size=size,
            # in spite of its name the number of heads
            heads=tuple(many) if isinstance(many, list) else (many,) * len(MULTIPLIERS),
            linear=bool(config.get("use_linear_projection")),
        )
    only = UNET | {
        "block_out_channels": [m * c for m in MULTIPLIERS],
        "in_channels": latents,
        "norm_num_groups": groups(c),
    }
    read = {"out_channels", "cross_attention_dim", "sample_size", "attention_head_dim", "use_linear_projection"}
    check_config(path, config, read | {"upcast_attention"}, only)  # we always compute in float32
    return unet, read_params(folder, network(unet)[1], linear=unet.linear)


def write_unet(folder: Path, unet: UNetConfig, params: Params) -> None:
    """Write for `diffusers.UNet2DConditionModel.from_pretrained`."""
    same = len(set(unet.heads)) == 1
    write_params(folder, params, linear=unet.linear)
    write_config(
        folder / "config.json",
        UNET
        | {
            "_class_name": "UNet2DConditionModel",
            "block_out_channels": [m * unet.c for m in MULTIPLIERS],
            "in_channels": unet.latents,
            "out_channels": unet.latents,
            "norm_num_groups": groups(unet.c),
            "cross_attention_dim": unet.context,
            "sample_size": unet.size,
            "use_linear_projection": unet.linear,
            "attention_head_dim": unet.heads[0] if same else unet.heads,
        },
    )


AUTOENCODER = {
    "act_fn": "silu",
    "in_channels": 3,
    "out_channels": 3,
    "use_quant_conv": True,
    "use_post_quant_conv": True,
}
# diffusers' names for the middle's attention before version 0.18, which Stable Diffusion's own files still have
OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def read_autoencoder(folder: Path) -> tuple[AutoencoderConfig, Params, float]:
    """Read shape, weights and the factor that gives latents unit variance. Raises: ValueError, one sentence."""
    path = folder / "config.json"
    config = read_config(path)
    with naming(path):
        channels = tuple(config["block_out_channels"])
        autoencoder = AutoencoderConfig(
            channels=channels,
            blocks=config["layers_per_block"],
            patch=1,
            latents=config["latent_channels"],
            groups=config.get("norm_num_groups", 32),
            attention=config.get("mid_block_add_attention", True),
        )
        scale = float(config.get("scaling_factor", 0.18215))
    only = AUTOENCODER | _levels(len(channels))
    read = {"block_out_channels", "layers_per_block", "latent_channels", "norm_num_groups", "scaling_factor"}
    check_config(path, config, read | {"mid_block_add_attention", "sample_size", "force_upcast"}, only)

    def rename(name: str) -> str:
        head, _, rest = name.partition(".attentions.0.")
        old, _, kind = rest.rpartition(".")
        return f"{head}.attentions.0.{OLD[old]}.{kind}" if old in OLD else name

    _, like = abstract(lambda keys: AutoencoderKL(autoencoder, keys=keys))
    return autoencoder, read_params(folder, like, rename=rename), scale


def write_autoencoder(folder: Path, autoencoder: AutoencoderConfig, params: Params, scale: float) -> None:
    """Write for `diffusers.AutoencoderKL.from_pretrained`. Raises: ValueError for an autoencoder on patches."""
    if autoencoder.patch != 1:
        raise ValueError(
            f"patch = {autoencoder.patch}: diffusers' AutoencoderKL works on single pixels; expected patch = 1."
        )
    write_params(folder, params)
    write_config(
        folder / "config.json",
        AUTOENCODER
        | _levels(len(autoencoder.channels))
        | {
            "_class_name": "AutoencoderKL",
            "block_out_channels": autoencoder.channels,
            "scaling_factor": scale,
            "layers_per_block": autoencoder.blocks,
            "latent_channels": autoencoder.latents,
            "norm_num_groups": autoencoder.groups,
            "mid_block_add_attention": autoencoder.attention,
        },
    )


def _levels(n: int) -> dict[str, list[str]]:
    return {"down_block_types": ["DownEncoderBlock2D"] * n, "up_block_types": ["UpDecoderBlock2D"] * n}


TEXT = {
    "vocabulary": "vocab_size",
    "length": "max_position_embeddings",
    "width": "hidden_size",
    "hidden": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "activation": "hidden_act",
}
TEXT_ONLY = {"model_type": "clip_text_model", "layer_norm_eps": 1e-5, "architectures": ["CLIPTextModel"]}
TEXT_UNUSED = {
    "attention_dropout",
    "dropout",
    "initializer_factor",
    "initializer_range",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "projection_dim",
    "dtype",
    "torch_dtype",
    "transformers_version",
}
PREFIX = "text_model."  # of all names, up to version 4 of transformers


def read_text(folder: Path) -> tuple[ClipTextConfig, Params]:
    """Read a text tower. Raises: ValueError, one sentence, for what is missing, broken or not supported."""
    path = folder / "config.json"
    config = read_config(path)
    with naming(path):
        text = ClipTextConfig(**{ours: config[theirs] for ours, theirs in TEXT.items()})
    check_config(path, config, set(TEXT.values()) | TEXT_UNUSED, TEXT_ONLY)

    def rename(name: str) -> str | None:
        return None if name.endswith("position_ids") else name.removeprefix(PREFIX)  # a buffer: 0, 1, 2, ...

    _, like = abstract(lambda keys: ClipText(text, keys=keys))
    return text, read_params(folder, like, rename=rename)


def write_text(folder: Path, text: ClipTextConfig, params: Params) -> None:
    """Write for `transformers.CLIPTextModel.from_pretrained`, with all the tower's layers, used or not."""
    write_params(folder, params, stem=STEMS[1], prefix=PREFIX)
    fields = {theirs: getattr(text, ours) for ours, theirs in TEXT.items()}
    write_config(folder / "config.json", TEXT_ONLY | fields)
