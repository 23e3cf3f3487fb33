"""The pretraining task: a UNet of width c learns to denoise the latents of captioned scenes (section 3.1).

A trained model is one safetensors file, half precision, of the averaged weights, at each length of
the profile; shipped ones lie under `weights/`, one's own under `runs/`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from ldm import ema, text, weights
from ldm.autoencoder import Codec, load_codec
from ldm.cost import PASSES, unet_gflops
from ldm.files import write_atomic
from ldm.latents import Encoded, device_set, digest, latent_set
from ldm.layers import KeySource, Params, abstract, split
from ldm.losses import diffusion_loss
from ldm.parallel import Layout, host
from ldm.profiles import ROOT, RUNS, WEIGHTS, Profile
from ldm.scenes import Scenes
from ldm.schedule import Schedule
from ldm.text import TextEncoder
from ldm.train import TrainConfig, TrainState, fit
from ldm.unet import UNet


def unet(profile: Profile, c: int, keys: KeySource, remat: bool = False) -> UNet:
    """The profile's UNet of width c, with fresh parameters."""
    return UNet(c, profile.context, profile.autoencoder.latents, remat=remat, keys=keys)


def network(profile: Profile, c: int, seed: int = 0, remat: bool = False) -> tuple[nnx.GraphDef, Params]:
    """The same, split: the structure and its initial parameters."""
    with host():
        return split(unet(profile, c, KeySource(jax.random.key(seed)), remat))


def frozen_parts(profile: Profile) -> tuple[Codec, TextEncoder]:
    """The autoencoder and the text tower that the profile's models stand on."""
    folder = WEIGHTS / profile.weights
    return load_codec(folder / "autoencoder.safetensors"), text.load(folder / "text.safetensors")


def training_set(profile: Profile, n: int | None = None) -> Encoded:
    """The profile's scenes, encoded, cached under runs/cache; where there is one accelerator, they lie there."""
    if jax.default_backend() != "cpu" and jax.device_count() == 1:
        return _on_device(profile, n or profile.data)
    return latent_set(Scenes(profile.scenes, "train", n or profile.data, level=profile.level), *frozen_parts(profile), RUNS / "cache")


@lru_cache(maxsize=1)  # several trainings of a process share it
def _on_device(profile: Profile, n: int) -> Encoded:
    return device_set(Scenes(profile.scenes, "train", n, level=profile.level), *frozen_parts(profile), RUNS / "cache")


def shard_set(profile: Profile, url: str) -> tuple[Encoded, Path]:
    """The shards at a place that fsspec knows (`ldm.shards`), ready to train on; and where what is trained on them goes.

    Raises: ValueError or OSError, one sentence, for shards that are missing, broken, or of another profile.
    """
    from ldm.feed import open_feed  # and grain, which only a training on shards has to wait for

    feed = open_feed(url, RUNS / "cache", *frozen_parts(profile), profile.scenes.size, profile.latent_shape)
    return feed, RUNS / f"shards-{feed.shards.key}"


def path_of(profile: Profile, c: int, images: int, seed: int = 0, root: Path = WEIGHTS, kind: str = "unet") -> Path:
    """Where the model of width c after `images` images lies, below weights/ or runs/; `kind`: what was trained."""
    return root / profile.weights / f"{name_of(profile, kind)}-c{c}-{images // 1000}k-s{seed}.safetensors"


def name_of(profile: Profile, kind: str) -> str:
    """What was trained, and in which setting where the profile's family is trained in several."""
    return f"{kind}-{profile.setting}" if profile.setting else kind


