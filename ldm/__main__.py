"""The command line: `python -m ldm COMMAND --help`. Thin: each command is one call into the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ldm.own_pictures import draw, gallery, upscale

Part = Literal["text", "detector", "autoencoder", "decoder", "reference"]
Positional = tyro.conf.Positional


def notebook(
    name: Positional[str],
    /,
    profile: str = "laptop",
    out: Path | None = None,
    p: Annotated[tyro.conf.UseAppendAction[list[tuple[str, str]]], tyro.conf.arg(metavar="NAME VALUE", aliases=["-p"])] = [],  # noqa: B006
) -> None:
    """Execute a notebook, for instance 04_sampling, with parameters: -p steps 4,8 -p guidance 2,4."""
    from ldm.notebook import ROOT, execute

    path = execute(name, out or ROOT / "build" / "notebooks" / f"{name}.ipynb", dict(p), profile)
    print(path)


def pretrain(
    c: int, profile: str = "laptop", seed: int = 0, images: int = 0, data: str = "", devices: int = 1, fsdp: int = 1, bf16: bool = False,
    accumulate: int = 1, remat: bool = False, coordinator: str = "", processes: int = 1, process: int = 0, snapshots: int = 0,
    checkpoints: bool = True,
) -> None:  # fmt: skip
    """Train one size of the family, resuming where it stopped; models go to runs/.

    Data: a folder of shards (see the command shards) in place of the profile's scenes, or its address, such as s3://bucket/folder.
    On several devices (0: all), groups of fsdp of which share one state; in bfloat16; over a batch in so many parts;
    computing blocks again to save memory; as one of several processes (coordinator auto on a known cluster).
    Snapshots: so many over the run, from which the command average makes models. Without checkpoints, it cannot resume.
    """
    from dataclasses import replace

    import jax

    from ldm import parallel, report
    from ldm import pretrain as task
    from ldm.profiles import ROOT
    from ldm.profiles import profile as named
    from ldm.results import Store, key

    layout = parallel.chosen(devices, fsdp, coordinator, processes, process)
    scale = named(profile)
    _, text = task.frozen_parts(scale)
    config = replace(
        scale.train, images=images or scale.train.images, seed=seed, bf16=bf16 or scale.train.bf16, accumulate=accumulate
    )
    source, root = task.shard_set(scale, data) if data else (task.training_set(scale), task.RUNS)
    laps: list[dict] = []
    task.pretrain(
        scale, c, data=source, null=text.null(1)[0], config=config, seed=seed, root=root, layout=layout, remat=remat,
        snapshots=snapshots, checkpoints=checkpoints, on_log=laps.append,
    )  # fmt: skip
    training = report.Training.here(scale, c, config, layout, remat, data)
    if jax.process_index() == 0 and (rows := report.rows(training, scale, laps)):
        Store(ROOT).write(key(training), rows)


def average(c: int, sigma: float = 0.1, images: int = 0, profile: str = "laptop", seed: int = 0) -> None:
    """Make a model whose weights are averaged over a share sigma of a training that kept snapshots (pretrain --snapshots)."""
    from ldm import pretrain as task
    from ldm.profiles import profile as named

    print(task.averaged(named(profile), c, sigma, images, seed))


def shards(
    out: Positional[str], /, profile: str = "laptop", n: int = 0, pictures: bool = False, folder: Path | None = None
) -> None:
    """Write training data as tar shards to a folder or an object store, going on where it stopped: latents, or pictures.

    The profile's scenes, n of them, or the captioned pictures of a folder (with metadata.jsonl or metadata.csv).
    """
    from ldm import pretrain as task
    from ldm import shards as tars
    from ldm.data import Folder
    from ldm.profiles import profile as named
    from ldm.scenes import Scenes

    scale = named(profile)
    data = Folder(folder, scale.scenes.size) if folder else Scenes(scale.scenes, "train", n or scale.data)
    encode = tars.pictures(data) if pictures else tars.latents(data, *task.frozen_parts(scale))
    print(tars.write(out, len(data), *encode))


def superres(
    c: int, profile: str = "laptop", kind: str = "superres", images: int = 0, folder: Path | None = None, devices: int = 1, fsdp: int = 1
) -> None:
    """Finetune one size for super-resolution (or train a control: superres-scratch, superres-regression), resuming.

    Folder: of PNG, JPEG or WebP pictures to learn from in place of scenes, cut at random places. Devices: as of pretrain.
    """
    from dataclasses import replace

    from ldm import parallel
    from ldm import pretrain as pretraining
    from ldm import superres as task
    from ldm.profiles import RUNS
    from ldm.profiles import profile as named

    scale = named(profile)
    task.check_kind(kind)
    config = replace(task.CONFIG, images=images or task.CONFIG.images)
    lengths = task.lengths_of(config.images)
    pairs = task.photographs(scale, folder) if folder else task.scenes(scale, "train", task.DATA)
    root = task.folder_of(pairs, folder) if folder else RUNS
    codec, text = pretraining.frozen_parts(scale)
    task.finetune(
        scale, c, data=task.latent_pairs(pairs, codec), null=text.null(1)[0], kind=kind, config=config, lengths=lengths, root=root,
        layout=parallel.chosen(devices, fsdp),
    )  # fmt: skip
    print(pretraining.path_of(scale, c, config.images, root=root, kind=kind))


def distill(
    method: Positional[Literal["codi", "lcm", "guided", "continued"]], /, c: int, profile: str = "laptop", images: int = 0, seed: int = 0,
    devices: int = 1, fsdp: int = 1,
) -> None:  # fmt: skip
    """Distill one size by a method (continued: train its teacher on instead), resuming where it stopped. Devices: as of pretrain."""
    from ldm import parallel
    from ldm import pretrain as task
    from ldm.distill import student
    from ldm.profiles import profile as named

    scale = named(profile)
    _, text = task.frozen_parts(scale)
    for path in student.distill(
        scale, method, c, images=images or student.images_of(scale, method), data=task.training_set(scale), null=text.null(1)[0], seed=seed,
        layout=parallel.chosen(devices, fsdp),
    ):  # fmt: skip
        print(path)


def part(name: Positional[Part], /, profile: str = "laptop", images: int = 0) -> None:
    """Train a part that the study takes as given, resuming where it stopped, or measure the reference scenes."""
    from ldm.profiles import profile as named

    scale = named(profile)
    if name == "reference":
        from ldm.judges import make_references

        if images:
            raise ValueError(f"The reference of profile {profile} is of {scale.reference} scenes; leave out images.")
        make_references(scale)
    elif name == "text":
        from ldm.scene_clip import train_text

        train_text(scale, images)
    elif name == "detector":
        from ldm.scene_detector import train_detector

        train_detector(scale, images)
    else:
        from ldm import parts

        {"autoencoder": parts.train_autoencoder, "decoder": parts.finish_decoder}[name](scale, images)


def grid(
    profile: str = "laptop",
    study: Literal["pretraining", "sampling", "superres", "distillation"] = "sampling",
    sizes: tuple[int, ...] = (),
    steps: tuple[int, ...] = (),
    guidance: tuple[float, ...] = (),
    lengths: tuple[int, ...] = (),
    kinds: tuple[str, ...] = ("codi", "lcm"),
    sampler: str = "ddim",
    n: int = 0,
    seed: int = 0,
) -> None:
    """Run the missing cells of a study; what is not given is the profile's own. Kinds are those of distilled models.

    Of superres: with lengths, every size at these; with steps, every size at these; with neither, the baselines.
    """
    from ldm import grids
    from ldm import study as studies
    from ldm.profiles import profile as named

    scale = named(profile)
    sizes = sizes or scale.family
    given = dict(steps=steps, guidance=guidance, lengths=lengths, kinds=kinds, sampler=sampler, n=n or None, seed=seed)
    cells, lab = grids.of(study, scale, sizes, **given)
    studies.run(cells, lab=lab, title=f"{study}, sizes {', '.join(map(str, sizes))}")


def race(
    profile: str = "laptop", sizes: tuple[int, ...] = (), steps: tuple[int, ...] = (), guidance: tuple[float, ...] = (),
    sampler: str = "ddim", metric: str = "kid_effnet",
) -> None:  # fmt: skip
    """Find the best guidance of each size and step count with as few pictures as that takes."""
    from ldm import racing, study
    from ldm.profiles import ROOT
    from ldm.profiles import profile as named
    from ldm.results import Store

    scale = named(profile)
    cells = study.sampling_grid(
        scale, sizes or scale.family, steps or scale.steps, guidance or scale.guidance, sampler=sampler
    )
    found = racing.races(cells, metric, store=Store(ROOT), lab=study.Laboratory(scale), stages=racing.stages(scale.n))
    print(found.to_string(index=False))


def dreambooth(
    profile: str = "laptop", sizes: tuple[int, ...] = (), subjects: tuple[str, ...] = (), variants: tuple[str, ...] = ("prior", "no prior"),
    tuned: tuple[int, ...] = (50, 150), steps: int = 10, guidance: float = 2.0, n: int = 0,
) -> None:  # fmt: skip
    """Teach every size the subjects (emoji, or folders of your own pictures) and judge what it draws of them."""
    from ldm import dreambooth as task
    from ldm import study
    from ldm.profiles import profile as named
    from ldm.subjects import SUBJECTS

    scale = named(profile)
    n, sizes, subjects = n or task.pictures(scale), sizes or scale.family, subjects or SUBJECTS
    cells = task.grid(scale, sizes, subjects, variants, tuned, steps=steps, guidance=guidance, n=n)
    study.run(cells, lab=task.Booth(scale, tuned), title="dreambooth")


def browser(out: Path | None = None, sizes: tuple[int, ...] = ()) -> None:
    """Write the shipped models as ONNX with the sampler's tables, for the book's playground; only where they changed."""
    from ldm import browser as task

    print(task.write(out or task.FOLDER, sizes))


def plan(
    size: tuple[str, ...] = (),
    topology: str = "v5e:16x16",
    batch: int = 2048,
    fsdp: int = 0,
    accumulate: int = 1,
    remat: bool = True,
    level: Literal["O0", "O1", "O2", "O3"] = "O0",
) -> None:
    """Compile the paper's training of sizes of Table 1 (866M; none: all) for a slice of TPUs that need not be there."""
    from ldm import plan as task
    from ldm.roofline import roofline, table

    plans = [
        task.Plan(size=name, topology=topology, batch=batch, fsdp=fsdp, accumulate=accumulate, remat=remat, level=level)
        for name in size or task.SIZES
    ]
    print(table(roofline(task.run(plans))).to_string(index=False))


