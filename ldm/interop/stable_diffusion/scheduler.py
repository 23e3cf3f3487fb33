"""The scheduler of a Stable Diffusion folder: the noise of training, and how `diffusers` steps from it to a picture.

A scheduler of `diffusers` is one of our tables (`ldm.diffusion.solvers`) on times of its own. Where there is no table
for it, or a field asks for something else than the table does, DDIM takes its place with what the file says, as
`diffusers.DDIMScheduler.from_config` would, and `instead` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from ldm.diffusion import solvers
from ldm.diffusion.plan import Plan
from ldm.diffusion.sampler import Clip
from ldm.diffusion.schedule import Predict, Schedule, Spacing
from ldm.interop.stable_diffusion.files import naming, quoted, read_config, write_config

Betas = Literal["scaled_linear", "linear"]
PREDICT: dict[str, Predict] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
# Fields that give a sampler other noise levels than those of the training times.
SPACINGS = ("trailing", "leading", "linspace")  # those that diffusers has by this name
LEVELS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "use_flow_sigmas")
DDIM = "DDIMScheduler"


@dataclass(frozen=True, kw_only=True)
class Stepping:
    """How a scheduler of `diffusers` steps, and what it takes for granted where its file is silent."""

    table: Callable[..., Plan]
    spacing: Spacing = "leading"
    end: str | None = None  # the field that says whether the last step goes all the way to x0; all do without one
    clips: bool | None = None  # whether estimates of x0 are held in a range; None where no field may ask for it
    keep: float = 0.0  # `sampler.Clip.keep`
    spare: int = 0  # `Schedule.spare`
    only: Mapping[str, Any] = field(default_factory=dict)  # fields with the one value that the table is for


PLUS = {"algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lambda_min_clipped": -np.inf}
STEPPING = {
    DDIM: Stepping(table=solvers.ddim, end="set_alpha_to_one", clips=True, keep=1.0),
    "DDPMScheduler": Stepping(table=solvers.ddpm, clips=True, only={"variance_type": "fixed_small"}),
    "EulerDiscreteScheduler": Stepping(
        table=solvers.euler,
        spacing="linspace",
        end="final_sigmas_type",
        only={"interpolation_type": "linear", "timestep_type": "discrete", "sigma_min": None, "sigma_max": None},
    ),
    "HeunDiscreteScheduler": Stepping(table=solvers.heun, spacing="linspace", clips=False),
    "DPMSolverMultistepScheduler": Stepping(
        table=solvers.dpmpp_2m,
        spacing="linspace",
        end="final_sigmas_type",
        spare=1,
        only=PLUS | {"solver_order": 2},
    ),
    "DPMSolverSinglestepScheduler": Stepping(
        table=solvers.dpmpp_2s,
        spacing="linspace",
        spare=1,
        only=PLUS | {"solver_order": 2, "final_sigmas_type": "zero"},
    ),
}
OTHER = Stepping(table=solvers.ddim, end="set_alpha_to_one", clips=False, keep=1.0)


SAMPLERS = {  # our names of the schedulers
    "ddim": DDIM,
    "ddpm": "DDPMScheduler",
    "euler": "EulerDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "dpm++2s": "DPMSolverSinglestepScheduler",
}


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """The noise that the UNet was trained on, what it predicts and how its pictures are drawn.

    The default is Stable Diffusion 1's, drawn by DDIM to x0.
    """

    betas: Betas = "scaled_linear"
    start: float = 0.00085
    end: float = 0.012
    length: int = 1000
    predict: Predict = "eps"
    spacing: Spacing = "leading"
    zero_terminal_snr: bool = False  # Lin et al. 2024: no signal at the last time
    scheduler: str = DDIM  # its class in `diffusers`
    offset: int = 1  # the lowest of the leading times
    whole: bool = True  # the last step goes all the way to x0, and not only to the noise of the first training time
    clip: float | None = None  # estimates of x0 are held between -clip and clip
    file: Mapping[str, Any] = field(default_factory=dict, hash=False)  # all that was read, to be written again

    def __post_init__(self):
        for name, kinds in dict(betas=Betas, predict=Predict, spacing=Spacing).items():
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected one of {', '.join(get_args(kinds))}.")
        for name in ("start", "end"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < 1:
                raise ValueError(f"{name} = {value!r}: expected a share of noise, between 0 and 1.")
        for name, least in dict(length=1, offset=0).items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} = {value!r}: expected a whole number of at least {least}.")
        if self.clip is not None and not 0 < self.clip < np.inf:
            raise ValueError(f"clip = {self.clip!r}: expected a positive number, or None where nothing is clipped.")

    @cached_property
    def schedule(self) -> Schedule:
        """The noise schedule that the config describes."""
        root = 1 if self.betas == "linear" else 2
        betas = np.linspace(self.start ** (1 / root), self.end ** (1 / root), self.length) ** root
        schedule = Schedule.from_betas(betas)
        return schedule.zero_terminal_snr() if self.zero_terminal_snr else schedule

    @property
    def instead(self) -> str | None:
        """One line for the user where the folder's scheduler is not the one that draws."""
        reason = _no_table(self.scheduler, self.file)
        return reason and f"The folder names {self.scheduler}, {reason}; DDIM is used instead."

    def plan(self, steps: int) -> Plan:
        """Return the table of the folder's scheduler, or that of DDIM where there is none.

        Raises: ValueError as it does.
        """
        stepping = _stepping(self.scheduler, self.file)
        first = (float(self.schedule.alpha[0]), float(self.schedule.sigma[0]))
        walked = dict(offset=self.offset, spare=stepping.spare, end=(1.0, 0.0) if self.whole else first)
        return stepping.table(replace(self.schedule, **walked), steps, spacing=self.spacing)

    def by(self, sampler: str) -> NoiseConfig:
        """Return this noise drawn by another sampler, as `from_config` of its class in `diffusers` would.

        Raises: ValueError for a name that is none of SAMPLERS nor of their classes.
        """
        name = SAMPLERS.get(sampler, sampler)
        if name not in STEPPING:
            raise ValueError(f"sampler = {sampler!r}: expected one of {', '.join(SAMPLERS)}; choose one of them.")
        return _noise(self.file or _fields(self), name)

    @property
    def held(self) -> Clip | None:
        """The range of x0 as the sampler wants it."""
        return None if self.clip is None else Clip(self.clip, _stepping(self.scheduler, self.file).keep)