def file_of(profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> Path | None:
    """The model's file, one's own under runs/ before the shipped one; None where there is neither."""
    places = (path_of(profile, c, images, seed, root, kind) for root in (RUNS, WEIGHTS))
    return next((place for place in places if place.is_file()), None)


def register(profile: Profile) -> dict[str, str]:
    """File name -> digest of every model that has recorded rows, here or there; not all of them ship (they would be too large)."""
    places = (root / profile.weights / "models.json" for root in (RUNS, WEIGHTS))
    return {name: known for path in places for name, known in _read_register(path).items()}


def record_models(profile: Profile) -> Path:
    """Enter all models that lie under runs/ or weights/, or were noted, into the register that is committed."""
    here = {name: first(profile, own) for name, own in _digests(profile, RUNS).items()}
    known = register(profile) | _digests(profile, WEIGHTS) | here
    return _write(WEIGHTS / profile.weights / "models.json", known)


def note_models(profile: Profile) -> None:
    """Enter those under runs/ that are new into this machine's own register: what comes home of a machine that forgets them.

    One that does not ship, and was trained before on a machine that forgot it, is a *repetition*: not to the bit the same,
    since a GPU adds in no fixed order. It counts as the first one (`first`), so that its cells go on where that one's
    ended. That it is by the same settings is taken for granted: where these change, take its name out of the register.
    """
    path = RUNS / profile.weights / "models.json"
    known, since = _read_register(path), path.stat().st_mtime if path.is_file() else 0.0
    before = _read_register(WEIGHTS / profile.weights / "models.json")
    new, again = _digests(profile, RUNS, since), {}
    for name in list(new):
        if name in before and not (WEIGHTS / profile.weights / name).is_file():
            again[new.pop(name)] = before[name]
    if again:
        _write(path.with_name("repeated.json"), _read_register(path.with_name("repeated.json")) | again)
    if new or again:
        _write(path, known | new)


def first(profile: Profile, own: str) -> str:
    """The digest that a model goes by: its own, or that of the one that it repeats (`note_models`)."""
    return _read_register(RUNS / profile.weights / "repeated.json").get(own, own)


def _digests(profile: Profile, root: Path, since: float = 0.0) -> dict[str, str]:
    paths = (root / profile.weights).glob("*-c*-*k-s*.safetensors")
    new = [path for path in paths if path.stat().st_mtime >= since]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda path: _digest(path, path.stat().st_mtime_ns), new)
        return {path.name: known for path, known in zip(new, found, strict=True)}


@lru_cache(maxsize=256)
def _digest(path: Path, written: int) -> str:
    """Of the weights in a file, as it was written then: seconds of work for a large one."""
    return digest(weights.load(path, half_to_float32=True))


def _read_register(path: Path) -> dict[str, str]:
    return json.loads(path.read_text()) if path.is_file() else {}


def _write(path: Path, known: dict[str, str]) -> Path:
    return write_atomic(path, (json.dumps(dict(sorted(known.items())), indent=1) + "\n").encode())


