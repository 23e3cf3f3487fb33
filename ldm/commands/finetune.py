"""Commands that train a model of the family further: for super-resolution, and to draw in few steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional


def superres(
    c: int,
    profile: str = "laptop-64",
    kind: str = "superres",
    images: int = 0,
    folder: Path | None = None,
    devices: int = 1,
    fsdp: int = 1,
    checkpoints: bool = True,
) -> None:
    """Finetune one size for super-resolution (or train a control: superres-scratch, superres-regression), resuming.

    Folder: of PNG, JPEG or WebP pictures to learn from in place of scenes, cut at random places. Devices, checkpoints:
        as of pretrain.
    """
    from ldm import paths, profiles
    from ldm.commands.checks import check_autoencoder, check_network, check_numbers, check_pretrained
    from ldm.paths import ROOT
    from ldm.study import training_rows
    from ldm.tasks import models, pairs, superres_recipe
    from ldm.tasks.pretrain import frozen_networks
    from ldm.tasks.superres import finetune, latent_pairs
    from ldm.training import parallel

    check_numbers(images=images, devices=devices)
    chosen = profiles.get(profile)
    known = superres_recipe.check_kind(kind)
    config = superres_recipe.config_of(chosen, c, images, known)
    lengths = models.lengths_until(config.images, superres_recipe.lengths(chosen))
    layout = parallel.chosen(devices, fsdp)
    check_network(chosen, c, config.batch, layout)
    check_autoencoder(chosen)
    if kind != "superres-scratch":
        check_pretrained(chosen, c)
    data = (
        pairs.photographs(chosen, folder, strength="both")
        if folder
        else pairs.scenes(chosen, "train", pairs.DATA, "both")
    )
    root = pairs.folder_of(data, folder) if folder else paths.RUNS
    codec, text = frozen_networks(chosen)
    laps: list[dict[str, Any]] = []
    finetune(
        chosen,
        c,
        data=latent_pairs(data, codec),
        null=text.null(1)[0],
        kind=known,
        config=config,
        lengths=lengths,
        root=root,
        layout=layout,
        on_log=laps.append,
        checkpoints=checkpoints,
    )
    training = training_rows.Training.here(
        chosen, c, config, layout, task=kind, side=pairs.latent_side(chosen), data=str(folder or "")
    )
    training_rows.write(training, chosen, laps, ROOT)
    print(models.model_path(chosen, c, config.images, root=root, kind=kind))


def distill(
    method: Positional[Literal["codi", "lcm", "guided", "continued"]],
    /,
    c: int,
    profile: str = "laptop-eps",
    images: int = 0,
    seed: int = 0,
    devices: int = 1,
    fsdp: int = 1,
    checkpoints: bool = True,
) -> None:
    """Distill one size by a method (continued: train its teacher on instead), resuming where it stopped.

    Devices, checkpoints: as of pretrain.
    """
    from ldm import profiles
    from ldm.commands.checks import check_autoencoder, check_network, check_numbers, check_pretrained
    from ldm.paths import ROOT
    from ldm.study import training_rows
    from ldm.tasks import models
    from ldm.tasks.distillation import methods, student
    from ldm.tasks.pretrain import frozen_networks, training_set
    from ldm.training import parallel

    check_numbers(seed=seed, images=images, devices=devices)
    chosen = profiles.get(profile)
    images = images or methods.images_of(chosen, method)
    models.lengths_until(images, ())  # before the scenes are encoded
    config = student.training(chosen, c, images, seed)
    layout = parallel.chosen(devices, fsdp)
    check_network(chosen, c, config.batch, layout)
    check_autoencoder(chosen)
    check_pretrained(chosen, c, seed)
    _, text = frozen_networks(chosen)
    laps: list[dict[str, Any]] = []
    written = student.distill(
        chosen,
        method,
        c,
        images=images,
        data=training_set(chosen),
        null=text.null(1)[0],
        seed=seed,
        layout=layout,
        on_log=laps.append,
        checkpoints=checkpoints,
    )
    for kind, path in zip(methods.kinds(method), written, strict=True):
        training = training_rows.Training.here(chosen, c, config, layout, task=kind)
        training_rows.write(training, chosen, [lap for lap in laps if lap["kind"] == kind], ROOT)
        print(path)
