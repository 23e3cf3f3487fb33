"""Trains the frozen network of the diffusion model that sees pixels: the autoencoder, then its decoder once more.

The text tower, the other frozen network, is trained by `ldm.tasks.frozen.text`; the detector, which judges, by
`ldm.tasks.frozen.detector`.
"""

from __future__ import annotations

import jax

from ldm import paths, profiles
from ldm.data.batches import batch_indices
from ldm.data.scenes.dataset import Scenes
from ldm.diffusion.losses import Batch
from ldm.files import write_atomic
from ldm.hashing import digest
from ldm.metrics.pixels import psnr
from ldm.networks import weights
from ldm.networks.autoencoder import AutoencoderKL, Codec, encode, load_codec, save_codec
from ldm.networks.initial import KeySource
from ldm.networks.structure import Params, Structure, split
from ldm.profile import Profile
from ldm.tasks.frozen.reconstruction import Critic, autoencoder_loss, decoder_loss, players
from ldm.tasks.models import lengths_until, part_file, run_folder
from ldm.training.loop import TrainConfig, fit

KEEP = 20_000  # images between two files of weights, so that a run may be ended early


def finished(profile: Profile) -> bool:
    """Return whether the profile's autoencoder is there, and its decoder finished."""
    path = part_file(profile, "autoencoder")
    return path.is_file() and "decoder_images" in weights.metadata(path)


class CodecWriter:
    """Writes a codec's weights along the way, with the PSNR on held-out scenes in their description."""

    def __init__(self, profile: Profile, structure: Structure):
        self.profile, self.structure = profile, structure
        self.images = Scenes(profile.scenes, "val", 512).images(range(512))

    def __call__(self, params: Params, **described: float) -> None:
        codec = Codec(self.structure, params, 1.0, self.profile.autoencoder.factor)
        latents = codec.encode(self.images)
        decibels = float(psnr(self.images, codec.decode(latents)).mean())
        print(f"{described}: PSNR {decibels:.2f} dB on {len(self.images)} held-out scenes", flush=True)
        scale = described.pop("scale", 1 / float(latents.std()))
        path = part_file(self.profile, "autoencoder")
        save_codec(path, params, self.profile.autoencoder, scale, psnr=decibels, **described)


def train_autoencoder(profile: Profile, images: int = 0) -> None:
    """Train the profile's autoencoder, resuming where it stopped, and write its weights.

    It goes on from that of another profile, where the profile does (`Profile.start`): for fewer images, at half the
    rate. New latents: every UNet has to be trained anew, and the decoder to be finished (`finish_decoder`).
    """
    start = profiles.get(profile.start) if profile.start else None
    images, rate = (images or 60_000, 1e-3) if start else (images or 200_000, 2e-3)
    config = TrainConfig(images=images, batch=8, learning_rate=rate, warmup_images=2_000, decay_images=20_000)
    pictures = Scenes(profile.scenes, "train", profile.frozen_data).cached(paths.RUNS / "cache")
    structure, params = split(AutoencoderKL(profile.autoencoder, keys=KeySource(jax.random.key(config.seed))))
    if start:
        params = load_codec(part_file(start, "autoencoder")).params
    keep = CodecWriter(profile, structure)

    fit(
        autoencoder_loss(structure),
        params,
        lambda step: {"images": pictures[batch_indices(config.seed, step, config.batch, len(pictures))]},
        config,
        folder=run_folder(profile, f"train-{profile.codec}"),
        lengths=lengths_until(config.images, range(KEEP, config.images, KEEP)),
        on_length=lambda seen, ema: keep(ema, images=seen),
        title="autoencoder",
    )


def finish_decoder(profile: Profile, images: int = 0) -> None:
    """Train the decoder of the autoencoder under weights/ against a critic, resuming where it stopped.

    The encoder and the scale are kept to the bit: latents and UNets stay valid.
    Raises: ValueError for an autoencoder whose decoder is finished already.
    """
    images = images or (60_000 if profile.start else 120_000)
    config = TrainConfig(images=images, batch=16, learning_rate=5e-4, warmup_images=4_000, decay_images=20_000)
    path = part_file(profile, "autoencoder")
    given = load_codec(path).params
    encoder = digest({name: p for name, p in given.items() if name.startswith("encoder.")})
    folder = run_folder(profile, f"train-decoder-{encoder}")
    start = folder / "start.safetensors"  # what the run began with, for those who resume it
    if not start.is_file():
        if finished(profile):
            raise ValueError(
                f"{path} holds a decoder that is finished: expected one as `part autoencoder` "
                "leaves it; train the autoencoder anew, or keep this one."
            )
        write_atomic(start, path.read_bytes())
    codec, described = load_codec(start), weights.metadata(start)
    pictures = Scenes(profile.scenes, "train", profile.frozen_data).cached(paths.RUNS / "cache")
    critic, criticising = split(Critic(profile.scenes.size, keys=KeySource(jax.random.key(config.seed))))
    decoder = {name: p for name, p in codec.params.items() if name.startswith(("decoder.", "post_quant_conv."))}
    keep = CodecWriter(profile, codec.structure)

    def batch(step: int) -> Batch:
        images = pictures[batch_indices(config.seed, step, config.batch, len(pictures))]
        return {"images": images, "latents": encode(codec.structure, codec.params, images)}

    fit(
        decoder_loss(codec.structure, critic, codec.params),
        decoder | {f"critic.{name}": p for name, p in criticising.items()},
        batch,
        config,
        folder=folder / "states",
        lengths=(config.images,),  # what is written counts as finished
        on_length=lambda seen, ema: keep(
            {**codec.params, **players(ema)[0]}, scale=codec.scale, images=described["images"], decoder_images=seen
        ),
        title="decoder",
    )