def model_digest(profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> str:
    """What names a model's weights in the keys of its cells: of its file, else of the register.

    Raises: ValueError, in one sentence, when neither is here or the file is broken.
    """
    if path := file_of(profile, c, images, seed, kind):
        return first(profile, _digest(path, path.stat().st_mtime_ns))
    known, name = register(profile), path_of(profile, c, images, seed, kind=kind).name
    if name not in known:
        raise missing(profile, c, images, seed, kind)
    return known[name]


def there(profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> bool:
    """Whether a model is here or has recorded rows."""
    known = path_of(profile, c, images, seed, kind=kind).name in register(profile)
    return known or file_of(profile, c, images, seed, kind) is not None


def missing(profile: Profile, c: int, images: int, seed: int, kind: str = "unet") -> ValueError:
    path = path_of(profile, c, images, seed, kind=kind).relative_to(ROOT)
    command = kind.split("-")[0]  # a control's name begins with its task's
    task = "pretrain" if kind == "unet" else command if command == "superres" else f"distill {command}"
    if kind.startswith("average"):
        task = f"average --sigma {kind.removeprefix('average')} --images {images} --seed {seed}"
    return ValueError(
        f"There is no trained model of c = {c} after {images:,} images (seed {seed}): expected {path}; "
        f"train it with `python -m ldm {task} --profile {profile.name} --c {c}`."
    )


def trained_lengths(profile: Profile, c: int, seed: int = 0) -> tuple[int, ...]:
    """The profile's training lengths at which a model of width c is here or has recorded rows."""
    return tuple(images for images in profile.lengths if there(profile, c, images, seed))


def pretrain(
    profile: Profile,
    c: int,
    *,
    data: Encoded,
    null: np.ndarray,
    config: TrainConfig | None = None,
    lengths: tuple[int, ...] | None = None,
    seed: int = 0,
    root: Path = RUNS,
    start: Params | None = None,
    on_log: Callable[[dict[str, Any]], None] = lambda record: None,
    log_steps: int = 20,
    layout: Layout | None = None,
    remat: bool = False,
    snapshots: int = 0,
    checkpoints: bool = True,
) -> TrainState:
    """Train width c; keep a model at each length and, unless told not to, checkpoints to resume from, all under `root`.

    Args:
        data: the training pictures, encoded (`training_set`, or `feed.Feed`); null: the empty caption's context (m, d).
        config: the profile's, unless given. start: parameters to continue from, else fresh ones.
        layout: the devices to train on, else the first one. remat: less memory for more arithmetic (`UNet`).
        snapshots: of two averages of the weights, so many evenly over the run, for `averaged`.
    """
    config = config or profile.train
    if snapshots:
        config = replace(config, averages=(ema.SECOND,))
    structure, params = network(profile, c, seed, remat)
    rows = layout.rows(config.batch) if layout else slice(None)
    loss = diffusion_loss(structure, Schedule.sd(), profile.predict, null=null, drop=profile.dropped)

    def keep(images: int, average: Params) -> None:
        save(path_of(profile, c, images, seed, root), average, profile, c, images, seed)

    return fit(
        loss, start or params, lambda step: data.batch(seed, step, config.batch, rows), config,
        layout=layout, gflops=PASSES * unet_gflops(c, profile.latent_shape[0], *null.shape),
        folder=root / profile.weights / f"{name_of(profile, 'train')}-c{c}-s{seed}" if checkpoints else None,
        lengths=profile.lengths if lengths is None else lengths,
        on_length=keep, on_log=on_log, log_steps=log_steps, title=f"pretrain c={c}",
        snapshots=[config.images * k // snapshots for k in range(1, snapshots + 1)],
        on_snapshot=partial(ema.keep, snapshots_of(profile, c, seed, root)),
    )  # fmt: skip


def snapshots_of(profile: Profile, c: int, seed: int = 0, root: Path = RUNS) -> Path:
    """The folder of a training's snapshots."""
    return root / profile.weights / f"{name_of(profile, 'averages')}-c{c}-s{seed}"


def average_kind(sigma_rel: float) -> str:
    """What a model is called whose weights are averaged over this share of its run."""
    return f"average{sigma_rel:g}"


def averaged(profile: Profile, c: int, sigma_rel: float, images: int = 0, seed: int = 0, root: Path = RUNS) -> Path:
    """Write the model whose weights are averaged over this share of a run of which snapshots were kept (`ldm.ema`).

    Raises: ValueError, in one sentence, as `ema.average`.
    """
    images, params = ema.average(snapshots_of(profile, c, seed, root), sigma_rel, images)
    path = path_of(profile, c, images, seed, root, average_kind(sigma_rel))
    save(path, params, profile, c, images, seed)
    return path


def save(path: Path, params: Params, profile: Profile, c: int, images: int, seed: int) -> None:
    """A model's file: half precision, with what was trained."""
    half = {name: np.asarray(array.astype(np.float16)) for name, array in params.items()}  # on its device: half has to travel
    weights.save(path, half, {
        "profile": profile.name, "c": c, "images": images, "seed": seed, "predict": profile.predict,
    })  # fmt: skip


def load(profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet") -> tuple[nnx.GraphDef, Params]:
    """A trained model, float32: one's own under runs/ before the shipped one.

    Raises: ValueError, in one sentence, when there is none or its file is broken.
    """
    structure, like = abstract(lambda keys: unet(profile, c, keys))
    path = file_of(profile, c, images, seed, kind)
    if path is None:
        raise missing(profile, c, images, seed, kind)
    return structure, weights.load(path, like, half_to_float32=True)