def _no_table(scheduler: str, file: Mapping[str, Any]) -> str | None:
    """Return why none of our tables is what the scheduler does; None where one is."""
    if scheduler not in STEPPING:
        return "for which there is no table"
    only: dict[str, Any] = {**dict.fromkeys(LEVELS), **STEPPING[scheduler].only}
    for name, value in only.items():
        found = file.get(name, value)
        if found != value and not (value is None and found is False):
            return f"with {name} = {quoted(found)}, for which there is no table"
    return None


def _stepping(scheduler: str, file: Mapping[str, Any]) -> Stepping:
    return OTHER if _no_table(scheduler, file) else STEPPING[scheduler]


def read_noise(folder: Path, scheduler: str | None = None) -> NoiseConfig:
    """Return what a scheduler's file says; `scheduler`: its class as the pipeline names it, else the file's own.

    Raises: ValueError, one sentence, for noise that our schedule does not have.
    """
    path = folder / "scheduler_config.json"
    config = read_config(path)
    for name in ("trained_betas", "thresholding"):
        if config.get(name):
            raise ValueError(
                f"{path}: {name} = {quoted(config[name])} is not supported; expected {name} to be off (null or false)."
            )
    with naming(path):
        return _noise(config, scheduler or config.get("_class_name", DDIM))


def _noise(config: Mapping[str, Any], scheduler: str) -> NoiseConfig:
    stepping = _stepping(scheduler, config)
    predict, spacing = config.get("prediction_type", "epsilon"), config.get("timestep_spacing", stepping.spacing)
    betas = config.get("beta_schedule")  # schedulers of other kinds of noise, as flow matching, have none
    for name, value, kinds in (
        ("beta_schedule", betas, get_args(Betas)),
        ("prediction_type", predict, PREDICT),
        ("timestep_spacing", spacing, SPACINGS),
    ):
        if value not in kinds:
            raise ValueError(f"{name} of {scheduler} = {quoted(value)}: expected one of {', '.join(kinds)}.")
    clips = stepping.clips is not None and config.get("clip_sample", stepping.clips)
    return NoiseConfig(
        betas=cast(Betas, betas),
        start=config["beta_start"],
        end=config["beta_end"],
        length=config["num_train_timesteps"],
        predict=PREDICT[predict],
        spacing=spacing,
        zero_terminal_snr=bool(config.get("rescale_betas_zero_snr")),
        scheduler=scheduler,
        offset=config.get("steps_offset", 0),
        whole=stepping.end is None or config.get(stepping.end, True) not in (False, "sigma_min"),
        clip=float(config.get("clip_sample_range", 1.0)) if clips else None,
        file=dict(config),
    )


def write_noise(folder: Path, noise: NoiseConfig) -> None:
    """Write for `from_pretrained` of the scheduler's class in `diffusers`.

    What was read and not changed stays as it was.
    """
    fields = _fields(noise)
    if noise.file:
        read = _fields(_noise(noise.file, noise.scheduler))
        fields = {name: value for name, value in fields.items() if name == "_class_name" or value != read[name]}
    write_config(folder / "scheduler_config.json", {**noise.file, **fields})


def _fields(noise: NoiseConfig) -> dict[str, Any]:
    """Return a scheduler's file, as far as we understand it."""
    stepping = _stepping(noise.scheduler, noise.file)
    fields = {
        "_class_name": noise.scheduler,
        "beta_schedule": noise.betas,
        "beta_start": noise.start,
        "beta_end": noise.end,
        "num_train_timesteps": noise.length,
        "timestep_spacing": noise.spacing,
        "steps_offset": noise.offset,
        "prediction_type": {ours: theirs for theirs, ours in PREDICT.items()}[noise.predict],
        "rescale_betas_zero_snr": noise.zero_terminal_snr,
    }
    if stepping.clips is not None:
        fields |= {"clip_sample": noise.clip is not None, "clip_sample_range": noise.clip or 1.0}
    if stepping.end == "set_alpha_to_one":
        fields["set_alpha_to_one"] = noise.whole
    elif stepping.end:
        fields["final_sigmas_type"] = "zero" if noise.whole else "sigma_min"
    return fields
