"""The pretraining task: a network of size c learns to denoise the latents of captioned scenes (section 3.1).

A trained model is one safetensors file, half precision, of the averaged weights, at each length of
the profile; shipped ones lie under `weights/`, one's own under `runs/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ldm import paths, profiles
from ldm.data.latents import DeviceSet, Encoded, device_set, latent_set
from ldm.data.scenes.dataset import Scenes
from ldm.diffusion.losses import diffusion_loss
from ldm.networks import sizes, text
from ldm.networks.autoencoder import Codec, load_codec
from ldm.networks.cost import PASSES
from ldm.networks.dit import DiT
from ldm.networks.initial import KeySource
from ldm.networks.structure import Params, Structure, abstract, split
from ldm.networks.text import TextEncoder
from ldm.networks.unet import UNet
from ldm.profile import Profile
from ldm.tasks.models import (
    average_kind,
    frozen_files,
    lengths_until,
    load,
    model_path,
    name_of,
    run_folder,
    save,
)
from ldm.training import ema
from ldm.training.loop import TrainConfig, TrainState, fit
from ldm.training.parallel import Layout, host


def build_network(
    profile: Profile,
    c: int,
    keys: KeySource,
    remat: bool = False,
    *,
    inputs: int = 0,
    guidance: int = 0,
    unrolled: bool = False,
) -> UNet | DiT:
    """Return the profile's network of size c, with fresh parameters.

    inputs: channels in, where they are more than the latents; guidance: width of the embedding of the guidance scale;
    unrolled: whether a transformer's layers are compiled one by one, for a longer compilation and quicker steps
    (`DiT.run`).
    """
    latents = profile.autoencoder.latents
    if profile.network in sizes.PATCHES:
        config = sizes.transformer(
            profile.network,
            c,
            profile.context,
            latents=latents,
            inputs=inputs,
            guidance=guidance,
            guidance_frequency=profile.guidance_frequency,
        )
        return DiT(config, remat=remat, scan=not unrolled, keys=keys)
    shape = sizes.UNETS[profile.network]
    return UNet(
        c,
        profile.context,
        latents,
        inputs or latents,
        shape=shape,
        guidance=guidance,
        guidance_frequency=profile.guidance_frequency,
        remat=remat,
        keys=keys,
    )


def network(profile: Profile, c: int, seed: int = 0, remat: bool = False) -> tuple[Structure, Params]:
    """Return what `build_network` returns, split: the structure and its initial parameters."""
    with host():
        return split(build_network(profile, c, KeySource(jax.random.key(seed)), remat, unrolled=not remat))


def frozen_networks(profile: Profile) -> tuple[Codec, TextEncoder]:
    """Return the autoencoder and the text tower that the profile's models stand on."""
    autoencoder, tower = frozen_files(profile)
    # A batch is filled up: with 64 at once, smoke's 16 pictures would cost four times as much.
    return load_codec(autoencoder, min(64, profile.batch)), text.load_text_encoder(tower)


def training_set(profile: Profile, n: int | None = None) -> Encoded:
    """Return the profile's scenes, encoded, cached under runs/cache; where there is one accelerator, they lie there."""
    if jax.default_backend() != "cpu" and jax.device_count() == 1:
        return on_device(profile, n)
    return latent_set(
        Scenes(profile.scenes, "train", n or profile.data, level=profile.level),
        *frozen_networks(profile),
        paths.RUNS / "cache",
    )


def on_device(profile: Profile, n: int | None = None) -> DeviceSet:
    """Return the profile's scenes on the first device, whatever it is: latents, and captions as ids."""
    scenes = Scenes(profile.scenes, "train", n or profile.data, level=profile.level)
    return _on_device(scenes, *frozen_files(profile))


def shapes_on_device(profile: Profile) -> DeviceSet:
    """Return what `on_device` does, with shapes in the place of latents and ids: what programs are compiled for."""
    n = profile.data
    latents, ids = jax.eval_shape(
        lambda: (jnp.zeros((n, *profile.latent_shape), jnp.float16), jnp.zeros((n, profile.tokens), jnp.int32))
    )
    return DeviceSet(latents, ids, text.load_text_encoder(frozen_files(profile)[1]))


@lru_cache(maxsize=1)  # several trainings of a process share it, and both settings of a family
def _on_device(scenes: Scenes, autoencoder: Path, tower: Path) -> DeviceSet:
    return device_set(scenes, load_codec(autoencoder), text.load_text_encoder(tower), paths.RUNS / "cache")


