"""The command that writes models for diffusers: the study's, one's own trainings, a folder with LoRA files in it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tyro.conf import Positional


def export(
    out: Positional[Path],
    /,
    c: int = 0,
    profile: str = "laptop-eps",
    images: int = 0,
    seed: int = 0,
    kind: str = "unet",
    folder: Path | None = None,
    unet: Path | None = None,
    lora: tuple[Path, ...] = (),
    lora_weight: tuple[float, ...] = (1.0,),
) -> None:
    """Write a model in diffusers' layout: one of the study, by c (the width), or a Stable Diffusion folder, changed.

    C: the model of this width of the profile after so many images (0: the usual length), shipped or trained here;
    kind: unet, or what average and distill call theirs. Where the profile's autoencoder or text tower has no class in
    diffusers, it is left as it is, and README.md says how they go together.
    Folder: a folder that diffusers wrote; its UNet is replaced by unet (safetensors of ours or of diffusers), and the
    lora files are added to it, lora-weight times.
    """
    from ldm.files import check_out

    if bool(c) == bool(folder):
        raise ValueError("give c, for a model of the study, or folder, for one that diffusers wrote.")
    with _whole_or_nothing(out):
        check_out(out / "model_index.json", [".json"], make=True)
        if any(out.iterdir()):
            raise ValueError(f"{out} is not empty; choose a new folder to write to.")
        if c:
            if unet or lora:
                raise ValueError("unet and lora belong to folder; leave them out, or give folder in place of c.")
            from ldm import profiles
            from ldm.interop.stable_diffusion.study import write_model

            chosen = profiles.get(profile)
            write_model(out, chosen, c, images or chosen.length, seed, kind)
        elif folder:
            from ldm.commands.draw import check_request, read_model
            from ldm.interop.stable_diffusion.pipeline import write_pipeline
            from ldm.interop.stable_diffusion.study import with_unet

            check_request(out, 1, lora, lora_weight, single=False)
            model = read_model(folder, lora, lora_weight, "")
            write_pipeline(out, with_unet(model, unet) if unet else model)
    print(out)


@contextlib.contextmanager
def _whole_or_nothing(out: Path) -> Iterator[None]:
    """Take away, where what is done within fails, the folder that it made."""
    new = not out.exists()
    try:
        yield
    except BaseException:
        if new:
            shutil.rmtree(out, ignore_errors=True)
        raise