def compact() -> None:
    """Merge the rows of runs/ into results/ and register the models behind them: the files to commit."""
    from ldm.pretrain import record_models
    from ldm.profiles import PROFILES, ROOT, RUNS
    from ldm.results import Store

    for scale in {scale.weights: scale for scale in PROFILES.values()}.values():
        if (RUNS / scale.weights).is_dir():
            print(record_models(scale))
    for path in Store(ROOT).compact():
        print(path)


def gpu_study(
    minutes: float = 9.0, profile: Literal["gpu", "smoke"] = "gpu", plan: bool = False, tflops: float = 0.0, out: Path | None = None
) -> None:
    """Do of the queue for a GPU what fits into the minutes, packing what has to come home into OUT; with --plan, only list it.

    Smoke: the same for the smoke profile's own models, on a CPU. Tflops, of a plan: of a card that is not here.
    """
    from ldm import gpu_study as task
    from ldm.gpu_queue import queue
    from ldm.profiles import ROOT
    from ldm.results import Store, installed_versions

    if tflops and not plan:
        raise ValueError(f"tflops = {tflops:g}: expected with --plan alone; a run goes by what this machine does.")
    if minutes <= 0:
        raise ValueError(f"minutes = {minutes:g}: expected a positive number; give the minutes that the machine is at hand.")
    store, device = Store(ROOT), task.preflight()
    print(f"{device.kind}: {device.tflops:.3g} bfloat16 TFLOP/s, {device.memory:.3g} GB; {installed_versions()}", flush=True)
    device = device._replace(tflops=tflops or device.tflops)
    tasks = queue(smoke=profile == "smoke")
    print(task.table(task.plan(tasks, store, device, minutes)), flush=True)
    if not plan:
        failed = task.run(tasks, call, minutes=minutes, out=out or ROOT / "runs" / "home", store=store, device=device)
        if failed:
            raise RuntimeError(f"{len(failed)} of the tasks failed: " + " | ".join(failed))


COMMANDS = (
    notebook, pretrain, average, shards, superres, distill, dreambooth, part, grid, race, draw, upscale, gallery, browser, plan,
    compact, gpu_study,
)  # fmt: skip


def call(words: list[str] | None = None) -> None:
    """Do what the words ask for; without any, what was typed."""
    commands = {command.__name__.replace("_", "-"): command for command in COMMANDS}
    tyro.extras.subcommand_cli_from_dict(commands, args=words, prog="python -m ldm")


def main() -> None:
    try:
        call()
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted; run the same command again to go on from here.")


if __name__ == "__main__":
    main()
