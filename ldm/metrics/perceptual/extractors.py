"""Networks that extract features of pictures, by name: the weights each reads, how it resizes, what it can score.

Only EfficientNet-Lite0 ships. The others read the published weights as safetensors; where these are published as
pickles, `tools/convert_torch_weights.py` converts them in an environment of its own, and says where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from ldm.hashing import digest
from ldm.metrics.perceptual import clip, dino, efficientnet, inception
from ldm.metrics.perceptual.efficientnet_card import DIMENSION, SIDE
from ldm.metrics.perceptual.resize import CLEAN, SQUARE, TENSORFLOW, TORCH, Resizer

RESIZERS = {"clean-fid": CLEAN, "torch-fidelity": TENSORFLOW, "pytorch-fid": TORCH, "pil": SQUARE}
CLIPS = {"clip-b32": clip.VIT_B_32, "clip-l14": clip.VIT_L_14, "clip-l14-336": clip.VIT_L_14_336}
DINOS = {"dino": dino.VIT_S_16, "dinov2": dino.VIT_L_14}
NETWORKS = ("efficientnet", "inception", *CLIPS, *DINOS)


@dataclass(frozen=True, kw_only=True, eq=False)
class Extractor:
    """A network that gives features of resized pictures.

    Args:
        title: as in "FD, <title>". protocol: all that its features depend on.
        look: levels (n, side, side, 3), float32 in [0, 255] -> features float32 (n, dimension).
        logits: features (n, dimension) -> classes (n, k), for the Inception Score; None: it has none.
        text: ids (n, length) -> features (n, dimension), for the CLIP score; None: it reads none.
    """

    name: str
    title: str
    protocol: str
    resizer: Resizer
    side: int
    dimension: int
    look: Callable[[Float[np.ndarray, "n s s 3"]], Float[np.ndarray, "n d"]]
    logits: Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, "n k"]] | None = None
    classes: int = 0
    text: Callable[[Int[np.ndarray, "n length"]], Float[np.ndarray, "n d"]] | None = None

    def seen(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "s s 3"]:
        """Return a picture as the network is shown it."""
        return self.resizer.on_host(image, self.side)

    def features(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float[np.ndarray, "n d"]:
        """Return features of pictures of any shapes."""
        return self.look(np.stack([self.seen(image) for image in images]))


def load_extractor(name: str, weights: Path | None = None, resize: str = "") -> Extractor:
    """Return an extractor by its name, with weights from a file, or from a folder that holds model.safetensors.

    resize: one of RESIZERS, of Inception (clean-fid unless given) and EfficientNet; of the others their own.
    Raises: ValueError, one sentence, for an unknown name or resizer, and for weights that are missing or another's.
    """
    if name not in NETWORKS:
        raise ValueError(f"network = {name!r}: expected one of {', '.join(NETWORKS)}; choose one of them.")
    if resize and resize not in RESIZERS:
        raise ValueError(f"resize = {resize!r}: expected one of {', '.join(RESIZERS)}; leave it out for the usual one.")
    if resize and name not in ("inception", "efficientnet"):
        raise ValueError(f"resize = {resize!r}: {name} is only published with its own resizer; leave it out.")
    if weights is not None and not weights.exists():
        raise ValueError(
            f"weights = {weights} does not exist; give the network's file, or leave it out for the shipped one."
        )
    if name == "efficientnet":
        return _efficientnet(weights, RESIZERS[resize or "clean-fid"])
    if weights is None:
        raise ValueError(
            f"network = {name!r} needs weights: give the published file as safetensors, --weights FILE "
            "(tools/convert_torch_weights.py says where they are), or take the shipped one, --network efficientnet."
        )
    file = weights / "model.safetensors" if weights.is_dir() else weights
    return _inception(file, resize or "clean-fid") if name == "inception" else _published(name, file)


def _efficientnet(weights: Path | None, resizer: Resizer) -> Extractor:
    loaded = efficientnet.load_efficientnet(weights) if weights else efficientnet.load_efficientnet()
    return Extractor(
        name="efficientnet",
        title="EfficientNet-Lite0",
        protocol=f"EfficientNet-Lite0 ImageNet, mean-pooled {DIMENSION}-d, {SIDE} px {resizer.name}, float32, "
        f"weights {digest(loaded.weights, 8)}",
        resizer=resizer,
        side=SIDE,
        dimension=DIMENSION,
        look=loaded.of_levels,
        logits=loaded.logits,
        classes=1000,
    )


def _inception(file: Path, resize: str) -> Extractor:
    loaded = inception.load_inception(file, protocol=resize if resize in inception.VIEWS else "clean-fid")
    view = loaded.view._replace(resizer=RESIZERS[resize])
    name = loaded.name if resize in inception.VIEWS else f"Inception-v3 pool3, {view.resizer.name}"
    loaded = replace(loaded, view=view, name=name)
    return Extractor(
        name="inception",
        title="Inception-v3 pool3",
        protocol=loaded.protocol,
        resizer=view.resizer,
        side=view.side,
        dimension=loaded.dimension,
        look=loaded.of_levels,
        logits=loaded.logits,
        classes=1008,
    )


def _published(name: str, file: Path) -> Extractor:
    text = None
    if name in CLIPS:
        loaded = clip.load_clip(file, CLIPS[name])
        text = loaded.text
    else:
        loaded = dino.load_dino(file, DINOS[name])
    return Extractor(
        name=name,
        title=loaded.name.removesuffix(" class token"),
        protocol=loaded.protocol,
        resizer=loaded.view.resizer,
        side=loaded.view.side,
        dimension=loaded.dimension,
        look=loaded.of_levels,
        text=text,
    )
