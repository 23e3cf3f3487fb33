"""Models of the study, and one's own trainings, in the layout of `diffusers`.

The UNets of the study are `UNet2DConditionModel`s, and their noise is a `DDIMScheduler`'s. The small families' text
tower reads whole words and their autoencoder works on patches of pixels: `diffusers` has neither, so these two lie
beside as they are, and README.md says how to go from a caption to a picture with all of them.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from ldm.data.scenes.dataset import Scenes
from ldm.files import write_atomic
from ldm.interop.stable_diffusion.files import read_params
from ldm.interop.stable_diffusion.parts import UNetConfig, network, write_autoencoder, write_unet
from ldm.interop.stable_diffusion.pipeline import Pipeline
from ldm.interop.stable_diffusion.scheduler import NoiseConfig, write_noise
from ldm.networks import weights
from ldm.networks.torch_layout import arrange
from ldm.profile import Profile
from ldm.tasks.distillation import methods
from ldm.tasks.models import frozen_files
from ldm.tasks.pretrain import frozen_networks, load_pretrained

LEADING = 1  # the offset of our leading times, as of Stable Diffusion's

README = """# A latent diffusion model of width c = {c}, of profile {name}, after {images:,} images

`unet/` and `scheduler/` are diffusers': UNet2DConditionModel and DDIMScheduler. {rest}

```python
import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from ldm.networks import text
from ldm.networks.autoencoder import load_codec

unet = UNet2DConditionModel.from_pretrained("unet")
scheduler = DDIMScheduler.from_pretrained("scheduler")
tower, codec = text.load_text_encoder("text.safetensors"), load_codec("autoencoder.safetensors")

context = torch.tensor(np.concatenate([tower.null(1), tower.encode(["{caption}"])]))
x = torch.randn(1, {z}, {side}, {side})
scheduler.set_timesteps(50)
with torch.no_grad():
    for t in scheduler.timesteps:
        without, asked = unet(torch.cat([x, x]), t, context).sample.chunk(2)
        x = scheduler.step(without + 3.0 * (asked - without), t, x).prev_sample
picture = codec.decode(x.permute(0, 2, 3, 1).numpy())[0]  # uint8 (height, width, 3)
```
"""


def noise_of(profile: Profile) -> NoiseConfig:
    """Return the noise of a profile's training and the steps of its sampler, as `diffusers` describes them."""
    return NoiseConfig(predict=profile.predict, spacing=profile.spacing, offset=LEADING)


def write_model(folder: Path, profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> None:
    """Write a model of the study into `folder`; a README.md comes last.

    Raises: ValueError, one sentence, where there is none, or one of another shape or that takes guidance as an input,
    which diffusers' UNet is not told.
    """
    if profile.network != "unet":
        raise ValueError(f"profile = {profile.name!r} has no network of Stable Diffusion's shape; export another's.")
    if methods.takes_guidance(kind):
        raise ValueError(f"kind = {kind!r} takes guidance as an input, which diffusers' UNet does not; export another.")
    _, params = load_pretrained(profile, c, images, seed, kind)
    side, _, latents = profile.latent_shape
    unet = UNetConfig(c=c, context=profile.context, latents=latents, size=side)
    write_unet(folder / "unet", unet, params)
    write_noise(folder / "scheduler", noise_of(profile))
    rest = "The text tower and the autoencoder have no class there, and are this project's own files."
    if profile.autoencoder.patch == 1:
        codec, _ = frozen_networks(profile)
        write_autoencoder(folder / "vae", profile.autoencoder, codec.params, codec.scale)
        rest = "`vae/` is an AutoencoderKL. The text tower has no class there, and is this project's own file."
    for file in frozen_files(profile):
        shutil.copyfile(file, folder / file.name)
    caption = Scenes(profile.scenes, "val", 1, level=profile.level).caption(0)
    text = README.format(c=c, name=profile.name, images=images, rest=rest, z=latents, side=side, caption=caption)
    write_atomic(folder / "README.md", text.encode())


def with_unet(pipeline: Pipeline, path: Path) -> Pipeline:
    """Return the pipeline with the UNet of a file: one that this package saved, or a part of a `diffusers` folder.

    Raises: ValueError, one sentence, for weights that do not fit the folder's UNet.
    """
    like = network(pipeline.unet)[1]
    if path.is_dir():
        return replace(pipeline, unet_params=read_params(path, like, linear=pipeline.unet.linear))
    tensors = weights.load(path, half_to_float32=True)
    name = "conv_in.weight"
    if name in tensors and name in like and tensors[name].shape == tuple(like[name].shape):  # HWIO: our own layout
        weights.compare(path, tensors, like)
        return replace(pipeline, unet_params=tensors)
    return replace(pipeline, unet_params=arrange(path, tensors, like, linear=pipeline.unet.linear))
