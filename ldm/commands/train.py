"""Commands that train a model, a part that the study takes as given, or write data to train on.

They train a size of the family, its averages, and the frozen networks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

Part = Literal["text", "detector", "autoencoder", "decoder", "reference"]


def pretrain(
    c: int,
    profile: str = "laptop-eps",
    seed: int = 0,
    images: int = 0,
    data: str = "",
    devices: int = 1,
    fsdp: int = 1,
    bf16: bool = False,
    accumulate: int = 1,
    remat: bool = False,
    coordinator: str = "",
    processes: int = 1,
    process: int = 0,
    snapshots: int = 0,
    checkpoints: bool = True,
) -> None:
    """Train one size of the family, resuming where it stopped; models go to runs/.

    Data: a folder of shards (see the command shards) in place of the profile's scenes, or its address, such as
    s3://bucket/folder. On several devices (0: all), groups of fsdp of which share one state; in bfloat16; over a batch
    in so many parts; computing blocks again to save memory; as one of several processes (coordinator auto on a known
    cluster).
    Snapshots: so many over the run, from which the command average makes models. Without checkpoints, it cannot resume.
    """
    from ldm import paths, profiles
    from ldm.commands.checks import check_autoencoder, check_network, check_numbers, check_pretrained
    from ldm.paths import ROOT
    from ldm.study import training_rows
    from ldm.tasks import models
    from ldm.tasks import pretrain as pretraining
    from ldm.training import parallel

    check_numbers(seed=seed, images=images, devices=devices, snapshots=snapshots)
    layout = parallel.chosen(devices, fsdp, coordinator, processes, process)
    chosen = profiles.get(profile)
    check_network(chosen, c, chosen.train.batch, layout)
    check_autoencoder(chosen)
    if chosen.start:
        check_pretrained(profiles.get(chosen.start), c, seed)
    config = replace(
        chosen.training(c),
        images=images or chosen.train.images,
        seed=seed,
        bf16=bf16 or chosen.train.bf16,
        accumulate=accumulate,
    )
    lengths = models.lengths_until(config.images, chosen.lengths)
    _, text = pretraining.frozen_networks(chosen)
    source, root = pretraining.shard_set(chosen, data) if data else (pretraining.training_set(chosen), paths.RUNS)
    laps: list[dict[str, Any]] = []
    pretraining.pretrain(
        chosen,
        c,
        data=source,
        null=text.null(1)[0],
        config=config,
        lengths=lengths,
        seed=seed,
        root=root,
        layout=layout,
        remat=remat,
        snapshots=snapshots,
        checkpoints=checkpoints,
        on_log=laps.append,
    )
    training_rows.write(
        training_rows.Training.here(chosen, c, config, layout, remat=remat, data=data), chosen, laps, ROOT
    )


def together(
    c: int,
    profiles: tuple[str, ...],
    seeds: tuple[int, ...] = (0, 1, 2),
    images: int = 0,
    lengths: tuple[int, ...] = (),
) -> None:
    """Train one size by several seeds and in several settings at once, for an accelerator that one alone leaves idle.

    Profiles: one, or those of one family in several settings. Lengths: at which models are kept, if not the profile's.
    Without checkpoints: what is stopped begins anew, but for models that are there.
    """
    from ldm import profiles as known
    from ldm.commands.checks import check_autoencoder, check_network, check_numbers
    from ldm.paths import ROOT
    from ldm.study import training_rows
    from ldm.tasks.pretrain import on_device
    from ldm.tasks.together import pending, pretrain

    check_numbers(images=images)
    settings = [known.get(name) for name in profiles]
    check_network(settings[0], c, settings[0].train.batch, None)
    check_autoencoder(settings[0])
    if settings[0].start:
        raise ValueError(f"profile = {settings[0].name}: goes on from other models; train it by the command pretrain.")
    trainings = pending(settings, c, seeds, data=on_device(settings[0]), images=images)
    if trainings is None:
        print(f"c = {c}: every model is there.")
        return
    laps: list[dict[str, Any]] = []
    pretrain(trainings, lengths=lengths or None, on_log=laps.append)
    for which, run in enumerate(trainings.runs):
        training_rows.write(
            training_rows.Training.here(
                run.profile, c, replace(trainings.config, seed=run.seed), None, together=len(trainings.runs)
            ),
            run.profile,
            [lap | {"loss": lap["loss"][which]} for lap in laps],
            ROOT,
        )


def average(c: int, sigma: float = 0.1, images: int = 0, profile: str = "laptop-eps", seed: int = 0) -> None:
    """Make a model whose weights are averaged over a share sigma of a training.

    The training has to have kept snapshots (pretrain --snapshots).
    """
    from ldm import profiles
    from ldm.tasks.pretrain import averaged

    print(averaged(profiles.get(profile), c, sigma, images, seed))


def shards(
    out: Positional[str], /, profile: str = "laptop-eps", n: int = 0, pictures: bool = False, folder: Path | None = None
) -> None:
    """Write training data as tar shards to a folder or an object store, going on where it stopped.

    The shards hold latents, or pictures.

    The profile's scenes, n of them, or the captioned pictures of a folder (with metadata.jsonl or metadata.csv).
    """
    from ldm import profiles
    from ldm.commands.checks import check_autoencoder, check_numbers
    from ldm.data import shard_writer
    from ldm.data.datasets import Folder
    from ldm.data.scenes.dataset import Scenes
    from ldm.tasks.pretrain import frozen_networks

    check_numbers(n=n)
    chosen = profiles.get(profile)
    if not pictures:
        check_autoencoder(chosen)
    data = (
        Folder(folder, chosen.scenes.size)
        if folder
        else Scenes(chosen.scenes, "train", n or chosen.data, level=chosen.level)
    )
    encode = shard_writer.pictures(data) if pictures else shard_writer.latents(data, *frozen_networks(chosen))
    print(shard_writer.write(out, len(data), *encode))


def part(name: Positional[Part], /, profile: str = "laptop-eps", images: int = 0) -> None:
    """Train a part that the study takes as given, resuming where it stopped, or measure the reference scenes."""
    from ldm import profiles
    from ldm.commands.checks import check_numbers

    check_numbers(images=images)
    chosen = profiles.get(profile)
    owner = max((one for one in profiles.PROFILES.values() if one.weights == chosen.weights), key=lambda one: one.data)
    if chosen.frozen_data < owner.frozen_data:
        raise ValueError(
            f"profile = {profile!r} stands on the parts of {owner.name}; train them by --profile {owner.name}."
        )
    if chosen.start and name not in ("autoencoder", "decoder"):
        raise ValueError(
            f"profile = {profile!r} shares its {name} with {chosen.start}; train that by --profile {chosen.start}."
        )
    if name == "reference":
        from ldm.study.scene_metrics import make_references

        if images:
            raise ValueError(f"The reference of profile {profile} is of {chosen.reference} scenes; leave out images.")
        make_references(chosen)
    elif name == "text":
        from ldm.tasks.frozen.text import train_text

        train_text(chosen, images)
    elif name == "detector":
        from ldm.tasks.frozen.detector import train_detector

        train_detector(chosen, images)
    else:
        from ldm.tasks.frozen import autoencoder

        {"autoencoder": autoencoder.train_autoencoder, "decoder": autoencoder.finish_decoder}[name](chosen, images)
