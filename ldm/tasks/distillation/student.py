"""The distillation task: which student learns what, from whom, and where its weights lie.

A student is a network of its teacher's size that takes the guidance scale as an input and starts as the teacher.
`ldm.tasks.distillation.methods` names what is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ldm import paths
from ldm.data.latents import Encoded
from ldm.diffusion.losses import Batch, diffusion_loss
from ldm.networks import sizes, weights
from ldm.networks.structure import Params, Structure, abstract
from ldm.profile import Profile
from ldm.tasks import models, pretrain
from ldm.tasks.distillation.codi import codi_loss
from ldm.tasks.distillation.guided import guidance_loss, halving_loss
from ldm.tasks.distillation.lcm import lcm_loss
from ldm.tasks.distillation.methods import kinds, passes, steps_of, takes_guidance
from ldm.training.guards import Diverged
from ldm.training.loop import Loss, TrainConfig, fit
from ldm.training.parallel import Layout

WIDTH = 256  # of the guidance scale's embedding, as published for LCM
SPREAD = 0.1, 10.0  # a student outside has collapsed, or blown up


def network(profile: Profile, kind: str, c: int) -> tuple[Structure, dict[str, jax.ShapeDtypeStruct]]:
    """Return structure and shapes of what a kind trains: the teacher's, with an input for guidance if it takes it."""
    guidance = WIDTH if takes_guidance(kind) else 0
    return abstract(lambda keys: pretrain.build_network(profile, c, keys, guidance=guidance))


def begun(teacher: Params, like: Mapping[str, weights.Shaped]) -> Params:
    """Return a student's first parameters: its teacher's, and zeros where it has more (`like`: shapes)."""
    return {name: teacher[name] if name in teacher else jnp.zeros(a.shape, a.dtype) for name, a in like.items()}


def load_student(profile: Profile, c: int, images: int, seed: int, kind: str) -> tuple[Structure, Params]:
    """Return a trained student, float32; `images`: what each kind of its method saw.

    Raises: ValueError, in one sentence, when there is none or its file is broken.
    """
    structure, like = network(profile, kind, c)
    return structure, models.load(like, profile, c, images, seed, kind)


def training(profile: Profile, c: int, images: int, seed: int = 0) -> TrainConfig:
    """Return the teacher's configuration, at the rate with which the teacher ended, and falling again."""
    end = profile.training(c).learning_rate * min(1, profile.train.decay_images / profile.length) ** 0.5
    return replace(
        profile.train, images=images, learning_rate=end, warmup_images=images // 20, decay_images=images // 4, seed=seed
    )


def student_loss(profile: Profile, kind: str, c: int, null: np.ndarray) -> Loss:
    """Return the loss that a kind minimises; teachers of stage 2 are students themselves."""
    student, teacher = (network(profile, k, c)[0] for k in (kind, "continued"))
    schedule, common = profile.schedule, {"null": null, "scales": profile.scales}
    if kind == "continued":
        return diffusion_loss(student, schedule, profile.predict, null=null, drop=profile.dropped, times=profile.times)
    if steps_of(kind):
        return halving_loss(student, schedule, profile.predict, scales=profile.scales)
    if kind == "guided":
        return guidance_loss(student, teacher, schedule, profile.predict, **common)
    make = {"codi": codi_loss, "lcm": lcm_loss}[kind]
    return make(student, teacher, schedule, profile.predict, segments=profile.segments, **common)


def distill(
    profile: Profile,
    method: str,
    c: int,
    *,
    images: int,
    data: Encoded,
    null: np.ndarray,
    seed: int = 0,
    root: Path | None = None,
    on_log: Callable[[dict[str, Any]], None] = lambda record: None,
    layout: Layout | None = None,
    checkpoints: bool = True,
) -> list[Path]:
    """Train all kinds of a method for a width, each on `images` images, resuming where it stopped; files go to `root`.

    Args:
        data: the encoded training scenes; null: the empty caption's context (m, d).
        on_log: as of `fit`, told the kind, too.

    Raises: ValueError for an unknown method, a missing teacher, or images that are no thousands. `Diverged` when a
    loss is not finite or a student has collapsed; its last good checkpoint stays beside its file's place.
    """
    lengths = models.lengths_until(images, ())
    _, teacher = pretrain.load_pretrained(profile, c, profile.length, seed)
    config, written = training(profile, c, images, seed), []
    params: Params = teacher
    root = root or paths.RUNS
    rows = layout.rows(config.batch) if layout else slice(None)

    def batch(step: int, steps: int) -> Batch:
        drawn = data.batch(seed, step, config.batch, rows)
        return {**drawn, "steps": np.array(steps, np.int32)} if steps else drawn

    for kind in kinds(method):
        path = models.model_path(profile, c, images, seed, root, kind)
        _, like = network(profile, kind, c)
        if not path.is_file():
            fit(
                student_loss(profile, kind, c, null),
                begun(params, like),
                partial(batch, steps=steps_of(kind)),
                config,
                layout=layout,
                teacher=None if kind == "continued" else params,
                folder=path.with_name(f"train-{path.stem}") if checkpoints else None,
                lengths=lengths,
                on_length=lambda images, ema, path=path: models.save(path, ema, profile, c, images, seed),
                on_log=watched(kind, on_log),
                gflops=passes(kind) * sizes.gflops(profile.network, c, profile.latent_shape[0], *null.shape),
                title=f"{kind} c={c}",
            )
        params = weights.load(path, like, half_to_float32=True)
        written.append(path)
    return written


def watched(kind: str, on_log: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Return `on_log` for this kind, which also stops a student that has collapsed.

    That is one that gives every caption one picture, or pictures that no data resembles.
    """

    def look(record: dict[str, Any]) -> None:
        on_log({"kind": kind} | record)
        if not SPREAD[0] < record.get("spread", 1.0) < SPREAD[1]:
            raise Diverged(
                f"{kind}: the estimates' spread is {record['spread']:.3g} of the data's after "
                f"{record['images_seen']:,} images, expected {SPREAD[0]} to {SPREAD[1]}; lower the learning rate."
            )

    return look
