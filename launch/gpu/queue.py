"""What there is for a GPU to do: commands in the order of what they add, each with the minutes reckoned for it.

First the trainings of the laptop's own families, UNets and transformers, whose models come home; then their pictures;
then the paper's widths on the same scenes, and transformers that cost as much, or are of published shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ldm import profiles
from ldm.hashing import key
from ldm.networks import sizes
from ldm.networks.cost import PASSES
from ldm.profile import Profile
from ldm.study import scene_metrics
from ldm.tasks import models, register, superres_recipe
from ldm.training.config import TrainConfig

SETUP = 0.6  # minutes until the first step: a process, the scenes drawn by all cores and encoded
COMPILE, LANES = 40 / 60, 2  # minutes of compiling a program, and how many are compiled at once
FIRST = 0.05  # minutes that a command takes besides: reading and writing models
STEP = 8e-3  # seconds that a step of training takes at least, however small the network
CELL = 0.7  # seconds of judging a cell's pictures
FULL, HALF = 20.0, 120.0  # TFLOP/s that are counted on, in float32 and in bfloat16
SMALL, LARGE = (8, 16, 24, 32, 48, 64), (128, 320, 64, 192, 96, 256)  # of UNets, in order
TRANSFORMERS, WIDE = (48, 72, 120, 96, 144, 168), (288, 384, 168, 504, 240, 432)  # of transformers
BOTH = 128  # up to this width both settings train at once: beyond, one alone fills a card


@dataclass(frozen=True, kw_only=True)
class Training:
    """Trainings side by side (`python -m ldm together`)."""

    c: int
    names: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    lengths: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The command that trains it, as typed after `python -m ldm`."""
        lengths = f" --lengths {words(self.lengths)}" * bool(self.lengths)
        return f"together --c {self.c} --profiles {words(self.names)} --seeds {words(self.seeds)}{lengths}"

    def made(self) -> bool:
        """Return whether its models are there: the laptop's here or registered, others on this machine."""
        there = register.is_known if self.names[0].startswith("laptop") else models.file_of
        return all(
            there(profile, self.c, profile.train.images, seed)
            for profile in map(profiles.get, self.names)
            for seed in self.seeds
        )


@dataclass(frozen=True, kw_only=True)
class Command:
    """What one types after `python -m ldm`."""

    text: str
    why: str
    minutes: float
    c: int | None = None
    training: Training | None = None  # of which it is the command
    programs: tuple[tuple, ...] = ()  # that it runs, as `launch.gpu.compute.begun` takes them
    needs: Command | None = None  # what makes the model that it asks
    made: Callable[[], bool] | None = None  # whether what it makes is there; without, a row tells that it is done

    @property
    def key(self) -> str:
        """The key of the row that says the command is done."""
        return key(_Named(self.text))


@dataclass(frozen=True)
class _Named:
    command: str


