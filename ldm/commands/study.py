"""Commands that run the study: notebooks, grids of cells, races, plans for TPUs; and what gathers their results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import tyro

from ldm.data.scenes.captions import Level

if TYPE_CHECKING:
    from ldm.tasks.dreambooth_recipe import Variant

Positional = tyro.conf.Positional


def notebook(
    name: Positional[str],
    /,
    profile: str = "laptop-eps",
    out: Path | None = None,
    p: Annotated[
        tyro.conf.UseAppendAction[list[tuple[str, str]]], tyro.conf.arg(metavar="NAME VALUE", aliases=["-p"])
    ] = [],  # noqa: B006
) -> None:
    """Execute a notebook, for instance 04_sampling, with parameters: -p steps 4,8 -p guidance 2,4.

    What it found is printed at the end. out: a file, or the folder of a build's notebooks, where other parameters give
    a file beside the chapter; recorded cells are run again only with -p recompute.
    """
    from ldm.commands.notebook import execute, pairs
    from ldm.commands.summary import summary
    from ldm.paths import ROOT

    print(summary(execute(name, out or ROOT / "build" / profile / "notebooks", pairs(p), profile)))


def grid(
    profile: str = "laptop-eps",
    study: Literal["pretraining", "denoising", "sampling", "superres", "distillation"] = "sampling",
    sizes: tuple[int, ...] = (),
    steps: tuple[int, ...] = (),
    guidance: tuple[float, ...] = (),
    lengths: tuple[int, ...] = (),
    kinds: tuple[str, ...] = ("codi", "lcm"),
    sampler: str = "ddim",
    n: int = 0,
    seed: int = 0,
    level: Level | None = None,
) -> None:
    """Run the missing cells of a study; what is not given is the profile's own. Kinds are those of distilled models.

    Of superres: with lengths, every size at these; with steps, every size at these; with neither, the baselines.
    """
    from ldm import profiles
    from ldm.study import grids
    from ldm.study.run import run

    chosen = profiles.get(profile)
    chosen = profiles.downstream(chosen) if study == "superres" else chosen
    sizes = sizes or chosen.family
    cells, evaluator = grids.cells_of(
        study,
        chosen,
        sizes,
        steps=steps,
        guidance=guidance,
        lengths=lengths,
        kinds=kinds,
        sampler=sampler,
        n=n or None,
        seed=seed,
        level=level,
    )
    run(cells, evaluator=evaluator, title=f"{study}, sizes {', '.join(map(str, sizes))}")


def race(
    profile: str = "laptop-eps",
    sizes: tuple[int, ...] = (),
    steps: tuple[int, ...] = (),
    guidance: tuple[float, ...] = (),
    sampler: str = "ddim",
    metric: str = "kid_effnet",
) -> None:
    """Find the best guidance of each size and step count with as few pictures as that takes."""
    from ldm import profiles
    from ldm.paths import ROOT
    from ldm.study import racing, sampling
    from ldm.study.results import Store

    chosen = profiles.get(profile)
    cells = sampling.sampling_grid(
        chosen, sizes or chosen.family, steps or chosen.steps, guidance or chosen.guidance, sampler=sampler
    )
    found = racing.races(
        cells, metric, store=Store(ROOT), evaluator=sampling.SamplingEvaluator(chosen), stages=racing.stages(chosen.n)
    )
    print(found.to_string(index=False))


def dreambooth(
    profile: str = "laptop-eps",
    sizes: tuple[int, ...] = (),
    subjects: tuple[str, ...] = (),
    variants: tuple[str, ...] = ("prior", "no prior", "prior and word"),
    tuned: tuple[int, ...] = (100, 400),
    steps: int = 16,
    guidance: float = 2.0,
    n: int = 0,
    seed: int = 0,
) -> None:
    """Teach every size the subjects (emoji, or folders of your own pictures) and judge what it draws of them."""
    from ldm import profiles
    from ldm.study import dreambooth as dreambooth_study
    from ldm.study.run import run
    from ldm.tasks import register
    from ldm.tasks.subjects import asked

    chosen = profiles.get(profile)
    sizes, subjects = sizes or register.trained_sizes(chosen, seed), subjects or asked(chosen)
    cells = dreambooth_study.dreambooth_grid(
        chosen,
        sizes,
        subjects,
        cast("tuple[Variant, ...]", variants),
        tuned,
        steps=steps,
        guidance=guidance,
        n=n or dreambooth_study.pictures(chosen),
        seed=seed,
    )
    run(cells, evaluator=dreambooth_study.DreamBoothEvaluator(chosen, tuned), title="dreambooth")


def browser(out: Path | None = None, networks: tuple[str, ...] = ()) -> None:
    """Write the shipped models as ONNX with the sampler's tables, for the book's playground.

    They are written only where they changed. networks: by name, such as unet-c8 or dit-c48; all, unless given.
    """
    from ldm.files import check_folder
    from ldm.interop.browser import FOLDER, write

    out = out or FOLDER
    if out.exists():
        check_folder(out, "one to write the models to")
    print(write(out, networks))


def plan(
    size: tuple[str, ...] = (),
    topology: str = "v5e:16x16",
    batch: int = 2048,
    fsdp: int = 0,
    accumulate: int = 1,
    remat: bool = True,
    level: Literal["O0", "O1", "O2", "O3"] = "O0",
) -> None:
    """Compile the paper's training of sizes of Table 1 (866M; none: all) for a slice of TPUs that need not be there.

    Sizes besides: DiT-L/2 and DiT-XL/2, transformers of about as many parameters as the UNets 558M and 866M.
    """
    from ldm.figures.roofline import roofline_table
    from ldm.study import tpu_plan
    from ldm.study.roofline import roofline

    asked: dict[str, Any] = dict(
        topology=topology, batch=batch, fsdp=fsdp, accumulate=accumulate, remat=remat, level=level
    )
    trainings = [tpu_plan.TpuTraining(size=name, **asked) for name in size or tpu_plan.SIZES]
    print(roofline_table(roofline(tpu_plan.run(trainings))).to_string(index=False))


def compact() -> None:
    """Merge the rows of runs/ into results/ and register the models behind them: the files to commit."""
    from ldm import paths
    from ldm.paths import ROOT
    from ldm.profiles import PROFILES
    from ldm.study.results import Store
    from ldm.tasks.register import record_models

    for profile in {profile.weights: profile for profile in PROFILES.values()}.values():
        if (paths.RUNS / profile.weights).is_dir():
            print(record_models(profile))
    for path in Store(ROOT).compact():
        print(path)
