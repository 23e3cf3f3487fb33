"""How a subject is learnt by DreamBooth: what learns, and in numbers. Part of the name of every cell of that study."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

Variant = Literal[
    "truth", "before", "no prior", "prior", "prior and text", "prior and word", "low rank and word", "word"
]


class Way(NamedTuple):
    """What learns when a model is taught a subject."""

    prior: bool = True  # the class is kept in mind (prior preservation)
    text: Literal["nothing", "word", "tower"] = "nothing"  # of the text side: the rare word's embedding, or all of it
    unet: Literal["all", "low rank", "nothing"] = "all"  # its weights, or updates of its attention (LoRA)


WAYS: dict[Variant, Way] = {
    "no prior": Way(prior=False),
    "prior": Way(),  # Ruiz et al. 2023, eq. 2
    "prior and text": Way(text="tower"),  # as many do with Stable Diffusion, whose tower is small enough
    "prior and word": Way(text="word"),  # the word as in Kumari et al. 2023 (arXiv:2212.04488), 3.2
    "low rank and word": Way(text="word", unet="low rank"),
    "word": Way(prior=False, text="word", unet="nothing"),  # textual inversion (Gal et al. 2022, arXiv:2208.01618)
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a subject is learnt, at every size."""

    learning_rate: float = 1e-3  # that of pretraining
    pictures: int = 4  # of the subject in a batch, and as many of its class
    weight: float = 1.0  # of the class's loss: lambda of Ruiz et al. 2023, eq. 2
    drawn: int = 64  # pictures of the class, drawn beforehand
    word_rate: float = 0.15  # at which the rare word's embedding learns, whose numbers are of the order of 0.5
    low_rank_rate: float = 5e-3  # at which low-rank updates learn, that begin at zero
    rank: int = 4  # of these

    def __post_init__(self):
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight = {self.weight}: expected a finite number, not below 0; change it.")
        for name in ("learning_rate", "word_rate", "low_rank_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a finite number above 0; change it.")
        for name in ("pictures", "drawn", "rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected 1 or more; change it.")

    def rate(self, way: Way) -> float:
        """Return the learning rate of what learns of the UNet; where that is nothing, the word's."""
        return {"all": self.learning_rate, "low rank": self.low_rank_rate, "nothing": self.word_rate}[way.unet]

    def numbers(self, way: Way) -> dict[str, float]:
        """Return the numbers that this way of learning uses, by name: others may change, and its results stand.

        The class's are used in every way: where it is not learnt, its pictures stand in the batch with weight 0.
        """
        needs = {"learning_rate": "all", "low_rank_rate": "low rank", "rank": "low rank", "word_rate": "word"}
        return {name: number for name, number in asdict(self).items() if needs.get(name) in (None, way.unet, way.text)}
