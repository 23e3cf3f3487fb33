"""What there is for a GPU to do: tasks of commands, ordered by what they add to the evidence, and what they will take.

A machine that is at hand for minutes forgets what it has trained, so a *task* trains a model and judges it in one go, by
commands that one would type after `python -m ldm`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ldm import cost, pretrain, restoration, superres
from ldm.distill import student
from ldm.profiles import RUNS, Profile, profile
from ldm.racing import stages
from ldm.results import key

SHARE = 0.25  # of the matrix rate that training and drawing are taken to reach, until finished tasks have shown it
START = 0.5  # minutes of a command besides its networks: compilation, pictures to learn from
STEP = 8e-3 / 60  # minutes that a step of training takes at least, however small the network
CELL = 2 / 60  # minutes of judging the pictures of a cell
STATE = 20  # bytes a parameter: weights, their average, Adam's two moments and the gradient
FOUR = (64, 128, 192, 320)


class Command(NamedTuple):
    """What one types after `python -m ldm`; gflops: of all its networks' evaluations; minutes: of all else."""

    text: str
    gflops: float = 0.0
    minutes: float = START
    made: Path | None = None  # it has nothing to do where this file is

    @property
    def is_made(self) -> bool:
        return self.made is not None and self.made.is_file()


@dataclass(frozen=True, kw_only=True)
class Task:
    """Commands that belong together, since the later ones need what the first one trains: a model of width `c`."""

    why: str
    scale: Profile
    commands: tuple[Command, ...]
    c: int | None = None
    needs: tuple[Task, ...] = ()  # those that make the frozen parts
    memory: float = 0.0  # GB that a device has to have

    @property
    def name(self) -> str:
        return "; ".join(command.text for command in self.commands)

    @property
    def key(self) -> str:
        return key(_Named(self.name))

    @property
    def makes(self) -> set[Path]:
        return {command.made for command in self.commands if command.made}

    def minutes(self, tflops: float, pace: float = 1.0, made: Collection[Path] = ()) -> float:
        """How long it takes where a matrix product runs at `tflops`, if tasks take `pace` times what is reckoned.

        made: files that will be there by then, besides those that are.
        """
        left = [command for command in self.commands if not (command.made in made or command.is_made)]
        return pace * sum(command.minutes + command.gflops / (SHARE * tflops * 1e3) / 60 for command in left)


@dataclass(frozen=True)
class _Named:
    commands: str


def queue(smoke: bool = False) -> list[Task]:
    """All tasks, the one that adds most first; or, for a trial on a CPU, those of the smoke profile."""
    if smoke:
        return mini_tasks(profile("smoke"))
    return mini_tasks(profile("laptop")) + large_tasks(profile("gpu"))


def mini_tasks(scale: Profile) -> list[Task]:
    """The family that ships, by two more seeds: how much of what the book says hangs on one training."""
    return [
        Task(why=f"the mini family by seed {seed}", scale=scale, c=c, commands=(
            trained(scale, c, seed), judged(scale, c, seed), drawn(scale, c, (1, 2, 4, 8, 16), (1.0, 1.5, 2.0, 3.0), seed),
        ))
        for seed in (1, 2) for c in scale.family
    ]  # fmt: skip


def large_tasks(scale: Profile) -> list[Task]:
    """Sizes of Table 1: what they stand on, quality by compute, by guidance and steps, the other sections, seeds."""
    rest = [c for c in scale.family if c not in FOUR and c <= max(FOUR)]
    stand = partial(Task, why=f"what the {scale.scenes.size} px models stand on", scale=scale)
    text, detector, autoencoder = (
        stand(commands=commands) for commands in (
            (part(scale, "text", 3),), (part(scale, "detector", 3),),
            (part(scale, "autoencoder", 4, 120_000), part(scale, "decoder", 3, 60_000)),  # an unfinished decoder is of no use
        )
    )  # fmt: skip
    reference = stand(commands=(part(scale, "reference", 2),), needs=(detector,))
    task = partial(Task, scale=scale, needs=(text, detector, autoencoder, reference))

    def learning(c: int, seed: int = 0) -> Task:
        why = f"quality by compute at {scale.scenes.size} px, seed {seed}"
        return task(why=why, c=c, commands=(trained(scale, c, seed), judged(scale, c, seed)))

    def guided(c: int) -> list[Task]:
        """Races; of a large size in more parts, and without one in 32 steps, where a few guidance values are drawn instead."""
        spans = [raced(scale, c, steps) for steps in ([(4, 8, 16), (32,)] if c < 256 else [(4, 8), (16,)])]
        more = [drawn(scale, c, (32,), (2.0, 3.0, 4.0))] if c >= 256 else []
        return [task(why="guidance and steps", c=c, commands=(trained(scale, c), span)) for span in spans + more]

    return [
        text, detector, autoencoder, reference,
        *(one for sizes in (FOUR, rest) for c in sizes for one in (learning(c), *guided(c))),
        *(task(why="super-resolution", c=c, commands=(trained(scale, c), restored(scale, c), restoring(scale, c))) for c in FOUR),
        *(task(why="students", c=c, commands=(trained(scale, c), taught(scale, c), studied(scale, c))) for c in FOUR),
        *(
            task(why=sampler, c=c, commands=(trained(scale, c), drawn(scale, c, (4, 8, 16), (2.0, 4.0), sampler=sampler)))
            for sampler in ("ddpm", "dpm++") for c in FOUR
        ),
        *(learning(c, seed) for seed in (1, 2) for c in FOUR),
        *(
            task(why="speed, memory, first loss", c=c, commands=(trained(scale, c, images=60 * scale.train.batch),),
                 memory=1.3 * STATE * cost.unet_params(c, scale.context) / 1e9)
            for c in scale.family if c > max(FOUR)
        ),
    ]  # fmt: skip


