"""Trained models: where their files lie, what they are called, and how they are written and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ldm import paths
from ldm.networks import weights
from ldm.paths import ROOT
from ldm.profile import Profile

if TYPE_CHECKING:
    from ldm.networks.structure import Params


def part_file(profile: Profile, part: Literal["autoencoder", "text", "clip", "detector", "reference"]) -> Path:
    """Return where a part lies that the profile's models and metrics stand on, below weights/.

    "clip" is what the small CLIP has beside its text tower, "text".
    """
    name = profile.codec if part == "autoencoder" else part
    return paths.WEIGHTS / profile.weights / f"{name}.safetensors"


def frozen_files(profile: Profile) -> tuple[Path, Path]:
    """Return where the autoencoder and the text tower lie that the profile's models stand on."""
    return part_file(profile, "autoencoder"), part_file(profile, "text")


def run_folder(profile: Profile, name: str, root: Path | None = None) -> Path:
    """Return the folder in which a training of this name keeps what it goes on from, below runs/."""
    return (root or paths.RUNS) / profile.weights / name


def model_path(
    profile: Profile, c: int, images: int, seed: int = 0, root: Path | None = None, kind: str = "unet"
) -> Path:
    """Return where the model of width c after `images` images lies, below weights/ or runs/.

    `kind`: what was trained.
    """
    return (
        (root or paths.WEIGHTS)
        / profile.weights
        / f"{name_of(profile, kind)}-c{c}-{images // 1000}k-s{seed}.safetensors"
    )


def lengths_until(images: int, usual: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of images at which a training of so many keeps a model: the usual ones, and its end.

    Raises: ValueError, one sentence, for an unusual end that is no multiple of a thousand, by which files are named.
    """
    if images not in usual and (images < 1_000 or images % 1_000):
        raise ValueError(
            f"images = {images}: expected a multiple of 1,000, at least that, by which the model's file is named; "
            f"take {max(1_000, round(images, -3))}."
        )
    return (*(length for length in usual if length < images), images)


def name_of(profile: Profile, kind: str) -> str:
    """Return what was trained, of which network if not the full UNet, and in which setting where there are several."""
    network = "" if profile.network == "unet" or kind == "unet" else profile.network
    what = profile.network if kind == "unet" else kind  # "unet" stands for what is pretrained, whatever network it is
    return "-".join(filter(None, (what, network, profile.setting)))


def average_kind(sigma_rel: float) -> str:
    """Return what a model is called whose weights are averaged over this share of its run."""
    return f"average{sigma_rel:g}"


class Model(NamedTuple):
    """Which model of a profile: its size, the images it has seen, its seed, and its kind (`model_path`)."""

    c: int
    images: int
    seed: int = 0
    kind: str = "unet"


def file_of(profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> Path | None:
    """Return the model's file, one's own under runs/ before the shipped one; None where there is neither."""
    places = (model_path(profile, c, images, seed, root, kind) for root in (paths.RUNS, paths.WEIGHTS))
    return next((place for place in places if place.is_file()), None)


def shipped_sizes(profile: Profile) -> tuple[int, ...]:
    """Return the sizes of the family whose models, trained for the usual length, lie under weights/, small to large.

    Raises: ValueError, in one sentence, where there is none.
    """
    return sizes_where(profile, lambda c: model_path(profile, c, profile.length).is_file())


def sizes_where(profile: Profile, known: Callable[[int], bool], seed: int = 0) -> tuple[int, ...]:
    """Return the sizes of the family of which this is so, small to large; seed: of the training that is asked for.

    Raises: ValueError, in one sentence that says how to train the first, where there is none.
    """
    found = tuple(filter(known, profile.family))
    if not found:
        raise missing(profile, profile.family[0], profile.length, seed)
    return found


def arithmetic(profile: Profile) -> dict[str, str]:
    """Return what a cell's name has to hold of it; nothing of float32."""
    return {"drawing": "bfloat16"} if profile.train.bf16 else {}


def missing(profile: Profile, c: int, images: int, seed: int, kind: str = "unet") -> ValueError:
    """Return the error that says which model is missing, and by which command it is made."""
    path = model_path(profile, c, images, seed, kind=kind).relative_to(ROOT)
    command = kind.split("-")[0]  # a control's name begins with its task's
    of_kind = "" if kind == command else f" --kind {kind}"
    task = "pretrain" if kind == "unet" else f"superres{of_kind}" if command == "superres" else f"distill {command}"
    task += f" --seed {seed}" * (seed > 0 and command != "superres")  # which is finetuned by one seed
    if kind.startswith("average"):
        task = f"average --sigma {kind.removeprefix('average')} --images {images} --seed {seed}"
    return ValueError(
        f"There is no trained model of c = {c} after {images:,} images (seed {seed}): expected {path}; "
        f"train it with `python -m ldm {task} --profile {profile.name} --c {c}`."
    )


def load(
    like: Mapping[str, weights.Shaped], profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet"
) -> dict[str, np.ndarray]:
    """Return a model's parameters, float32: one's own under runs/ before the shipped one.

    Args:
        like: their names, shapes and dtypes.
    Raises: ValueError, in one sentence, when there is none or its file is broken, of another network, or says that
        its training meant something else by its numbers (`meanings`).
    """
    path = file_of(profile, c, images, seed, kind)
    if path is None:
        raise missing(profile, c, images, seed, kind)
    params, described = weights.load(path, like, half_to_float32=True), weights.metadata(path)
    for name, meant in meanings(profile).items():
        if described.get(name, meant) != meant:
            raise ValueError(
                f"{path.name} was trained with {name} = {described[name]!r}, and profile {profile.name} has {meant!r}: "
                "expected the same; train it again, or take the profile that it was trained by."
            )
    return params


def meanings(profile: Profile) -> dict[str, Any]:
    """Return what a model's numbers mean and no shape tells: what it predicts, how it is told the guidance scale."""
    return {"predict": profile.predict, "guidance_frequency": profile.guidance_frequency}


def save(path: Path, params: Params, profile: Profile, c: int, images: int, seed: int) -> None:
    """Write a model's file: half precision, with what was trained."""
    weights.save_half(
        path,
        params,
        {
            "profile": profile.name,
            "c": c,
            "images": images,
            "seed": seed,
            **meanings(profile),
        },
    )
