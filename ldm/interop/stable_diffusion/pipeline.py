"""Stable Diffusion as a folder: reads, runs and writes what `diffusers.StableDiffusionPipeline` saves.

A folder is `model_index.json` and one subfolder a part: `unet`, `vae`, `text_encoder`, `tokenizer`,
`scheduler`. Stable Diffusion 1 and 2 and the whole family of Mei et al. (2024) fit, at any width c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from ldm.diffusion.editing import beginning
from ldm.diffusion.plan import Plan
from ldm.diffusion.sampler import image_keys, sample
from ldm.interop.stable_diffusion.files import read_config, write_config
from ldm.interop.stable_diffusion.parts import (
    UNetConfig,
    network,
    read_autoencoder,
    read_text,
    read_unet,
    write_autoencoder,
    write_text,
    write_unet,
)
from ldm.interop.stable_diffusion.scheduler import DDIM, NoiseConfig, read_noise, write_noise
from ldm.interop.stable_diffusion.tokenizer import ClipTokenizer, read_tokenizer, write_tokenizer
from ldm.networks.autoencoder import AutoencoderConfig, AutoencoderKL, Codec
from ldm.networks.clip_text import ClipText, ClipTextConfig
from ldm.networks.cost import MULTIPLIERS
from ldm.networks.structure import Params, abstract
from ldm.networks.text import TextEncoder

PARTS = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "scheduler": ("diffusers", DDIM),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Pipeline:
    """All parts of a text-to-image model: shapes, and float32 weights by their paths in `diffusers`."""

    unet: UNetConfig
    unet_params: Params
    autoencoder: AutoencoderConfig
    autoencoder_params: Params
    scale: float  # 1 / std of the autoencoder's latents
    text: ClipTextConfig
    text_params: Params
    tokenizer: ClipTokenizer
    noise: NoiseConfig

    def __post_init__(self):
        ids = max(self.tokenizer.ids.values()) + 1
        for fits, what, one, other in (
            (self.text.width == self.unet.context, "text width and UNet context", self.text.width, self.unet.context),
            (
                self.autoencoder.latents == self.unet.latents,
                "latent channels of autoencoder and UNet",
                self.autoencoder.latents,
                self.unet.latents,
            ),
            (
                self.tokenizer.length <= self.text.length,
                "positions of tokenizer and text tower",
                self.tokenizer.length,
                self.text.length,
            ),
            (ids <= self.text.vocabulary, "tokens of tokenizer and text tower", ids, self.text.vocabulary),
        ):
            if not fits:
                raise ValueError(f"{what} are {one} and {other}; the parts belong to different models.")

    @cached_property
    def encoder(self) -> TextEncoder:
        """The text encoder."""
        structure, _ = abstract(lambda keys: ClipText(self.text, keys=keys))
        return TextEncoder(
            structure=structure, params=self.text_params, tokenizer=self.tokenizer, width=self.text.width, batch=4
        )

    @cached_property
    def codec(self) -> Codec:
        """The autoencoder."""
        structure, _ = abstract(lambda keys: AutoencoderKL(self.autoencoder, keys=keys))
        return Codec(structure, self.autoencoder_params, self.scale, self.autoencoder.factor, batch=1)

    def plan(self, steps: int) -> Plan:
        """Return the steps of the folder's own scheduler, or those of DDIM where `noise.instead` says so."""
        return self.noise.plan(steps)

    def images(
        self,
        captions: Sequence[str],
        plan: Plan,
        guidance: float,
        *,
        negative: str = "",
        seed: int = 0,
        size: int | None = None,
        first: int = 0,
        start: Float[np.ndarray, "h w z"] | None = None,
    ) -> UInt8[np.ndarray, "n H W 3"]:
        """Draw the captions, as one batch; image first + i depends on the seed and its number, not on the others.

        negative: what guidance leads away from, the empty caption unless given.
        size: height and width of the latents, the UNet's own unless given; a multiple of 8.
        start: latents of a picture to begin from, noised to the plan's first level (`begin` makes both).
        Raises: ValueError for no captions, an impossible size or an impossible seed.
        """
        size, lowest = self.unet.size if size is None else size, 2 ** (len(MULTIPLIERS) - 1)
        if size < lowest or size % lowest:
            raise ValueError(f"size = {size}: expected a multiple of {lowest}; choose the height of the latents so.")
        if not len(captions):
            raise ValueError("captions is empty: expected at least one; give a list of captions.")
        keys = image_keys(seed, first + np.arange(len(captions)))
        latents = sample(
            network(self.unet)[0],
            self.unet_params,
            plan,
            self.encoder.encode(captions),
            self.encoder.encode([negative] * len(captions)),
            guidance,
            keys,
            predict=self.noise.predict,
            shape=(size, size, self.unet.latents),
            clip=self.noise.held,
            start=None if start is None else np.broadcast_to(start, (len(captions), *start.shape)),
        )
        return self.codec.decode(np.asarray(latents))

    def begin(
        self, image: UInt8[np.ndarray, "H W 3"], steps: int, strength: float
    ) -> tuple[Plan, Float[np.ndarray, "h w z"]]:
        """Return what `images` needs to begin from a picture.

        The plan of the steps that are left, and the picture's latents.

        strength: the share of the steps that are taken, above 0 (the picture stays) to 1 (next to nothing stays), of
        which `diffusers` takes int(strength x steps), too. Raises: ValueError for one that leaves no step.
        """
        taken = min(int(steps * strength), steps) if 0 < strength <= 1 else 0
        if not taken:
            raise ValueError(
                f"strength = {strength} of {steps} steps: expected above 0, to 1, and so much that a step is left;"
                " give more of either."
            )
        plan = self.plan(steps)
        each = 2 if plan.n == 2 * steps - 1 else 1  # Heun's method asks twice a step
        return beginning(plan, each * (steps - taken) if steps > 1 else 0), self.codec.encode(image[None])[0]


