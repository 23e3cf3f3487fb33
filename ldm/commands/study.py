"""Commands that run the study: notebooks, grids of cells, races, plans for TPUs; and what gathers their results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

Positional = tyro.conf.Positional


def notebook(
    name: Positional[str],
    /,
    profile: str = "laptop",
    out: Path | None = None,
    p: Annotated[
        tyro.conf.UseAppendAction[list[tuple[str, str]]], tyro.conf.arg(metavar="NAME VALUE", aliases=["-p"])
    ] = [],  # noqa: B006
) -> None:
    """Execute a notebook, for instance 04_sampling, with parameters: -p steps 4,8 -p guidance 2,4."""
    from ldm.commands.notebook import execute, pairs
    from ldm.paths import ROOT

    path = execute(name, out or ROOT / "build" / "notebooks" / f"{name}.ipynb", pairs(p), profile)
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
    level: Literal["all", "some", "subject", "nothing"] = "all",
) -> None:
    """Run the missing cells of a study; what is not given is the profile's own. Kinds are those of distilled models.

    Level: how much of a scene the captions say that pictures are drawn from (sampling alone).

    Of superres: with lengths, every size at these; with steps, every size at these; with neither, the baselines.
    """
    from ldm.profiles import profile as named
    from ldm.study import grids
    from ldm.study.run import run

    scale = named(profile)
    sizes = sizes or scale.family
    given = dict(
        steps=steps,
        guidance=guidance,
        lengths=lengths,
        kinds=kinds,
        sampler=sampler,
        n=n or None,
        seed=seed,
        level=level,
    )
    cells, lab = grids.of(study, scale, sizes, **given)
    run(cells, lab=lab, title=f"{study}, sizes {', '.join(map(str, sizes))}")


def losses(
    profile: str = "laptop", sizes: tuple[int, ...] = (), lengths: tuple[int, ...] = (), n: int = 1024, seed: int = 0
) -> None:
    """Measure the held-out denoising loss of sizes along their training, by noise level."""
    from ldm.profiles import profile as named
    from ldm.study import denoising
    from ldm.study.run import run

    scale = named(profile)
    cells = denoising.grid(scale, sizes or scale.family, lengths, n=n, seed=seed)
    run(cells, lab=denoising.DenoisingEvaluator(scale), title="held-out loss")


def race(
    profile: str = "laptop",
    sizes: tuple[int, ...] = (),
    steps: tuple[int, ...] = (),
    guidance: tuple[float, ...] = (),
    sampler: str = "ddim",
    metric: str = "kid_effnet",
) -> None:
    """Find the best guidance of each size and step count with as few pictures as that takes."""
    from ldm.paths import ROOT
    from ldm.profiles import profile as named
    from ldm.study import racing, sampling
    from ldm.study.results import Store

    scale = named(profile)
    cells = sampling.sampling_grid(
        scale, sizes or scale.family, steps or scale.steps, guidance or scale.guidance, sampler=sampler
    )
    found = racing.races(
        cells, metric, store=Store(ROOT), lab=sampling.SamplingEvaluator(scale), stages=racing.stages(scale.n)
    )
    print(found.to_string(index=False))


def dreambooth(
    profile: str = "laptop",
    sizes: tuple[int, ...] = (),
    subjects: tuple[str, ...] = (),
    variants: tuple[str, ...] = ("prior", "no prior"),
    tuned: tuple[int, ...] = (50, 150),
    steps: int = 10,
    guidance: float = 2.0,
    n: int = 0,
) -> None:
    """Teach every size the subjects (emoji, or folders of your own pictures) and judge what it draws of them."""
    from ldm.profiles import profile as named
    from ldm.study import dreambooth as dreambooth_study
    from ldm.study.run import run
    from ldm.tasks.subjects import SUBJECTS

    scale = named(profile)
    n, sizes, subjects = n or dreambooth_study.pictures(scale), sizes or scale.family, subjects or SUBJECTS
    cells = dreambooth_study.grid(scale, sizes, subjects, variants, tuned, steps=steps, guidance=guidance, n=n)
    run(cells, lab=dreambooth_study.DreamBoothEvaluator(scale, tuned), title="dreambooth")


def browser(out: Path | None = None, sizes: tuple[int, ...] = ()) -> None:
    """Write the shipped models as ONNX with the sampler's tables, for the book's playground; only where they
    changed.
    """
    from ldm.files import check_folder
    from ldm.interop import browser as task

    out = out or task.FOLDER
    if out.exists():
        check_folder(out, "one to write the models to")
    print(task.write(out, sizes))


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
    from ldm.figures.roofline import table
    from ldm.study import tpu_plan as task
    from ldm.study.roofline import roofline

    plans = [
        task.Plan(size=name, topology=topology, batch=batch, fsdp=fsdp, accumulate=accumulate, remat=remat, level=level)
        for name in size or task.SIZES
    ]
    print(table(roofline(task.run(plans))).to_string(index=False))


def compact() -> None:
    """Merge the rows of runs/ into results/ and register the models behind them: the files to commit."""
    from ldm import paths
    from ldm.paths import ROOT
    from ldm.profiles import PROFILES
    from ldm.study.results import Store
    from ldm.tasks.models import record_models

    for scale in {scale.weights: scale for scale in PROFILES.values()}.values():
        if (paths.RUNS / scale.weights).is_dir():
            print(record_models(scale))
    for path in Store(ROOT).compact():
        print(path)
