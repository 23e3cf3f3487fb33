"""Small Stable Diffusion pipelines with random weights, made and saved by diffusers and transformers."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here may look for a file elsewhere
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel  # noqa: E402
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer  # noqa: E402
from transformers.utils import logging  # noqa: E402

from ldm.networks.cost import MULTIPLIERS, groups, heads  # noqa: E402
from tests.vocabulary import END, vocabulary, write_vocabulary  # noqa: E402

torch.set_num_threads(1)
logging.set_verbosity_error()
logging.disable_progress_bar()


def shake(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Draw the ones and zeros of norms and biases too, so that none can be left out unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


def text_tower(**fields) -> CLIPTextModel:
    torch.manual_seed(1)
    n = len(vocabulary()[0])
    small = dict(hidden_size=64, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4, vocab_size=n)
    ids = dict(bos_token_id=n - 2, eos_token_id=n - 1, pad_token_id=n - 1, initializer_factor=4.0)
    return shake(CLIPTextModel(CLIPTextConfig(**small | ids | fields)), 1)


def autoencoder(channels: tuple[int, ...] = (16, 32), blocks: int = 1, normed: int = 8) -> AutoencoderKL:
    torch.manual_seed(2)
    n = len(channels)
    return shake(
        AutoencoderKL(
            block_out_channels=channels,
            down_block_types=("DownEncoderBlock2D",) * n,
            layers_per_block=blocks,
            up_block_types=("UpDecoderBlock2D",) * n,
            norm_num_groups=normed,
            scaling_factor=0.5,
        ),
        2,
    )


def unet(c: int, context: int = 64, size: int = 16, **fields) -> UNet2DConditionModel:
    torch.manual_seed(3)
    shape = dict(
        sample_size=size,
        block_out_channels=[m * c for m in MULTIPLIERS],
        cross_attention_dim=context,
        attention_head_dim=heads(c),
        norm_num_groups=groups(c),
    )
    return shake(UNet2DConditionModel(**shape | fields), 3)


def scheduler(**fields) -> DDIMScheduler:
    sd = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1)
    return DDIMScheduler(**sd | fields)


def pipeline(folder: Path, kind: str, c: int = 64) -> StableDiffusionPipeline:
    """Stable Diffusion 1 or 2 in small: "sd1", "sd2"."""
    if kind == "sd1":
        parts = dict(text_encoder=text_tower(), unet=unet(c), scheduler=scheduler())
        pad = END
    else:
        more = tuple(m * c // 16 for m in MULTIPLIERS)  # heads of 16 channels at every level
        parts = dict(
            text_encoder=text_tower(hidden_act="gelu"),
            unet=unet(c, attention_head_dim=more, use_linear_projection=True, upcast_attention=True),
            scheduler=scheduler(prediction_type="v_prediction", timestep_spacing="trailing"),
        )
        pad = "!"
    tokenizer = CLIPTokenizer.from_pretrained(write_vocabulary(folder, pad))
    made = StableDiffusionPipeline(
        vae=autoencoder(),
        tokenizer=tokenizer,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **parts,
    )
    made.set_progress_bar_config(disable=True)
    return made


def draw(
    made: StableDiffusionPipeline, captions: list[str], noise: np.ndarray, steps: int, guidance: float
) -> np.ndarray:
    """Its images in 0..1, from the given noise (NHWC)."""
    latents = torch.from_numpy(noise.transpose(0, 3, 1, 2).copy())
    return made(captions, latents=latents, num_inference_steps=steps, guidance_scale=guidance, output_type="np").images
