"""The register of the models that have recorded rows: which digest names each, and which repeats another.

Not every model ships. The register, `models.json`, is committed beside those that do, so that a cell's key is known on
a machine that lacks its model.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from ldm import paths
from ldm.files import write_atomic
from ldm.hashing import digest
from ldm.networks import weights
from ldm.profile import Profile
from ldm.tasks.models import file_of, missing, model_path, sizes_where


def model_digest(profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> str:
    """Return what names a model's weights in the keys of its cells: of its file, else of the register.

    Raises: ValueError, in one sentence, when neither is here or the file is broken.
    """
    if path := file_of(profile, c, images, seed, kind):
        return original_digest(profile, digest_of(path))
    known, name = registered(profile), model_path(profile, c, images, seed, kind=kind).name
    if name not in known:
        raise missing(profile, c, images, seed, kind)
    return known[name]


def is_known(profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> bool:
    """Return whether a model is here or has recorded rows."""
    known = model_path(profile, c, images, seed, kind=kind).name in registered(profile)
    return known or file_of(profile, c, images, seed, kind) is not None


def trained_sizes(profile: Profile, seed: int = 0) -> tuple[int, ...]:
    """Return the sizes of the family that are trained for the usual length, and here or recorded, small to large.

    Raises: ValueError, in one sentence, where there is none.
    """
    return sizes_where(profile, lambda c: is_known(profile, c, profile.length, seed), seed)


def trained_lengths(profile: Profile, c: int, seed: int = 0) -> tuple[int, ...]:
    """Return the profile's training lengths at which a model of width c is here or has recorded rows."""
    return tuple(images for images in profile.lengths if is_known(profile, c, images, seed))


def registered(profile: Profile) -> dict[str, str]:
    """Return file name -> digest of every model that has recorded rows, entered under runs/ or under weights/.

    Not all of them ship (they would be too large).
    """
    places = (root / profile.weights / "models.json" for root in (paths.RUNS, paths.WEIGHTS))
    return {name: known for path in places for name, known in _read(path).items()}


def record_models(profile: Profile) -> Path:
    """Enter all models that lie under runs/ or weights/, or were noted, into the register that is committed."""
    here = {name: original_digest(profile, own) for name, own in _digests(profile, paths.RUNS).items()}
    known = registered(profile) | _digests(profile, paths.WEIGHTS) | here
    return _write(paths.WEIGHTS / profile.weights / "models.json", known)


def note_models(profile: Profile) -> None:
    """Enter the models under runs/ that are new into this machine's own register.

    It is what comes home of a machine that forgets them.

    One that does not ship, and was trained before on a machine that forgot it, is a *repetition*: not to the bit the
    same, since a GPU adds in no fixed order. It counts as the first one (`original_digest`), so that its cells go on
    where that one's ended. That it is by the same settings is taken for granted: where these change, take its name out
    of the register.
    """
    path = paths.RUNS / profile.weights / "models.json"
    known, since = _read(path), path.stat().st_mtime if path.is_file() else 0.0
    before = _read(paths.WEIGHTS / profile.weights / "models.json")
    new, again = _digests(profile, paths.RUNS, since), {}
    for name in list(new):
        if name in before and not (paths.WEIGHTS / profile.weights / name).is_file():
            again[new.pop(name)] = before[name]
    if again:
        _write(path.with_name("repeated.json"), _read(path.with_name("repeated.json")) | again)
    if new or again:
        _write(path, known | new)


def original_digest(profile: Profile, own: str) -> str:
    """Return the digest that a model goes by: its own, or that of the one that it repeats (`note_models`)."""
    return _read(paths.RUNS / profile.weights / "repeated.json").get(own, own)


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


def _read(path: Path) -> dict[str, str]:
    return json.loads(path.read_text()) if path.is_file() else {}


def _write(path: Path, known: dict[str, str]) -> Path:
    return write_atomic(path, (json.dumps(dict(sorted(known.items())), indent=1) + "\n").encode())