def read_pipeline(folder: str | Path, *, penultimate: bool = False) -> Pipeline:
    """Read a pipeline from its folder; half precision is widened to float32.

    Args:
        penultimate: read the text at the last layer but one (see `ldm.networks.clip_text`); for a folder of Stable
            Diffusion 2 that has all 24 layers, which `diffusers` itself would leave out.
    Raises: ValueError, one sentence, for a folder that is something else, a field that we do not support,
        and a file that is missing, pickled or damaged (the tensor and both shapes are named).
    """
    folder = Path(folder)
    if folder.is_file():
        raise ValueError(
            f"{folder} is a single file; expected a folder that diffusers' save_pretrained wrote, which makes one of "
            f"the file by StableDiffusionPipeline.from_single_file({folder.name!r}).save_pretrained('folder')."
        )
    if not (folder / "model_index.json").exists() and (folder / "README.md").is_file() and (folder / "unet").is_dir():
        raise ValueError(
            f"{folder} holds a UNet and no whole pipeline, as `python -m ldm export --c` writes: its README.md says how"
            " to draw with it."
        )
    index = read_config(folder / "model_index.json")
    if index.get("_class_name") != "StableDiffusionPipeline":
        raise ValueError(f"{folder} is a {index.get('_class_name')!r}; expected 'StableDiffusionPipeline'.")
    for part, (_, name) in PARTS.items():
        found = (index.get(part) or [None])[-1]
        if found != name and part != "scheduler":  # of any scheduler the noise is read
            raise ValueError(f"{folder / 'model_index.json'}: {part} is {found!r}; expected {name!r}.")
    unet, unet_params = read_unet(folder / "unet")
    autoencoder, autoencoder_params, scale = read_autoencoder(folder / "vae")
    text, text_params = read_text(folder / "text_encoder")
    return Pipeline(
        unet=unet,
        unet_params=unet_params,
        autoencoder=autoencoder,
        autoencoder_params=autoencoder_params,
        scale=scale,
        text=replace(text, penultimate=penultimate),
        text_params=text_params,
        tokenizer=read_tokenizer(folder / "tokenizer", text.length),
        noise=read_noise(folder / "scheduler", (index.get("scheduler") or [None])[-1]),
    )


def write_pipeline(folder: str | Path, pipeline: Pipeline) -> None:
    """Write the folder that `read_pipeline` reads and that `diffusers` does; `model_index.json` comes last.

    Raises: ValueError, one sentence, for an autoencoder on patches, which `diffusers` does not have.
    """
    folder = Path(folder)
    write_autoencoder(folder / "vae", pipeline.autoencoder, pipeline.autoencoder_params, pipeline.scale)
    write_unet(folder / "unet", pipeline.unet, pipeline.unet_params)
    write_text(folder / "text_encoder", pipeline.text, pipeline.text_params)
    write_tokenizer(folder / "tokenizer", pipeline.tokenizer)
    write_noise(folder / "scheduler", pipeline.noise)
    optional = dict.fromkeys(("safety_checker", "feature_extractor", "image_encoder"), (None, None))
    about = {"_class_name": "StableDiffusionPipeline", "requires_safety_checker": False}
    parts = PARTS | {"scheduler": ("diffusers", pipeline.noise.scheduler)}
    write_config(folder / "model_index.json", about | optional | parts)
