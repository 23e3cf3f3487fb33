"""The profiles: one study at several scales. A profile only sets numbers; code and notebooks are the same.

`laptop-eps` and `laptop-v` are the study for two CPU cores, in two settings; `smoke` runs every line of it in minutes,
with a UNet of fewer levels. `gpu-eps` and `gpu-v` go on to the widths of the paper's Table 1, on the same pictures;
`laptop-dit` and `gpu-dit` are transformers of those costs, `gpu-dit-published` are DiT-S, B and L, `laptop-dit-2` one
of larger patches, `laptop-flow` those that learn a straight path, drawn on shifted times in `laptop-flow-half` and
`laptop-flow-3`. In `laptop-64` and `gpu-64` the models of `laptop-eps` and `gpu-eps` learn scenes of twice the side,
from which super-resolution starts. `tpu` is the paper's own scale.
"""

from __future__ import annotations

from dataclasses import replace

from ldm.data.scenes.config import FULL, SceneConfig
from ldm.networks.autoencoder_config import SD, AutoencoderConfig
from ldm.networks.family import table1
from ldm.profile import GUIDANCE, Profile
from ldm.training.config import TrainConfig

TABLE1 = tuple(int(c) for c in table1()["c"])
PAPER = 500_000 * 2048  # images of the paper's trainings
TRANSFORMERS = (48, 72, 96, 120, 144, 168)  # widths that cost what UNets of c = 8, 16, 24, 32, 48 and 64 do

# The study's world: few subjects in two plain styles, which small networks can draw so that one can name them.
OPEN = Profile(
    name="laptop-v",
    setting="v",
    weights="open",
    scenes=SceneConfig(
        size=32,
        vocabulary=12,
        styles=("flat", "papercut"),
        counts=(0.75, 0.25, 0.0),
        small=0.1,
        kinds=("plain", "gradient", "striped", "checkered", "dotted", "hilly"),
    ),
    level="some",
    data=160_000,
    reference=20_000,
    autoencoder=AutoencoderConfig(channels=(128,), blocks=1, patch=4),  # f4: 32 px scenes on 8x8 latents
    family=(8, 16, 24, 32, 48, 64),
    train=TrainConfig(images=640_000, batch=64, learning_rate=8e-3, warmup_images=20_000, decay_images=100_000),
    rate_width=8,
    lengths=(20_000, 40_000, 80_000, 160_000, 320_000, 640_000),
    length=640_000,
    tasks="laptop-64",
    n=1024,
    steps=(2, 3, 4, 6, 8, 12, 16, 32),
    guidance=(1.0, 2.0, 3.0, 4.0, 6.0),
    scales=(1.0, 4.0),  # at which teachers are best, but c = 8 in few steps, at 6
    guidance_frequency=10.0,
    live=6_400,
    recompute=2,
)

# As Stable Diffusion v1.5.
OPEN_EPS = replace(OPEN, name="laptop-eps", setting="eps", predict="eps", spacing="leading")

# Transformers at the UNets' costs (`ldm.networks.dit_config.small`): all but network and rate is as in the study.
DIT = replace(
    OPEN_EPS,
    name="laptop-dit",
    tasks="",
    network="dit",
    family=TRANSFORMERS,
    train=replace(OPEN_EPS.train, learning_rate=4e-3),  # swept at two widths (`tools.learning_rates`)
    rate_width=48,
)

# Rectified flow of the same transformers.
FLOW = replace(
    DIT,
    name="laptop-flow",
    setting="flow",
    predict="flow",
    noise="straight",
    times="logit-normal",
    spacing="trailing",
)

# On scenes of twice the side, for what restores them: sizes of the family are trained on, at half their rate. They
# learn to predict v, since by eps colours drift from those of the picture that is to be restored (the book's log).
LARGE = replace(
    OPEN,
    name="laptop-64",
    setting="v-64",
    start="laptop-eps",
    codec="autoencoder-64",
    tasks="",
    scenes=replace(OPEN.scenes, size=64),
    family=(8, 16, 24, 32),
    train=replace(OPEN.train, learning_rate=4e-3, images=160_000, warmup_images=10_000, decay_images=40_000),
    lengths=(160_000,),
    length=160_000,
    finetuning_rate=2.0,  # that of the first pretraining again: at a quarter of it finetuning did not come to its end
)

