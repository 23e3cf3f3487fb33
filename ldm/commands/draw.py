"""The command that draws captions with a Stable Diffusion folder, and keeps in each picture what it was drawn with."""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

if TYPE_CHECKING:
    from ldm.interop.stable_diffusion.pipeline import Pipeline

SHOWN = 64  # pictures of a contact sheet at most


def draw(
    folder: Positional[Path],
    caption: Positional[str] = "",
    /,
    captions: Path | None = None,
    n: int = 1,
    sampler: str = "",
    steps: int = 50,
    guidance: float = 7.5,
    negative: str = "",
    seed: int = 0,
    size: int = 0,
    image: Path | None = None,
    strength: float = 0.8,
    lora: tuple[Path, ...] = (),
    lora_weight: tuple[float, ...] = (1.0,),
    out: Path | None = None,
) -> None:
    """Draw captions with a Stable Diffusion folder as diffusers saves it; stopped, it goes on where it was.

    Captions: a file, one a line; each is drawn n times. Sampler: ddim, ddpm, euler, heun, dpm++ or dpm++2s in place of
    the folder's scheduler. Negative: what no picture should show, which guidance leads away from. Size: height and
    width of the latents, an eighth of the picture's. Image, strength: a picture to begin from, and the share of the
    steps that are taken. Lora: files that are added, lora-weight times. Out: a picture (picture.png, or picture-2.png
    and so on), or of several the folder (pictures/), with metadata.jsonl and a contact sheet. A picture that was drawn
    otherwise is not written over.
    """
    from tqdm import tqdm

    from ldm.data import pictures
    from ldm.diffusion.guidance_settings import check_guidance

    words = _captions(caption, captions)
    jobs = [(text, number) for number, text in enumerate(text for text in words for _ in range(max(n, 1)))]
    out = out or (_free("picture", ".png") if len(jobs) == 1 else Path("pictures"))
    check_request(out, n, lora, lora_weight, single=len(jobs) == 1)
    check_guidance(guidance)
    if negative and guidance == 1:
        raise ValueError(f"negative = {negative!r} without guidance: it would not be asked; give --guidance above 1.")
    model = read_model(folder, lora, lora_weight, sampler)
    plan, start = model.plan(steps), None
    if image:
        side = (size or model.unet.size) * model.codec.factor
        plan, start = model.begin(_square(image, side), steps, strength)
    settings = _settings(model, folder, steps, guidance, seed, size or model.unet.size)
    if lora:
        settings["lora"] = ", ".join(f"{file.name} x {weight:g}" for file, weight in _weighted(lora, lora_weight))
    if negative:
        settings["negative"] = negative
    if image:
        content = hashlib.blake2b(image.read_bytes(), digest_size=8).hexdigest()
        settings |= {"image": f"{image.name} {content}", "strength": f"{strength:g}"}
    files = [out if len(jobs) == 1 else out / f"{number:05d}.png" for _, number in jobs]
    about = [{"caption": text, "number": str(number)} | settings for text, number in jobs]
    if len(jobs) > 1:
        _check_folder(out, files)
    drawn = [_drawn(file, texts) for file, texts in zip(files, about, strict=True)]  # all are asked before any work
    bar = tqdm(zip(jobs, files, about, drawn, strict=True), total=len(jobs), unit="picture", disable=len(jobs) == 1)
    for (text, number), file, texts, there in bar:
        if there:
            continue
        (picture,) = model.images(
            [text], plan, guidance, negative=negative, seed=seed, size=size or None, first=number, start=start
        )
        pictures.save(file, picture, texts)
    if len(jobs) > 1:
        _finish(out, files, [text for text, _ in jobs])
    print(out)


