"""What there is for a GPU to do: commands, ordered by what they add to the evidence, and what they will take.

A machine that is at hand for minutes forgets what it has trained: a command says what it needs, and what is not there
is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ldm import paths
from ldm.networks import cost
from ldm.profiles import Profile
from ldm.study import superres as restore
from ldm.study.results import key
from ldm.tasks import finetuning, models, pairs
from ldm.tasks.distillation import methods
from ldm.tasks.frozen import autoencoder as frozen

SHARE = 0.25  # of the matrix rate that training and drawing are taken to reach, until finished commands have shown it
START = 0.5  # minutes of a command besides its networks: compilation, pictures to learn from
STEP = 10e-3 / 60  # minutes that a step of training takes at least, however small the network
CELL = 2 / 60  # minutes of judging the pictures of a cell
STATE = 22  # bytes a parameter: weights, their average, Adam's two moments, gradient, bfloat16 copy
ENCODED = 80_000  # images that the autoencoder is trained on
FOUR = (64, 128, 192, 320)  # the sizes that come first
FIRST = (2, 4, 8, 16)  # sampling steps that every size is asked first
RESTORED = (4, 8, 16)  # those of super-resolution, besides the usual


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one types after `python -m ldm`."""

    text: str
    why: str
    c: int | None = None
    gflops: float = 0.0  # of all its networks' evaluations
    minutes: float = START  # of all else
    needs: tuple[Task, ...] = ()  # what has to be made before
    made: Callable[[], bool] | None = None  # whether what it makes is there; without, a row tells that it is done
    memory: float = 0.0  # GB that a device has to have

    @property
    def key(self) -> str:
        return key(_Named(self.text))

    @property
    def kind(self) -> str:
        """What it is reckoned with: commands of a kind take as many times what was reckoned."""
        return self.text.split()[0]

    def reckoned(self, tflops: float) -> float:
        """Minutes that it takes where a matrix product runs at `tflops`."""
        return self.minutes + self.gflops / (SHARE * tflops * 1e3) / 60

    def first(self, there: Callable[[Task], bool]) -> list[Task]:
        """What has to be done before it, in order, and is not there."""
        found: dict[Task, None] = {}
        for task in self.needs:
            if not there(task):
                found |= dict.fromkeys([*task.first(there), task])
        return list(found)


@dataclass(frozen=True)
class _Named:
    command: str


def queue(profile: Profile) -> list[Task]:
    """All tasks of a profile, the one that adds most first.

    Four sizes of Table 1 come first, in all that is asked of sizes; then what is asked of their finetuned models and
    students, the other sizes, seeds, and the first steps of the largest. The smoke profile's family is such four.
    """
    four = [c for c in profile.family if c in FOUR] or list(profile.family)
    rest = [c for c in profile.family if c not in four and c <= max(FOUR)]
    large = [c for c in profile.family if c > max(FOUR)]
    return [
        *stands_on(profile),
        *(task for c in four for task in sampled(profile, c, FIRST)),
        *(task for make in (restored, taught) for c in four for task in make(profile, c)),
        *(task for c in four for task in more_steps(profile, c)),
        *(task for c in rest for task in sampled(profile, c, FIRST)),
        *(measured(profile, c, seed) for seed in (1, 2) for c in four),
        *(begun(profile, c) for c in large),
    ]


def stands_on(profile: Profile) -> list[Task]:
    """The frozen networks, and the reference of the metrics."""
    why = f"what the {profile.scenes.size} px models stand on"

    def part(
        name: str, made: Callable[[], bool], minutes: float, images: int = 0, needs: Collection[Task] = ()
    ) -> Task:
        text = f"part {name} --profile {profile.name}" + f" --images {images}" * (images > 0)
        return Task(text=text, why=why, minutes=minutes, needs=tuple(needs), made=made)

    folder = paths.WEIGHTS / profile.weights
    there = lambda name: (folder / f"{name}.safetensors").is_file
    text, detector = part("text", there("text"), 2), part("detector", there("detector"), 2.5)
    autoencoder = part(
        "autoencoder", lambda: frozen.seen(profile) >= ENCODED, 3, ENCODED
    )  # it is written before it is trained to the end
    decoder = part("decoder", lambda: frozen.finished(profile), 3, 60_000, [autoencoder])
    return [text, detector, autoencoder, decoder, part("reference", there("reference"), 2, needs=[detector])]


def gflops(profile: Profile, c: int, side: int = 0) -> float:
    """Of one evaluation on one picture, whose latents have the profile's side unless told otherwise."""
    return cost.unet_gflops(c, side or profile.latent_shape[0], profile.tokens, profile.context)


def trained(profile: Profile, c: int, seed: int = 0) -> Task:
    """A training up to the length where sizes are compared; without checkpoints: they grow to gigabytes, and the
    machine forgets.
    """
    text = f"pretrain --profile {profile.name} --c {c} --seed {seed} --images {profile.length} --no-checkpoints"
    return Task(
        text=text,
        why="training",
        c=c,
        gflops=cost.PASSES * gflops(profile, c) * profile.length,
        minutes=3 * START + STEP * profile.length / profile.train.batch,
        needs=tuple(stands_on(profile)),
        made=lambda: models.file_of(profile, c, profile.length, seed) is not None,
    )