# The same pictures, latents, words and judges on a GPU: only the width goes on, at the laptop's own rates. Were noise
# what limits it, a batch four times as large would bear twice the rate (Malladi et al. 2022); but c = 32 diverges at
# twice. Whether both batches end alike, the loss of c = 64 tells, which is trained in both profiles.
GPU = dict(
    family=(64, 96, 128, 192, 256, 320),
    train=replace(OPEN.train, images=1_280_000, batch=256, warmup_images=40_000, bf16=True),
    lengths=(40_000, 80_000, 160_000, 320_000, 640_000, 1_280_000),
    n=1024,
    tasks="",
    batch=1024,
    steps=(2, 4, 8, 16, 32, 50),
    guidance=(1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0),
)
GPU_EPS = replace(OPEN_EPS, name="gpu-eps", setting="gpu-eps", **GPU | {"tasks": "gpu-64"})

# DiT-S, B and L themselves, told text: 16 tokens on 8x8 latents, and 64 on 16x16 of scenes of twice the side.
GPU_PUBLISHED = replace(
    GPU_EPS,
    name="gpu-dit-published",
    tasks="",
    network="dit-published",
    family=(384, 768, 1024),
    train=replace(GPU_EPS.train, learning_rate=4e-3),
    rate_width=48,  # by which 384 learns at 5e-4 and 1024 at 1.9e-4; the authors train all at 1e-4
)

DEFAULT = "laptop-eps"  # the study of the book
PROFILES: dict[str, Profile] = {
    "smoke": replace(
        OPEN_EPS,
        name="smoke",
        setting="smoke",
        network="unet-short",
        family=(8, 16),
        train=replace(OPEN.train, images=40_000, warmup_images=2_000, decay_images=10_000),
        lengths=(10_000, 40_000),
        length=40_000,
        data=20_000,
        n=16,
        finetuned=32_000,
        steps=(4, 8),
        guidance=(1.5, 4.0),
        scales=(1.0, 3.0),
        guidance_frequency=1000.0,  # as its shipped students were trained
        batch=16,
        tasks="",
        live=640,
    ),
    "tpu": Profile(
        name="tpu",
        scenes=replace(FULL, size=512),
        restored=512,
        autoencoder=SD,
        weights="tpu",
        family=TABLE1,
        tokens=77,
        context=1024,
        scales=(GUIDANCE[0], GUIDANCE[-1]),
        segments=50,
        train=TrainConfig(
            images=PAPER, batch=2048, learning_rate=1e-4, warmup_images=20_000_000, decay_images=PAPER, bf16=True
        ),
        lengths=(PAPER,),
        length=PAPER,
        data=4_000_000,
        reference=20_000,
        live=6_400,
        n=30_000,
        steps=(4, 5, 8, 10, 16, 20, 32, 50),
    ),
    "laptop-eps": OPEN_EPS,
    "laptop-v": OPEN,
    "laptop-64": LARGE,
    "laptop-dit": DIT,
    "laptop-dit-2": replace(DIT, name="laptop-dit-2", network="dit-2", family=(120,)),  # at the cost of width 72
    "laptop-flow": FLOW,
    "laptop-flow-half": replace(FLOW, name="laptop-flow-half", shift=0.5),  # the same models, on other times
    "laptop-flow-3": replace(FLOW, name="laptop-flow-3", shift=3.0),
    "gpu-dit": replace(
        GPU_EPS,
        name="gpu-dit",
        tasks="",
        network="dit",
        family=(168, 240, 288, 384, 432, 504),  # at the costs of the UNets; 384 has the width and layers of DiT-S
        train=replace(GPU_EPS.train, learning_rate=4e-3),
        rate_width=48,
    ),
    "gpu-dit-published": GPU_PUBLISHED,
    "gpu-dit-published-64": replace(
        GPU_PUBLISHED,
        name="gpu-dit-published-64",
        setting="gpu-eps-64",
        codec="autoencoder-64",
        scenes=replace(GPU_PUBLISHED.scenes, size=64),
        train=replace(GPU_PUBLISHED.train, images=320_000),  # DiT-L in minutes
        lengths=(40_000, 80_000, 160_000, 320_000),
        length=320_000,
        batch=512,
    ),
    "gpu-eps": GPU_EPS,
    "gpu-64": replace(
        LARGE,
        name="gpu-64",
        setting="gpu-64",
        start="gpu-eps",
        family=GPU_EPS.family,
        train=replace(LARGE.train, batch=256, bf16=True),
        batch=512,
    ),
    "gpu-v": replace(OPEN, name="gpu-v", setting="gpu-v", **GPU),
    "gpu": GPU_EPS,  # the paper's own setting, where one alone is asked for
}


def get(name: str) -> Profile:
    """Return the profile of this name. Raises: ValueError, naming the known ones."""
    if name not in PROFILES:
        raise ValueError(f"profile = {name!r}: expected one of {', '.join(PROFILES)}; choose one of them.")
    return PROFILES[name]


def downstream(profile: Profile) -> Profile:
    """Return the profile whose models are finetuned for super-resolution (chapter 06)."""
    return get(profile.tasks) if profile.tasks else profile