def queue(
    small: Sequence[int] = SMALL,
    large: Sequence[int] = LARGE,
    seeds: Sequence[int] = (0, 1, 2),
    transformers: Sequence[int] = TRANSFORMERS,
    wide: Sequence[int] = WIDE,
    published: Sequence[int] = profiles.get("gpu-dit-published").family,
) -> list[Command]:
    """Return all commands, the one that adds most first."""
    both, first = ("laptop-eps", "laptop-v"), [c for c in large if c <= 128 and c != 96]
    own = {c: trained("the laptop's models", c, both, tuple(seeds)) for c in small}
    tokens = {c: trained("the laptop's transformers", c, ("laptop-dit",), tuple(seeds)) for c in transformers}
    costly = {c: trained("transformers of the paper's costs", c, ("gpu-dit",)) for c in wide}
    shaped = {c: trained("transformers as published", c, ("gpu-dit-published",)) for c in published}
    larger = {c: trained("the same on 16x16 latents", c, ("gpu-dit-published-64",)) for c in published}
    paper = {}
    for c in large:
        names = ("gpu-eps", "gpu-v") if c <= BOTH else ("gpu-eps",)
        paper[c] = trained("the paper's widths", c, names, lengths=() if c <= BOTH else (160_000, 640_000, 1_280_000))
    return [
        reference(),
        *(
            command
            for c in small
            for command in (own[c], *(held_out(own[c], name, c, seed) for seed in seeds for name in both))
        ),
        *(
            command
            for c in transformers
            for command in (tokens[c], *(held_out(tokens[c], "laptop-dit", c, seed) for seed in seeds))
        ),
        *(command for seed in seeds for c in small for name in both for command in pictures(own[c], name, c, seed)),
        *(command for seed in seeds for c in transformers for command in pictures(tokens[c], "laptop-dit", c, seed)),
        *(command for c in large for command in (paper[c], *measured(paper[c], "gpu-eps", c))),
        *(command for c in wide for command in (costly[c], *measured(costly[c], "gpu-dit", c))),
        *(command for c in published for command in (shaped[c], *measured(shaped[c], "gpu-dit-published", c))),
        *(command for c in published for command in (larger[c], held_out(larger[c], "gpu-dit-published-64", c))),
        *(command for c in first for command in measured(paper[c], "gpu-v", c)),
        *(
            drawn(paper[c], "samplers", "gpu-eps", c, level="some", more=f" --sampler {sampler}", steps=(4, 8, 16))
            for c in first
            for sampler in ("ddpm", "dpm++")
        ),
        *(command for c in first for command in (*restored(paper[c], "gpu-64", c), *taught(paper[c], "gpu-eps", c))),
    ]


def reference() -> Command:
    """Return the command that makes the statistics of real scenes, from which distances are measured."""
    profile = profiles.get("laptop-eps")
    return Command(
        text=f"part reference --profile {profile.name}",
        why="what distances are measured from",
        minutes=1,
        made=lambda: _readable(profile),
    )


def _readable(profile: Profile) -> bool:
    try:
        scene_metrics.load_metrics(profile)
    except (ValueError, OSError):
        return False
    return True


def gflops(name: str, c: int) -> float:
    """Return the GFLOPs of one evaluation on one picture."""
    profile = profiles.get(name)
    return sizes.gflops(profile.network, c, profile.latent_shape[0], profile.tokens, profile.context)


def minutes(name: str, work: float, seconds: float = 0.0) -> float:
    """Return the minutes that so many GFLOPs take in the profile's arithmetic, with the seconds that pass besides."""
    return round(FIRST + (work / _rate(profiles.get(name).train) / 1e3 + seconds) / 60, 2)


def trained(
    why: str, c: int, names: tuple[str, ...], seeds: tuple[int, ...] = (0,), lengths: tuple[int, ...] = ()
) -> Command:
    """Return the command of trainings of one width; those of several seeds and settings side by side."""
    train = profiles.get(names[0]).train
    lengths = tuple(n for n in lengths if n in profiles.get(names[0]).lengths)
    training = Training(c=c, names=names, seeds=seeds, lengths=lengths)
    step = max(STEP, len(names) * len(seeds) * train.batch * PASSES * gflops(names[0], c) / _rate(train) / 1e3)
    return Command(
        text=training.text,
        why=why,
        c=c,
        minutes=round(FIRST + train.steps * step / 60, 2),
        training=training,
        programs=(("training", c, names, seeds),),
        made=training.made,
    )


def _rate(train: TrainConfig) -> float:
    return HALF if train.bf16 else FULL


def held_out(needs: Command, name: str, c: int, seed: int = 0) -> Command:
    """Return the command that measures the held-out loss of a training's models."""
    lengths = words(needs.training.lengths or profiles.get(name).lengths)
    return Command(
        text=f"grid --study denoising --profile {name} --sizes {c} --seed {seed} --lengths {lengths}",
        why="held-out loss",
        c=c,
        minutes=minutes(name, 0, 4),
        programs=(("grid", "denoising", name, c, 0),),
        needs=needs,
    )


