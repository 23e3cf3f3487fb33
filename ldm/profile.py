"""A profile: everything that sets the scale of a study. `ldm.profiles` has all that there are, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ldm.data.scenes.captions import Level
from ldm.data.scenes.config import SceneConfig
from ldm.diffusion.plan import Plan
from ldm.diffusion.schedule import Noise, Predict, Schedule, Spacing, Times
from ldm.diffusion.solvers import plan
from ldm.networks.autoencoder_config import AutoencoderConfig
from ldm.networks.sizes import Network, check_network
from ldm.training.config import TrainConfig

GUIDANCE = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)  # the paper's grid (section 3.3)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Everything that sets the scale of the study."""

    name: str
    scenes: SceneConfig
    autoencoder: AutoencoderConfig
    weights: str  # folder of the frozen networks and the shipped family, below weights/
    family: tuple[int, ...]  # sizes c, small to large: base filter counts of UNets, widths of transformers
    train: TrainConfig
    rate_width: int = 0  # the width that train.learning_rate is for, where others have their own (`training`); 0: none
    lengths: tuple[int, ...]  # images seen at which a model is kept
    length: int  # the one of them at which sizes are compared
    data: int  # different scenes that the UNets are trained on; then they repeat
    n: int  # images generated for one point of the study
    reference: int  # real scenes behind the distances
    steps: tuple[int, ...]  # sampling steps of the grid
    guidance: tuple[float, ...] = GUIDANCE
    level: Level = "all"  # how much of a scene the captions say that models are trained on
    tokens: int = 24  # length of a caption, in words
    context: int = 128  # width of the text embedding
    scales: tuple[float, float] = (1.0, 3.0)  # of guidance, that students are distilled for
    guidance_frequency: float = 1000.0  # radians a unit of the guidance scale's fastest sinusoid; 1000: LCM
    distilled: int = 32_000  # images that a student sees
    segments: int = 8  # steps of the teacher from noise to picture that consistency distillation goes by
    start: str = ""  # the profile from whose autoencoder and models, size by size, trainings go on; empty: from none
    codec: str = "autoencoder"  # what its autoencoder's file is called among the parts of its folder
    tasks: str = ""  # the profile whose models are finetuned for super-resolution; empty: this one
    restored: int = 64  # side of the pictures that super-resolution restores, pixels
    finetuned: int = 128_000  # images of finetuning for super-resolution
    finetuning_rate: float = 0.5  # of the learning rate that the profile's models were trained at, for the same
    setting: str = ""  # what a family is trained in: part of the names of its models' files
    network: Network = "unet"  # what is trained; sizes of a transformer are its widths
    predict: Predict = "v"
    noise: Noise = "sd"  # or the straight path of rectified flow
    shift: float = 1.0  # of the times that samplers visit on the straight path
    times: Times = "uniform"  # how training draws them
    spacing: Spacing = "trailing"
    dropped: float = 0.1  # share of captions emptied in training, for guidance
    batch: int = 64  # images generated at once: one compilation a size
    live: int = 0  # images of training that the pretraining notebook adds while one looks on
    recompute: int = 8  # recorded cells that a chapter runs again, to compare

    def __post_init__(self):
        check_network(self.network)
        if tuple(sorted(set(self.family))) != self.family or not self.family:
            raise ValueError(f"family = {self.family}: expected sizes, small to large, none twice.")
        if self.lengths and max(self.lengths) > self.train.images:
            raise ValueError(f"lengths = {self.lengths}: expected at most train.images = {self.train.images}.")
        if self.length not in self.lengths:
            raise ValueError(f"length = {self.length}: expected one of lengths = {self.lengths}.")

    def training(self, c: int) -> TrainConfig:
        """Return how width c is trained: where rates go with the width, at train.learning_rate * rate_width / c (muP).

        One rate for all widths would be a confounder: under Adam the best one falls as 1 / width (Yang et al. 2022),
        and did so when it was swept at two widths (`tools.learning_rates`; the book's log has the numbers).
        """
        if not self.rate_width:
            return self.train
        return replace(self.train, learning_rate=self.train.learning_rate * self.rate_width / c)

    @property
    def distilled_guidance(self) -> list[float]:
        """The guidance values of the grid that students are told in their training."""
        lo, hi = self.scales
        return [g for g in self.guidance if lo <= g <= hi]

    @property
    def frozen_data(self) -> int:
        """Different scenes that the frozen networks and the detector are trained on."""
        return min(self.data, 60_000)

    @property
    def schedule(self) -> Schedule:
        """The noise that networks are trained at, and drawn with."""
        return Schedule.named(self.noise, self.shift)

    def plan(self, sampler: str, steps: int) -> Plan:
        """Return a sampler's table on the profile's schedule. Raises: ValueError for an unknown name or step count."""
        return plan(sampler, steps, self.spacing, self.noise, self.shift)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the latents."""
        side = self.scenes.size // self.autoencoder.factor
        return side, side, self.autoencoder.latents
