"""DreamBooth: a model learns one subject from a few pictures.

It is the method of Ruiz et al. (2023, arXiv:2208.12242), as studied by Mei et al. (2024, 3.2).

The subject is called by a rare token and the noun of its class. Beside its pictures the model sees pictures of the
class that it drew itself beforehand, so that the class is not forgotten (prior preservation). The paper shows
pictures of the result; here it is measured how like the subject they are, whether they follow their captions, how
much they differ among each other, and what has become of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import numpy as np

from ldm.data.batches import batch_indices
from ldm.diffusion.losses import Batch, DeviceBatch
from ldm.networks.structure import Params, Structure, merge
from ldm.tasks.dreambooth_recipe import Recipe
from ldm.training.loop import Loss, TrainConfig, fit

TEXT = "text/"  # before the names of the text tower's parameters, where it learns too


def with_text(loss: Loss, tower: Structure) -> Loss:
    """Return the loss of UNet and text tower together: the batch has "ids" (b, m) in place of contexts."""

    def joint(params: Params, batch: DeviceBatch, key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        text = {name.removeprefix(TEXT): p for name, p in params.items() if name.startswith(TEXT)}
        unet = {name: p for name, p in params.items() if not name.startswith(TEXT)}
        return loss(unet, {**batch, "context": merge(tower, text)(batch["ids"])}, key)

    return joint


def batches(of_subject: Batch, of_class: Batch, pictures: int, weight: float) -> Callable[[int], Batch]:
    """Return step -> a batch of so many pictures of the subject and as many of the class, these weighted.

    The mean over such a batch is half of L_subject + lambda L_class (Ruiz et al. 2023, eq. 2). Of weight 0 the class
    is not learnt, while subject, noise and compiled program stay the same.
    """

    def batch(step: int) -> Batch:
        parts = []
        for data, factor in ((of_subject, 1.0), (of_class, weight)):
            rows = batch_indices(0, step, pictures, len(data["latents"]))
            parts.append(
                {name: x[rows] for name, x in data.items()} | {"weight": np.full(pictures, factor, np.float32)}
            )
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return batch


def finetune(
    loss: Loss,
    params: Params,
    batch: Callable[[int], Batch],
    recipe: Recipe,
    lengths: Sequence[int],
) -> dict[int, Params]:
    """Return the averaged weights after each of these numbers of steps, by the training loop at a constant rate."""
    size, kept = len(batch(0)["latents"]), {}
    config = TrainConfig(
        images=max(lengths) * size,
        batch=size,
        learning_rate=recipe.learning_rate,
        warmup_images=10 * size,
        decay_images=max(lengths) * size,
    )

    def keep(images: int, ema: Params) -> None:
        kept[images // size] = {name: np.array(p) for name, p in ema.items()}  # a copy: the step gives its memory away

    start = {name: np.array(p) for name, p in params.items()}
    lengths = [length * size for length in lengths]
    fit(loss, start, batch, config, lengths=lengths, on_length=keep, title="dreambooth")
    return kept
