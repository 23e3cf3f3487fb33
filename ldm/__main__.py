"""The command line: `python -m ldm COMMAND --help`. Thin: each command is one call into the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ldm.own_pictures import draw, gallery, upscale
from ldm.trainings import average, distill, part, pretrain, shards, superres

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

    Smoke: the same for the smoke profile's family, on a CPU. Tflops, of a plan: of a card that is not here.
    """
    from ldm import gpu_study as task
    from ldm.gpu_queue import queue
    from ldm.profiles import ROOT
    from ldm.profiles import profile as named
    from ldm.results import Store, installed_versions

    if tflops and not plan:
        raise ValueError(f"tflops = {tflops:g}: expected with --plan alone; a run goes by what this machine does.")
    if minutes <= 0:
        raise ValueError(f"minutes = {minutes:g}: expected a positive number; give the minutes that the machine is at hand.")
    store, device = Store(ROOT), task.preflight()
    print(f"{device.kind}: {device.tflops:.3g} bfloat16 TFLOP/s, {device.memory:.3g} GB; {installed_versions()}", flush=True)
    device = device._replace(tflops=tflops or device.tflops)
    scale = named(profile)
    tasks = queue(scale)
    print(task.table(task.plan(tasks, store, device, minutes, scale)), flush=True)
    if not plan:
        failed = task.run(tasks, call, minutes=minutes, out=out or ROOT / "runs" / "home", store=store, device=device, scale=scale)
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
