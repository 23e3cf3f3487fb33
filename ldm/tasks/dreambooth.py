"""DreamBooth: a model learns one subject from a few pictures.

It is the method of Ruiz et al. (2023, arXiv:2208.12242), as studied by Mei et al. (2024, 3.2).

The subject is called by a rare token and the noun of its class. Beside its pictures the model sees pictures of the
class that it drew itself beforehand, so that the class is not forgotten (prior preservation). The paper shows
pictures of the result; here it is measured how like the subject they are, whether they follow their captions, how
much they differ among each other, and what has become of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from ldm.data.batches import batch_indices
from ldm.diffusion.losses import Batch, DeviceBatch
from ldm.networks.initial import KeySource
from ldm.networks.low_rank import updated, updates
from ldm.networks.structure import Params, Structure, merge
from ldm.tasks.dreambooth_recipe import Recipe, Way
from ldm.training.loop import Loss, TrainConfig, fit

TEXT = "text/"  # before the names of the text tower's parameters
TABLE, WORD = TEXT + "token_embedding", TEXT + "word"  # its words' embeddings; what the rare word's has learnt


@dataclass(frozen=True, kw_only=True)
class Taught:
    """What of a model learns a subject, and what stays: both are flat dicts, the text tower's names after `TEXT`."""

    way: Way
    recipe: Recipe
    row: int  # of the rare word in the table of embeddings

    def begin(self, unet: Params, text: Params, seed: int = 0) -> tuple[Params, Params]:
        """Return (what learns, what stays frozen) of a pretrained model; seed: of low-rank updates."""
        learnt: dict[str, Any] = dict(unet) if self.way.unet == "all" else {}
        if self.way.unet == "low rank":
            learnt |= updates(unet, self.recipe.rank, KeySource(jax.random.key(seed)))
        if self.way.text == "tower":
            learnt |= _prefixed(text)
        if self.way.text == "word":
            learnt[WORD] = jnp.zeros(text[TABLE.removeprefix(TEXT)].shape[1])
        return learnt, self.frozen(unet, text)

    def frozen(self, unet: Params, text: Params) -> Params:
        """Return what stays as it is of a pretrained model, and is needed beside what was learnt."""
        return ({} if self.way.unet == "all" else dict(unet)) | (_prefixed(text) if self.way.text == "word" else {})

    def whole(self, learnt: Params, frozen: Params) -> tuple[Params, Params]:
        """Return the parameters of UNet and text tower with what was learnt; the tower's are empty if it is frozen."""
        params = updated({**frozen, **learnt}, learnt)
        if WORD in learnt:
            rows, moved = jnp.asarray(params[TABLE]), self._reach(jnp.asarray(learnt[WORD]))
            params = {**params, TABLE: rows.at[self.row].add(moved)}
        text = {name.removeprefix(TEXT): p for name, p in params.items() if name.startswith(TEXT) and name != WORD}
        unet = {name: p for name, p in params.items() if not name.startswith(TEXT)}
        return unet, text

    def _reach(self, learnt: Array) -> Array:
        """Return by how much the word has moved. All that learns is given one rate, so a step of it is scaled here.

        The gradient is not: it would dwarf that of the rest, whose common norm the training loop limits.
        """
        still = lax.stop_gradient(learnt)
        return self.recipe.word_rate / self.recipe.rate(self.way) * still + (learnt - still)


def _prefixed(text: Params) -> dict[str, Any]:
    return {TEXT + name: p for name, p in text.items()}


def subject_loss(loss: Loss, tower: Structure, taught: Taught) -> Loss:
    """Return a denoising loss, asked of what learns.

    It is called as that of a distillation, (learnt, batch, key, teacher, averaged): what stays frozen travels as the
    teacher's weights, and the averaged ones are not used. Where the text side learns, the batch has "ids" (b, m) in
    place of contexts.
    """

    def joint(
        learnt: Params, batch: DeviceBatch, key: Array, frozen: Params, averaged: Params
    ) -> tuple[Array, dict[str, Array]]:
        unet, text = taught.whole(learnt, frozen)
        context = merge(tower, text)(batch["ids"]) if text else batch["context"]
        return loss(unet, {**batch, "context": context}, key)

    return joint


def batches(of_subject: Batch, of_class: Batch, pictures: int, weight: float, seed: int = 0) -> Callable[[int], Batch]:
    """Return step -> a batch of so many pictures of the subject and as many of the class, these weighted.

    The mean over such a batch is half of L_subject + lambda L_class (Ruiz et al. 2023, eq. 2). Of weight 0 the class
    is not learnt, while subject, noise and compiled program stay the same.
    """

    def batch(step: int) -> Batch:
        parts = []
        for data, factor in ((of_subject, 1.0), (of_class, weight)):
            rows = batch_indices(seed, step, pictures, len(data["latents"]))
            parts.append(
                {name: x[rows] for name, x in data.items()} | {"weight": np.full(pictures, factor, np.float32)}
            )
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return batch


def finetune(
    loss: Loss,
    learnt: Params,
    frozen: Params,
    batch: Callable[[int], Batch],
    *,
    rate: float,
    lengths: Sequence[int],
    seed: int = 0,
) -> dict[int, Params]:
    """Return the average of what was learnt after each of these numbers of steps, at a constant rate."""
    size, kept = len(batch(0)["latents"]), {}
    config = TrainConfig(
        images=max(lengths) * size,
        batch=size,
        learning_rate=rate,
        warmup_images=10 * size,
        decay_images=max(lengths) * size,
        seed=seed,
    )

    def keep(images: int, ema: Params) -> None:
        kept[images // size] = {name: np.array(p) for name, p in ema.items()}  # a copy: the step gives its memory away

    start = {name: np.array(p) for name, p in learnt.items()}
    lengths = [length * size for length in lengths]
    fit(loss, start, batch, config, teacher=frozen, lengths=lengths, on_length=keep, title="dreambooth")
    return kept
