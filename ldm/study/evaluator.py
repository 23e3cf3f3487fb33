"""What the evaluators of all studies share: versions, digests, the one model that is held, and the building of rows.

A study's evaluator says which model a cell asks, how it is scored, and what its rows tell. Networks are loaded when
something is first computed: a key needs only the files of weights, and recorded rows need no JAX.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ldm.hashing import key
from ldm.networks import sizes
from ldm.profile import Profile
from ldm.study import scene_metrics
from ldm.study.cells import Cell, Pictures
from ldm.study.rows import Row
from ldm.study.scene_metrics import Measurement, Metrics
from ldm.tasks import models, register
from ldm.tasks.models import Model

if TYPE_CHECKING:
    from ldm.networks.autoencoder import Codec
    from ldm.networks.text import TextEncoder

AnyCell = TypeVar("AnyCell", bound=Cell)


class Evaluator(ABC, Generic[AnyCell]):
    """Holds what the cells of a study share: frozen networks, metrics and, one at a time, a model."""

    def __init__(self, profile: Profile):
        self.profile = profile
        self._model = lru_cache(maxsize=1)(self.load)
        self._digest = lru_cache(maxsize=None)(self.digest)

    # --- what a study says of its cells ---

    @property
    @abstractmethod
    def versions(self) -> dict[str, str | int]:
        """What a cell's key holds besides its fields, its model and its data."""

    @abstractmethod
    def model_of(self, cell: AnyCell) -> Model | None:
        """Return the cell's model; None where it needs none."""

    @abstractmethod
    def data_of(self, cell: AnyCell) -> str:
        """Return what names the captions or pictures that the cell is asked for."""

    @abstractmethod
    def evaluate(self, cell: AnyCell) -> tuple[Measurement, Pictures, float]:
        """Return what was measured, the pictures to keep, and the seconds that making and scoring them took."""

    @abstractmethod
    def columns(self, cell: AnyCell) -> dict[str, Any]:
        """Return what the cell's rows say besides the metric's value (`ldm.study.rows.Row`)."""

    @abstractmethod
    def setting(self, cell: AnyCell) -> str:
        """Return what the protocol of the cell's rows says besides how each metric is measured."""

    def models_of(self, cell: AnyCell) -> list[Model]:
        """Return every model that the cell asks."""
        model = self.model_of(cell)
        return [] if model is None else [model]

    @property
    def network_shape(self) -> dict[str, int]:
        """What networks are asked with, as `ldm.networks.sizes` takes it: side of the latents, words, their width."""
        return dict(size=self.profile.latent_shape[0], tokens=self.profile.tokens, context=self.profile.context)

    # --- what all share ---

    @cached_property
    def frozen(self) -> tuple[Codec, TextEncoder]:
        """The autoencoder and the text tower that the profile's models stand on."""
        from ldm.tasks import pretrain

        return pretrain.frozen_networks(self.profile)

    @property
    def codec(self) -> Codec:
        """The frozen autoencoder."""
        return self.frozen[0]

    @property
    def text(self) -> TextEncoder:
        """The frozen text encoder."""
        return self.frozen[1]

    @cached_property
    def metrics(self) -> Metrics:
        """The metrics of scenes, with the profile's references."""
        return scene_metrics.load_metrics(self.profile)

    def frozen_versions(self) -> dict[str, str]:
        """Return what names the frozen networks, and the arithmetic that pictures are drawn in."""
        codec, text = map(register.digest_of, models.frozen_files(self.profile))
        return {"codec": codec, "text": text} | models.arithmetic(self.profile)

    def digest(self, model: Model) -> str:
        """Return the digest of a model's weights. Raises: ValueError when it does not exist."""
        return register.model_digest(self.profile, *model)

    def file(self, model: Model) -> Path | None:
        """Return where a model's weights lie on this machine; None where they do not."""
        return models.file_of(self.profile, *model)

    def is_here(self, cell: AnyCell) -> bool:
        """Return whether every model that the cell asks lies on this machine; of a cell that asks none it is true."""
        return all(self.file(model) for model in self.models_of(cell))

    def load(self, model: Model) -> Any:
        """Return a pretrained model with its frozen networks, ready to draw (`ldm.tasks.generate.Generator`)."""
        from ldm.tasks import pretrain
        from ldm.tasks.generate import Generator

        structure, params = pretrain.load_pretrained(self.profile, *model)
        return Generator(profile=self.profile, structure=structure, params=params, codec=self.codec, text=self.text)

    def key(self, cell: AnyCell) -> str:
        """Return the cell's name. Raises: ValueError when its model does not exist."""
        model = self.model_of(cell)
        return key(
            cell, **self.versions, model="none" if model is None else self._digest(model), data=self.data_of(cell)
        )

    def norm_cost(self, c: int) -> float:
        """Return what one evaluation of the profile's network of size c costs on one picture, in the paper's unit."""
        return sizes.norm_cost(self.profile.network, c, **self.network_shape)

    def network_columns(self, c: int, images: int, seed: int, batch: int) -> dict[str, Any]:
        """Return the columns that name a network of size c, and its training on so many images in such batches."""
        params = sizes.params(self.profile.network, c, self.profile.context)
        return dict(
            size=f"{params / 1e6:.3g}M",
            c=c,
            params=params,
            gflops=sizes.gflops(self.profile.network, c, **self.network_shape),
            seed=seed,
            train_steps=-(-images // batch),
            images_seen=images,
        )

    def rows(self, cell: AnyCell, found: Measurement, seconds: float) -> list[Row]:
        """Return one tidy row a metric."""
        columns, setting = self.columns(cell), self.setting(cell)
        return [
            Row(
                metric=name,
                protocol=f"{protocol}; {setting}",
                value=e.value,
                lo=e.lo,
                hi=e.hi,
                n=e.n,
                seconds=seconds,
                **columns,
            )
            for name, (e, protocol) in found.estimates.items()
        ]
