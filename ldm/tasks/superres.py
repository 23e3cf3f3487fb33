"""Super-resolution: a pretrained UNet, finetuned to see a degraded picture, draws it four times as large (section 3.2).

The degraded picture, enlarged by bicubic interpolation and encoded, joins the noisy latents as more channels of
the first convolution's input. The weights of these channels begin at zero: before finetuning the network is the
pretrained one. No guidance, as in the paper, and the empty caption.

Two controls that the paper lacks: the same training from fresh parameters, and a regression, the same network
trained to answer in one step from pure noise (it has nothing else to look at, so it learns the mean).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from ldm import paths
from ldm.data.batches import batch_indices
from ldm.data.degrade import FACTOR
from ldm.data.latents import drawn, half_precision
from ldm.diffusion.losses import diffusion_loss
from ldm.diffusion.plan import Plan
from ldm.diffusion.sampler import image_keys, sample
from ldm.diffusion.schedule import Predict, Schedule
from ldm.diffusion.solvers import ddim
from ldm.hashing import digest
from ldm.networks import sizes, weights
from ldm.networks.autoencoder import Codec
from ldm.networks.batched import full_batches
from ldm.networks.cost import PASSES
from ldm.networks.dit import DiT
from ldm.networks.initial import KeySource
from ldm.networks.structure import Params, Structure, abstract, split
from ldm.networks.text import TextEncoder
from ldm.networks.unet import UNet
from ldm.profile import Profile
from ldm.tasks import models, pretrain, superres_recipe
from ldm.tasks.generate import drawing
from ldm.tasks.pairs import DegradedPairs, enlarged, latent_side
from ldm.tasks.superres_recipe import KINDS, Kind, check_kind, config_of
from ldm.training.loop import TrainConfig, TrainState, fit
from ldm.training.parallel import Layout, host

ONE_STEP = Schedule(alpha=np.zeros(1), sigma=np.ones(1))  # a regression is diffusion whose only time is pure noise


@dataclass(frozen=True, eq=False)
class LatentPairs:
    """n encoded pictures and what the network sees of each."""

    latents: Float[np.ndarray, "n h w z"]  # float16
    condition: Float[np.ndarray, "n h w z"]  # float16

    def batch(
        self, seed: int, step: int, size: int, null: Float[np.ndarray, "m d"], part: slice | np.ndarray = slice(None)
    ) -> dict[str, np.ndarray]:
        """Return the batch of a step, float32, by (seed, step) alone; of it these rows (`parallel.Layout.rows`)."""
        rows = batch_indices(seed, step, size, len(self.latents))[part]
        picked = {"latents": self.latents[rows], "condition": self.condition[rows]}
        return {name: x.astype(np.float32) for name, x in picked.items()} | {
            "context": np.broadcast_to(null, (len(rows), *null.shape))
        }


def latent_pairs(pairs: DegradedPairs, codec: Codec) -> LatentPairs:
    """Encode all pairs, or open what an earlier run encoded."""
    n, folder, name = len(pairs), paths.RUNS / "cache", f"{len(pairs)}-{pairs.key}-{digest(codec.params)}"
    return LatentPairs(
        half_precision(folder, f"latents-{name}", map(codec.encode, drawn(pairs.high, n)), n),
        half_precision(folder, f"condition-{name}", map(codec.encode, drawn(pairs.seen, n)), n),
    )


def unet(profile: Profile, c: int, keys: KeySource) -> UNet | DiT:
    """Return the profile's network of size c that sees a picture's latents beside the noisy ones."""
    return pretrain.build_network(profile, c, keys, inputs=2 * profile.autoencoder.latents)


def widened(params: Params, channels: int) -> Params:
    """Return a network's parameters with `channels` more inputs, whose weights are zero: it computes what it did."""
    name = "conv_in.weight" if "conv_in.weight" in params else "patches.weight"  # (k, k, inputs, c)
    return {**params, name: jnp.pad(params[name], [(0, 0), (0, 0), (0, channels), (0, 0)])}