def part(scale: Profile, name: str, minutes: float, images: int = 0) -> Command:
    """One of the frozen parts, or the reference."""
    return Command(f"part {name} --profile {scale.name}" + f" --images {images}" * (images > 0), minutes=minutes)


def gflops(scale: Profile, c: int, side: int = 0) -> float:
    """Of one evaluation on one picture, whose latents have the profile's side unless told otherwise."""
    return cost.unet_gflops(c, side or scale.latent_shape[0], scale.tokens, scale.context)


def trained(scale: Profile, c: int, seed: int = 0, images: int = 0) -> Command:
    """A training up to the length where sizes are compared, or to so many images.

    Without checkpoints from c = 64 on: they grow to many gigabytes, and the machine forgets them.
    """
    images = images or scale.length
    text = f"pretrain --profile {scale.name} --c {c} --seed {seed} --images {images}" + " --no-checkpoints" * (c >= min(FOUR))
    minutes = 3 * START + STEP * images / scale.train.batch
    return Command(text, cost.PASSES * gflops(scale, c) * images, minutes, pretrain.path_of(scale, c, images, seed, RUNS))


def judged(scale: Profile, c: int, seed: int = 0) -> Command:
    """Its models along the way, in the paper's one setting."""
    lengths = [length for length in scale.lengths if length <= scale.length]
    text = f"grid --study pretraining --profile {scale.name} --sizes {c} --seed {seed} --lengths {' '.join(map(str, lengths))}"
    return Command(text, len(lengths) * scale.n * 2 * 50 * gflops(scale, c), START + CELL * len(lengths))


def drawn(
    scale: Profile, c: int, steps: Sequence[int], guidance: Sequence[float], seed: int = 0, sampler: str = "ddim"
) -> Command:
    listed = " ".join(map(str, steps)), " ".join(f"{g:g}" for g in guidance)
    text = f"grid --profile {scale.name} --sizes {c} --steps {listed[0]} --guidance {listed[1]} --seed {seed} --sampler {sampler}"
    evaluations = scale.n * sum(steps) * sum(1 + (g != 1) for g in guidance)
    return Command(text, evaluations * gflops(scale, c), START + CELL * len(steps) * len(guidance))


def raced(scale: Profile, c: int, steps: Sequence[int]) -> Command:
    """All guidance values, pictures going to those that may be the best: half of them are taken to fall at each stage."""
    pictures = sum(len(scale.guidance) * n / 2**i for i, n in enumerate(stages(scale.n)))
    text = f"race --profile {scale.name} --sizes {c} --steps {' '.join(map(str, steps))} --metric kid_scene"
    return Command(text, pictures * 2 * sum(steps) * gflops(scale, c), START + 2 * CELL * len(steps) * len(scale.guidance))


def restored(scale: Profile, c: int) -> Command:
    images = superres.LENGTHS[-2]
    text = f"superres --profile {scale.name} --c {c} --images {images}"
    return Command(text, cost.PASSES * gflops(scale, c, superres.latent_side(scale)) * images, 3 * START)


def restoring(scale: Profile, c: int) -> Command:
    """At two lengths of finetuning, in the paper's one way."""
    lengths = superres.LENGTHS[1:-1]
    text = f"grid --study superres --profile {scale.name} --sizes {c} --lengths {' '.join(map(str, lengths))}"
    pictures = len(lengths) * restoration.pictures(scale) * restoration.USUAL
    return Command(text, pictures * gflops(scale, c, superres.latent_side(scale)), START + CELL * len(lengths))


def taught(scale: Profile, c: int) -> Command:
    return Command(f"distill codi --profile {scale.name} --c {c}", student.passes("codi") * scale.distilled * gflops(scale, c), 3 * START)


def studied(scale: Profile, c: int) -> Command:
    text = f"grid --study distillation --profile {scale.name} --kinds codi --sizes {c} --steps 1 2 4 8 --guidance 2 4"
    return Command(text, scale.n * 2 * 15 * gflops(scale, c), START + CELL * 8)
