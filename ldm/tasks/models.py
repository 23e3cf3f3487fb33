"""Trained models: their files, and the register of those that have recorded rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ldm import paths
from ldm.files import write_atomic
from ldm.hashing import digest
from ldm.networks import weights
from ldm.paths import ROOT
from ldm.profiles import Profile

if TYPE_CHECKING:
    from ldm.networks.structure import Params


def part_file(profile: Profile, part: Literal["autoencoder", "text", "clip", "detector", "reference"]) -> Path:
    """Return where a part lies that the profile's models and metrics stand on, below weights/.

    "clip" is what the small CLIP has beside its text tower, "text".
    """
    return paths.WEIGHTS / profile.weights / f"{part}.safetensors"


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


def file_of(profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> Path | None:
    """Return the model's file, one's own under runs/ before the shipped one; None where there is neither."""
    places = (model_path(profile, c, images, seed, root, kind) for root in (paths.RUNS, paths.WEIGHTS))
    return next((place for place in places if place.is_file()), None)


def shipped_sizes(profile: Profile) -> tuple[int, ...]:
    """Return the sizes of the family whose models, trained for the usual length, lie under weights/, small to large.

    Raises: ValueError, in one sentence, where there is none.
    """
    return _sizes(profile, lambda c: model_path(profile, c, profile.length).is_file())


def trained_sizes(profile: Profile) -> tuple[int, ...]:
    """Return the sizes of the family that are trained for the usual length, and here or recorded, small to large.

    Raises: ValueError, in one sentence, where there is none.
    """
    return _sizes(profile, lambda c: there(profile, c, profile.length))


def _sizes(profile: Profile, known: Callable[[int], bool]) -> tuple[int, ...]:
    found = tuple(filter(known, profile.family))
    if not found:
        raise missing(profile, profile.family[0], profile.length, 0)
    return found


def register(profile: Profile) -> dict[str, str]:
    """Return file name -> digest of every model that has recorded rows, here or there.

    Not all of them ship (they would be too large).
    """
    places = (root / profile.weights / "models.json" for root in (paths.RUNS, paths.WEIGHTS))
    return {name: known for path in places for name, known in _read_register(path).items()}


def record_models(profile: Profile) -> Path:
    """Enter all models that lie under runs/ or weights/, or were noted, into the register that is committed."""
    here = {name: first(profile, own) for name, own in _digests(profile, paths.RUNS).items()}
    known = register(profile) | _digests(profile, paths.WEIGHTS) | here
    return _write(paths.WEIGHTS / profile.weights / "models.json", known)


def note_models(profile: Profile) -> None:
    """Enter the models under runs/ that are new into this machine's own register.

    It is what comes home of a machine that forgets them.

    One that does not ship, and was trained before on a machine that forgot it, is a *repetition*: not to the bit the
    same, since a GPU adds in no fixed order. It counts as the first one (`first`), so that its cells go on where that
    one's ended. That it is by the same settings is taken for granted: where these change, take its name out of the
    register.
    """
    path = paths.RUNS / profile.weights / "models.json"
    known, since = _read_register(path), path.stat().st_mtime if path.is_file() else 0.0
    before = _read_register(paths.WEIGHTS / profile.weights / "models.json")
    new, again = _digests(profile, paths.RUNS, since), {}
    for name in list(new):
        if name in before and not (paths.WEIGHTS / profile.weights / name).is_file():
            again[new.pop(name)] = before[name]
    if again:
        _write(path.with_name("repeated.json"), _read_register(path.with_name("repeated.json")) | again)
    if new or again:
        _write(path, known | new)


def first(profile: Profile, own: str) -> str:
    """Return the digest that a model goes by: its own, or that of the one that it repeats (`note_models`)."""
    return _read_register(paths.RUNS / profile.weights / "repeated.json").get(own, own)


def _digests(profile: Profile, root: Path, since: float = 0.0) -> dict[str, str]:
    found = (root / profile.weights).glob("*-c*-*k-s*.safetensors")
    new = [path for path in found if path.stat().st_mtime >= since]
    with ThreadPoolExecutor(4) as pool:
        digests = pool.map(digest_of, new)
        return {path.name: known for path, known in zip(new, digests, strict=True)}


def digest_of(path: Path) -> str:
    """Return the digest of the weights in a file, without loading a network.

    It is what `digest` says of the network that is loaded from it.

    Raises: ValueError, in one sentence, for a file that is missing or broken.
    """
    return _digest(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=256)
def _digest(path: Path, written: int) -> str:
    """Return the digest of the weights in a file, as it was written then: seconds of work for a large one."""
    return digest(weights.load(path, half_to_float32=True))


def _read_register(path: Path) -> dict[str, str]:
    return json.loads(path.read_text()) if path.is_file() else {}


def _write(path: Path, known: dict[str, str]) -> Path:
    return write_atomic(path, (json.dumps(dict(sorted(known.items())), indent=1) + "\n").encode())


def arithmetic(profile: Profile) -> dict[str, str]:
    """Return what a cell's name has to hold of it; nothing of float32."""
    return {"drawing": "bfloat16"} if profile.train.bf16 else {}


def model_digest(profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> str:
    """Return what names a model's weights in the keys of its cells: of its file, else of the register.

    Raises: ValueError, in one sentence, when neither is here or the file is broken.
    """
    if path := file_of(profile, c, images, seed, kind):
        return first(profile, digest_of(path))
    known, name = register(profile), model_path(profile, c, images, seed, kind=kind).name
    if name not in known:
        raise missing(profile, c, images, seed, kind)
    return known[name]


def there(profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> bool:
    """Return whether a model is here or has recorded rows."""
    known = model_path(profile, c, images, seed, kind=kind).name in register(profile)
    return known or file_of(profile, c, images, seed, kind) is not None


def missing(profile: Profile, c: int, images: int, seed: int, kind: str = "unet") -> ValueError:
    path = model_path(profile, c, images, seed, kind=kind).relative_to(ROOT)
    command = kind.split("-")[0]  # a control's name begins with its task's
    task = "pretrain" if kind == "unet" else command if command == "superres" else f"distill {command}"
    if kind.startswith("average"):
        task = f"average --sigma {kind.removeprefix('average')} --images {images} --seed {seed}"
    return ValueError(
        f"There is no trained model of c = {c} after {images:,} images (seed {seed}): expected {path}; "
        f"train it with `python -m ldm {task} --profile {profile.name} --c {c}`."
    )


def trained_lengths(profile: Profile, c: int, seed: int = 0) -> tuple[int, ...]:
    """Return the profile's training lengths at which a model of width c is here or has recorded rows."""
    return tuple(images for images in profile.lengths if there(profile, c, images, seed))


def load(
    like: Mapping[str, weights.Shaped], profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet"
) -> dict[str, np.ndarray]:
    """Return a model's parameters, float32: one's own under runs/ before the shipped one.

    Args:
        like: their names, shapes and dtypes.
    Raises: ValueError, in one sentence, when there is none or its file is broken or of another network.
    """
    path = file_of(profile, c, images, seed, kind)
    if path is None:
        raise missing(profile, c, images, seed, kind)
    return weights.load(path, like, half_to_float32=True)


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
            "predict": profile.predict,
        },
    )