def _free(name: str, ending: str) -> Path:
    """Return name.png, or name-2.png and so on where that is there: nothing that was drawn is lost."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(path for path in (Path(name + ending) for name in names) if not path.exists())


def _drawn(file: Path, about: Mapping[str, str]) -> bool:
    """Return whether a picture is there that was drawn so; by which version of JAX does not matter.

    Raises: ValueError, one sentence, for one that was drawn otherwise, and for one that does not say how.
    """
    from ldm.data import pictures

    if not file.is_file():
        return False
    try:
        there = pictures.texts(file)
    except ValueError as error:
        raise ValueError(f"{file} is there already and cannot be read ({error}); take it away.") from error
    for name in sorted((there.keys() | about.keys()) - {"jax"}):
        if there.get(name) != about.get(name):
            old, new = (f"{name} {texts[name]!r}" if name in texts else f"no {name}" for texts in (there, about))
            raise ValueError(f"{file} is there already, of {old} and not {new}; give another --out, or take it away.")
    return True


def _check_folder(out: Path, files: Sequence[Path]) -> None:
    """Raise ValueError, one sentence, for a folder whose metadata names pictures that are not asked for."""
    if not (out / "metadata.jsonl").is_file():
        return
    named = {json.loads(line)["file_name"] for line in (out / "metadata.jsonl").read_text("utf-8").splitlines()}
    if others := sorted(named - {file.name for file in files}):
        raise ValueError(
            f"out = {out}: its metadata.jsonl names {len(others)} pictures that are not asked for, such as {others[0]};"
            " choose another folder."
        )


def _captions(caption: str, file: Path | None) -> list[str]:
    """Raise ValueError, one sentence, where there is not one caption, or a file of them."""
    from ldm.files import check_file

    if bool(caption) == bool(file):
        raise ValueError("give one caption, or several in a file: --captions FILE, one a line.")
    if not file:
        return [caption]
    check_file(file, "a text file with a caption a line")
    try:
        lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no UTF-8 text ({error}); save it as such.") from None
    if not any(lines):
        raise ValueError(f"{file} holds no caption; write one a line.")
    return [line for line in lines if line]


def check_request(out: Path, n: int, lora: Sequence[Path], weights: Sequence[float], *, single: bool) -> None:
    """Raise ValueError, one sentence, before any work."""
    from ldm.data import pictures

    if n < 1:
        raise ValueError(f"n = {n}: expected at least 1 picture of each caption.")
    if len(weights) not in (1, len(lora)):
        raise ValueError(f"lora-weight has {len(weights)} numbers for {len(lora)} files; give one, or one a file.")
    if single:
        pictures.check_out(out)
    elif out.is_file() or out.suffix.lower() in pictures.PICTURES:
        raise ValueError(f"out = {out}: several pictures need a folder; give the path of one.")


def _weighted(lora: Sequence[Path], weights: Sequence[float]) -> list[tuple[Path, float]]:
    return list(zip(lora, weights if len(weights) == len(lora) else list(weights) * len(lora), strict=True))


def read_model(folder: Path, lora: Sequence[Path], weights: Sequence[float], sampler: str) -> Pipeline:
    """Return the pipeline of a folder, with its sampler chosen and LoRA files applied by their weights."""
    from dataclasses import replace

    from ldm.interop.stable_diffusion.lora import apply
    from ldm.interop.stable_diffusion.pipeline import read_pipeline

    model = read_pipeline(folder)
    if sampler:
        model = replace(model, noise=model.noise.by(sampler))
    if model.noise.instead:
        print(model.noise.instead, file=sys.stderr)
    for file, weight in _weighted(lora, weights):
        model = apply(model, file, weight)
    return model


def _square(image: Path, side: int):
    from ldm.data import pictures
    from ldm.files import check_file

    check_file(image, "a picture")
    try:
        return pictures.square(image, side)
    except ValueError as error:
        raise ValueError(f"{image}: not a readable picture ({error}); give another.") from error


def _settings(model: Pipeline, folder: Path, steps: int, guidance: float, seed: int, size: int) -> dict[str, str]:
    """Return what determines a picture beside its caption and number, as the texts of a PNG."""
    from importlib.metadata import version

    from ldm.hashing import digest

    return {
        "Software": "python -m ldm draw",
        "model": folder.resolve().name,
        "weights": digest(dict(model.unet_params) | {f"text {k}": v for k, v in model.text_params.items()}, 8),
        "scheduler": "DDIMScheduler" if model.noise.instead else model.noise.scheduler,
        "steps": str(steps),
        "guidance": f"{guidance:g}",
        "seed": str(seed),
        "latents": f"{size} x {size}",
        "jax": version("jax"),
    }


def _finish(out: Path, files: Sequence[Path], captions: Sequence[str]) -> None:
    """Write captions beside the pictures, so that `score` finds both, and a sheet of the first ones."""
    from ldm.data import pictures
    from ldm.files import write_atomic

    rows = zip(files, captions, strict=True)
    lines = [json.dumps({"file_name": file.name, "text": text}, ensure_ascii=False) for file, text in rows]
    write_atomic(out / "metadata.jsonl", ("\n".join(lines) + "\n").encode())
    pictures.save(out / "sheet.png", pictures.sheet([pictures.whole(file) for file in files[:SHOWN]]))