def shard_set(profile: Profile, url: str) -> tuple[Encoded, Path]:
    """Open the shards at a place that fsspec knows (`ldm.data.shards`), ready to train on.

    It also says where what is trained on them goes.

    Raises: ValueError or OSError, one sentence, for shards that are missing, broken, or of another profile.
    """
    from ldm.data.feed import open_feed

    feed = open_feed(url, paths.RUNS / "cache", *frozen_networks(profile), profile.scenes.size, profile.latent_shape)
    return feed, paths.RUNS / f"shards-{feed.shards.key}"


def pretrain(
    profile: Profile,
    c: int,
    *,
    data: Encoded,
    null: np.ndarray,
    config: TrainConfig | None = None,
    lengths: tuple[int, ...] | None = None,
    seed: int = 0,
    root: Path | None = None,
    start: Params | None = None,
    on_log: Callable[[dict[str, Any]], None] = lambda record: None,
    log_steps: int = 20,
    layout: Layout | None = None,
    remat: bool = False,
    snapshots: int = 0,
    checkpoints: bool = True,
    build: Callable[[Profile, int, int, bool], tuple[Structure, Params]] = network,
) -> TrainState:
    """Train size c and keep a model at each length, all under `root` (runs/).

    Unless told not to, it keeps checkpoints to resume from.

    Args:
        data: the training pictures, encoded (`training_set`, or `feed.Feed`); null: the empty caption's context (m, d).
        config: the profile's for this width, unless given; `seed` takes the place of its own. lengths: the profile's
            before the end, and the end, unless given. start: parameters to continue from, else those of the
            profile that this one goes on from (`Profile.start`), or fresh ones.
        layout: the devices to train on, else the first one. remat: less memory for more arithmetic (`UNet`).
        snapshots: of two averages of the weights, so many evenly over the run, for `averaged`.
        build: another network in the place of the profile's, by the same arguments (`network`).
    """
    config, root = replace(config or profile.training(c), seed=seed), root or paths.RUNS
    if lengths is None:
        lengths = lengths_until(config.images, profile.lengths)
    if snapshots:
        config = replace(config, averages=(ema.SECOND,))
    structure, params = build(profile, c, seed, remat)
    if start is None and profile.start:
        before = profiles.get(profile.start)
        start = load_pretrained(before, c, before.length, seed)[1]
    rows = layout.rows(config.batch) if layout else slice(None)
    loss = diffusion_loss(
        structure, profile.schedule, profile.predict, null=null, drop=profile.dropped, times=profile.times
    )

    def keep(images: int, average: Params) -> None:
        save(model_path(profile, c, images, seed, root), average, profile, c, images, seed)

    return fit(
        loss,
        params if start is None else start,
        lambda step: data.batch(seed, step, config.batch, rows),
        config,
        layout=layout,
        gflops=PASSES * sizes.gflops(profile.network, c, profile.latent_shape[0], *null.shape),
        folder=run_folder(profile, f"{name_of(profile, 'train')}-c{c}-s{seed}", root) if checkpoints else None,
        lengths=lengths,
        on_length=keep,
        on_log=on_log,
        log_steps=log_steps,
        title=f"pretrain c={c}",
        snapshots=[config.images * k // snapshots for k in range(1, snapshots + 1)],
        on_snapshot=partial(ema.keep, snapshots_of(profile, c, seed, root)),
    )


def snapshots_of(profile: Profile, c: int, seed: int = 0, root: Path | None = None) -> Path:
    """Return the folder of a training's snapshots."""
    return run_folder(profile, f"{name_of(profile, 'averages')}-c{c}-s{seed}", root)


def averaged(
    profile: Profile, c: int, sigma_rel: float, images: int = 0, seed: int = 0, root: Path | None = None
) -> Path:
    """Write the model whose weights are averaged over this share of a run (`ldm.training.ema`).

    The run has to have kept snapshots.

    Raises: ValueError, in one sentence, as `ema.average`.
    """
    images, params = ema.average(snapshots_of(profile, c, seed, root), sigma_rel, images)
    path = model_path(profile, c, images, seed, root or paths.RUNS, average_kind(sigma_rel))
    save(path, params, profile, c, images, seed)
    return path


def load_pretrained(
    profile: Profile, c: int, images: int, seed: int = 0, kind: str = "unet", *, unrolled: bool = False
) -> tuple[Structure, Params]:
    """Return a pretrained model, UNet or transformer, float32: one's own under runs/ before the shipped one.

    unrolled: as of `build_network`.
    Raises: ValueError, in one sentence, when there is none or its file is broken.
    """
    structure, like = abstract(lambda keys: build_network(profile, c, keys, unrolled=unrolled))
    return structure, load(like, profile, c, images, seed, kind)