def measured(profile: Profile, c: int, seed: int = 0) -> Task:
    """A training's models along the way, in the paper's one setting."""
    lengths = [length for length in profile.lengths if length <= profile.length]
    text = f"grid --study pretraining --profile {profile.name} --sizes {c} --seed {seed} --lengths {words(lengths)}"
    return Task(
        text=text,
        why=f"quality by compute, seed {seed}",
        c=c,
        gflops=len(lengths) * profile.n * 2 * 50 * gflops(profile, c),
        minutes=START + CELL * len(lengths),
        needs=(trained(profile, c, seed),),
    )


def drawn(
    profile: Profile, c: int, why: str, steps: Sequence[int], guidance: Sequence[float], sampler: str = "ddim"
) -> Task:
    """A part of the grid of steps and guidance."""
    text = (
        f"grid --profile {profile.name} --sizes {c} --steps {words(steps)} --guidance"
        f" {' '.join(f'{g:g}' for g in guidance)} --sampler {sampler}"
    )
    evaluations = profile.n * sum(steps) * sum(1 + (g != 1) for g in guidance)
    return Task(
        text=text,
        why=why,
        c=c,
        gflops=evaluations * gflops(profile, c),
        minutes=START + CELL * len(steps) * len(guidance),
        needs=(trained(profile, c),),
    )


def sampled(profile: Profile, c: int, steps: Sequence[int]) -> list[Task]:
    """A size along its training, by guidance and few steps, and by two more samplers."""
    known = [s for s in steps if s in profile.steps]
    two = [g for g in (2.0, 4.0) if g in profile.guidance] or list(profile.guidance[-1:])
    return [
        measured(profile, c),
        drawn(profile, c, "guidance and steps", known, profile.guidance),
        *(drawn(profile, c, "samplers", known[1:], two, sampler) for sampler in ("ddpm", "dpm++")),
    ]


def more_steps(profile: Profile, c: int) -> list[Task]:
    return [drawn(profile, c, "more steps", [s], profile.guidance) for s in profile.steps if s > max(FIRST)]


def restored(profile: Profile, c: int) -> list[Task]:
    """Finetuned for super-resolution, and judged along the way, then by fewer steps."""
    images, side = finetuning.LENGTHS[-1], pairs.latent_side(profile)
    finetuned = Task(
        text=f"superres --profile {profile.name} --c {c} --images {images} --no-checkpoints",
        why="training",
        c=c,
        gflops=cost.PASSES * gflops(profile, c, side) * images,
        minutes=4 * START + STEP * images / finetuning.CONFIG.batch,
        needs=(trained(profile, c),),
        made=lambda: models.file_of(profile, c, images, kind="superres") is not None,
    )

    def grid(why: str, name: str, values: Sequence[int], evaluations: int) -> Task:
        return Task(
            text=f"grid --study superres --profile {profile.name} --sizes {c} --{name} {words(values)}",
            why=why,
            c=c,
            gflops=restore.pictures(profile) * evaluations * gflops(profile, c, side),
            minutes=2 * START + CELL * len(values),
            needs=(finetuned,),
        )

    lengths = finetuning.LENGTHS[1:]
    return [
        grid("super-resolution by compute", "lengths", lengths, restore.USUAL * len(lengths)),
        grid("super-resolution by steps", "steps", RESTORED, sum(RESTORED)),
    ]


def taught(profile: Profile, c: int) -> list[Task]:
    """A consistent student, in few steps."""
    teaching = Task(
        text=f"distill codi --profile {profile.name} --c {c} --no-checkpoints",
        why="training",
        c=c,
        gflops=methods.passes("codi") * profile.distilled * gflops(profile, c),
        minutes=4 * START + 2 * STEP * profile.distilled / profile.train.batch,
        needs=(trained(profile, c),),
        made=lambda: models.file_of(profile, c, profile.distilled, kind="codi") is not None,
    )
    steps, guidance = (1, 2, 4, 8), [g for g in (2, 4) if profile.scales[0] <= g <= profile.scales[1]]
    text = (
        f"grid --study distillation --profile {profile.name} --kinds codi --sizes {c} --steps {words(steps)} --guidance"
        f" {words(guidance)}"
    )
    return [
        Task(
            text=text,
            why="students",
            c=c,
            gflops=profile.n * sum(steps) * len(guidance) * gflops(profile, c),
            minutes=START + CELL * len(steps) * len(guidance),
            needs=(teaching,),
        )
    ]


def begun(profile: Profile, c: int, steps: int = 60) -> Task:
    """The first steps of a size that is too large for more: its speed, its memory and its first loss."""
    images = steps * profile.train.batch
    return Task(
        text=f"pretrain --profile {profile.name} --c {c} --images {images} --no-checkpoints",
        why="speed, memory, first loss",
        c=c,
        gflops=cost.PASSES * gflops(profile, c) * images,
        minutes=3 * START,
        needs=tuple(stands_on(profile)),
        memory=1.2 * STATE * cost.unet_params(c, profile.context) / 1e9,
    )


def words(values: Sequence[int]) -> str:
    return " ".join(map(str, values))