def finetune(
    profile: Profile,
    c: int,
    *,
    data: LatentPairs,
    null: Float[np.ndarray, "m d"],
    kind: Kind = "superres",
    config: TrainConfig | None = None,
    lengths: tuple[int, ...] | None = None,
    root: Path | None = None,
    start: Params | None = None,
    on_log: Callable[[dict[str, Any]], None] = lambda record: None,
    layout: Layout | None = None,
    checkpoints: bool = True,
) -> TrainState:
    """Finetune width c and keep a model at each length, all under `root` (runs/).

    Unless told not to, it keeps checkpoints to resume from.

    Args:
        null: the empty caption's context. kind: "superres", or one of the two controls.
        start: parameters of the pretrained network, else those of the profile's file.
        config: `superres_recipe.config_of`, unless given. lengths: `superres_recipe.lengths` and the end, unless
            given.
        layout: the devices to train on, else the first one.
    Raises: ValueError for an unknown kind, and where the pretrained model is missing.
    """
    check_kind(kind)
    config, root = config or config_of(profile, c, kind=kind), root or paths.RUNS
    if lengths is None:
        lengths = models.lengths_until(config.images, superres_recipe.lengths(profile))
    with host():
        structure, params = split(unet(profile, c, KeySource(jax.random.key(config.seed))))
    if kind != "superres-scratch":
        start = pretrain.load_pretrained(profile, c, profile.length)[1] if start is None else start
        params = widened(start, profile.autoencoder.latents)
    schedule, predict = objective(profile, kind)
    rows = layout.rows(config.batch) if layout else slice(None)
    folder = models.run_folder(profile, f"train-{models.name_of(profile, kind)}-c{c}-s{config.seed}", root)

    def keep(images: int, ema: Params) -> None:
        path = models.model_path(profile, c, images, config.seed, root, kind)
        models.save(path, ema, profile, c, images, config.seed)

    return fit(
        diffusion_loss(structure, schedule, predict, null=null, drop=0.0),
        params,
        lambda step: data.batch(config.seed, step, config.batch, null, rows),
        config,
        layout=layout,
        folder=folder if checkpoints else None,
        lengths=[length for length in lengths if length <= config.images],
        on_length=keep,
        on_log=on_log,
        gflops=PASSES * sizes.gflops(profile.network, c, latent_side(profile), *null.shape),
        title=f"{kind} c={c}",
    )


def objective(profile: Profile, kind: Kind) -> tuple[Schedule, Predict]:
    """Return which noise the network is trained at, and what it predicts."""
    return (ONE_STEP, "x0") if kind == "superres-regression" else (profile.schedule, profile.predict)


def load_finetuned(
    profile: Profile, c: int, images: int, seed: int = 0, kind: Kind = "superres"
) -> tuple[Structure, Params]:
    """Return a finetuned model, float32.

    Raises: ValueError, in one sentence, when there is none or its file is broken.
    """
    structure, like = abstract(lambda keys: unet(profile, c, keys))
    return structure, models.load(like, profile, c, images, seed, kind)


@dataclass(frozen=True, kw_only=True, eq=False)
class Restorer:
    """A finetuned model with its frozen networks."""

    profile: Profile
    structure: Structure
    params: Params
    codec: Codec
    null: Float[np.ndarray, "m d"]  # the empty caption's context
    kind: Kind = "superres"

    @property
    def side(self) -> int:
        """The side of the pictures that it takes, in pixels."""
        return self.profile.restored // FACTOR

    @cached_property
    def drawing(self) -> Params:
        """The parameters as pictures are drawn with them (`generate.drawing`)."""
        return drawing(self.profile, self.params)

    def images(
        self, low: UInt8[np.ndarray, "n h w 3"], plan: Plan | None, *, seed: int = 0, first: int = 0
    ) -> Iterator[UInt8[np.ndarray, "b H W 3"]]:
        """Yield the pictures four times as large, in batches as they are made; picture k has noise of index first + k.

        A regression has its own plan of one step; give it None.
        """
        size = self.profile.batch
        schedule, predict = objective(self.profile, self.kind)
        if self.kind == "superres-regression":
            plan = ddim(schedule, 1)
        if plan is None:
            raise ValueError(
                f"plan is None: {self.kind} is sampled step by step; give a plan of `ldm.diffusion.solvers`."
            )
        context = np.broadcast_to(self.null, (size, *self.null.shape))
        for start, count, (full,) in full_batches(size, low):
            condition = self.codec.encode(enlarged(full))
            latents = sample(
                self.structure,
                self.drawing,
                plan,
                context,
                None,
                1.0,
                image_keys(seed, np.arange(start, start + size) + first),
                predict=predict,
                shape=condition.shape[1:],
                condition=condition,
            )
            yield self.codec.decode(np.asarray(latents)[:count])


def restorer(
    profile: Profile,
    c: int,
    images: int,
    seed: int = 0,
    kind: Kind = "superres",
    *,
    file: str | Path | None = None,
    frozen: tuple[Codec, TextEncoder] | None = None,
) -> Restorer:
    """Return a finetuned model, ready.

    Args:
        file: a model that lies elsewhere, whose width and kind it says itself.
        frozen: the networks that the profile's models stand on (`pretrain.frozen_networks`), loaded unless given.
    Raises: ValueError, in one sentence, when there is none or its file is broken or of another task.
    """
    if file:
        kind, c = described(Path(file))
        structure, like = abstract(lambda keys: unet(profile, c, keys))
        params = weights.load(file, like, half_to_float32=True)
    else:
        structure, params = load_finetuned(profile, c, images, seed, kind)
    codec, text = frozen or pretrain.frozen_networks(profile)
    return Restorer(profile=profile, structure=structure, params=params, codec=codec, null=text.null(1)[0], kind=kind)


def described(file: Path) -> tuple[Kind, int]:
    """Return kind and width of the model in a file.

    `models.model_path` names it by its kind first, and it holds its width.
    """
    kinds: list[Kind] = [kind for kind in KINDS if file.name.startswith(f"{kind}-")]
    c = weights.metadata(file).get("c")
    if not kinds or not isinstance(c, int):
        raise ValueError(f"{file} is no model of super-resolution, whose name begins with superres; give one that is.")
    return max(kinds, key=lambda kind: len(kind)), c