def measured(needs: Command, name: str, c: int) -> list[Command]:
    """Return what is asked of a training: its held-out loss, and its pictures."""
    return [held_out(needs, name, c), *pictures(needs, name, c)]


def pictures(needs: Command, name: str, c: int, seed: int = 0) -> list[Command]:
    """Return the profile's grid of steps and guidance at three levels of captions, and quality along the training.

    The grid is the profile's own, since a training that lacks a setting of the others is not pooled with them
    (`ldm.study.recorded.whole_trainings`). Where captions say nothing there is nothing to be guided towards.
    """
    profile = profiles.get(name)
    kept = [n for n in needs.training.lengths or profile.lengths if n <= profile.length]
    grid = lambda level, **chosen: drawn(needs, f"steps and guidance, {level}", name, c, seed, level=level, **chosen)
    some, all_, nothing = grid("some"), grid("all"), grid("nothing", guidance=(1.0,))
    along = Command(
        text=f"grid --study pretraining --profile {name} --sizes {c} --seed {seed} --lengths {words(kept)}"
        f" --n {profile.n}",
        why="quality by compute",
        c=c,
        minutes=minutes(name, len(kept) * profile.n * 100 * gflops(name, c), CELL * len(kept)),
        programs=some.programs,
        needs=needs,
    )
    return [some, along, all_, nothing]


def drawn(
    needs: Command,
    why: str,
    name: str,
    c: int,
    seed: int = 0,
    *,
    level: str,
    more: str = "",
    steps: Sequence[int] = (),
    guidance: Sequence[float] = (),
) -> Command:
    """Return a grid of steps and guidance, the profile's own unless given."""
    profile = profiles.get(name)
    steps, guidance = steps or profile.steps, guidance or profile.guidance
    work = profile.n * sum(steps) * sum(1 + (g != 1) for g in guidance) * gflops(name, c)
    return Command(
        text=f"grid --profile {name} --sizes {c} --seed {seed} --level {level} --steps {words(steps)}"
        f" --guidance {words(guidance)} --n {profile.n}{more}",
        why=why,
        c=c,
        minutes=minutes(name, work, CELL * len(steps) * len(guidance)),
        programs=(("grid", "sampling", name, c, profile.n),),
        needs=needs,
    )


def restored(needs: Command, name: str, c: int) -> list[Command]:
    """Return the commands that train on at 64 px and finetune for super-resolution, and that judge what comes of it."""
    profile, common = profiles.get(name), f"--study superres --profile {name} --sizes {c}"
    longest = profile.finetuned
    large = Command(
        text=f"pretrain --profile {name} --c {c} --no-checkpoints",
        why="the size of pictures that are restored",
        c=c,
        minutes=2,
        needs=needs,
        made=lambda: models.file_of(profile, c, profile.length) is not None,
    )
    finetuned = Command(
        text=f"superres --profile {name} --c {c} --images {longest} --no-checkpoints",
        why="super-resolution",
        c=c,
        minutes=3,
        needs=large,
        made=lambda: models.file_of(profile, c, longest, kind="superres") is not None,
    )
    grids = (f"--lengths {words(superres_recipe.lengths(profile)[1:])}", "--steps 4 8 16 20")
    return [
        Command(text=f"grid {common} {asked}", why="super-resolution", c=c, minutes=2, needs=finetuned)
        for asked in grids
    ]


def taught(needs: Command, name: str, c: int) -> list[Command]:
    """Return the commands that make a consistency student, and judge it in few steps."""
    profile = profiles.get(name)
    student = Command(
        text=f"distill codi --profile {name} --c {c} --no-checkpoints",
        why="students",
        c=c,
        minutes=2,
        needs=needs,
        made=lambda: models.file_of(profile, c, profile.distilled, kind="codi") is not None,
    )
    text = f"grid --study distillation --profile {name} --kinds codi --sizes {c}"
    return [Command(text=text, why="students", c=c, minutes=3, needs=student)]


def words(values: Sequence[object]) -> str:
    """Return values as they are typed, with spaces between."""
    return " ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
