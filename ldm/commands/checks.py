"""What speaks against a training, said before its data is drawn and encoded, which takes minutes."""

from __future__ import annotations

from ldm.networks import sizes
from ldm.profile import Profile
from ldm.tasks import models
from ldm.training.parallel import Layout


def check_numbers(**given: int) -> None:
    """Raise ValueError for a number below 0, or beyond the 32 bits that tell JAX's seeds apart."""
    for name, value in given.items():
        if not 0 <= value < 2**32:
            raise ValueError(f"{name} = {value}: expected 0 or more, below 2^32; leave it out for the usual one.")


def check_network(profile: Profile, c: int, batch: int, layout: Layout | None) -> None:
    """Raise ValueError where there is no network of size c, or a batch cannot be spread over the devices."""
    sizes.params(profile.network, c, profile.context)
    if layout:
        layout.rows(batch)


def check_autoencoder(profile: Profile) -> None:
    """Raise ValueError where the autoencoder is not finished that models are about to be trained on.

    It is written along its own training, and a model does not name the one that it was trained on.
    """
    from ldm.tasks.frozen import autoencoder

    if models.part_file(profile, "autoencoder").is_file() and not autoencoder.finished(profile):
        raise ValueError(
            f"The autoencoder of profile {profile.name} is not finished, and its latents may change: train it to its"
            f" end (`python -m ldm part autoencoder --profile {profile.name}`, then `python -m ldm part decoder"
            f" --profile {profile.name}`)."
        )


def check_pretrained(profile: Profile, c: int, seed: int = 0) -> None:
    """Raise ValueError where the pretrained network is missing that a training begins with."""
    if models.file_of(profile, c, profile.length, seed) is None:
        raise models.missing(profile, c, profile.length, seed)
