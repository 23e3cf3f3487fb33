"""Ways to spoil real pictures by a known amount, so that one can see what a metric sees.

A disturbance at strength 0 leaves everything as it is. Some change the pixels, one picture at a time; others
change which scenes are drawn, or whose captions the pictures are held against. Those take a share of the
scenes: `chosen` says which, so that the first pictures of many are the same as a few pictures.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count, islice

import numpy as np
import scipy
from PIL import Image

from ldm.data.scenes.config import SceneConfig
from ldm.data.scenes.emoji import emojis
from ldm.data.scenes.record import Scene, held_out, scene
from ldm.data.scenes.render import render

SPLIT = "val"  # whose scenes are disturbed: the metrics' references are of "test"
SEED = 0  # of the noise
BATCH = 128  # pictures drawn at once
STRANGER = 1_000_000  # a scene so far down the split that no chapter draws it lends its caption

Records = tuple[list[Scene], list[Scene]]  # the scenes drawn, and those whose captions are asked for


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """`records(config, n, strength)`: which scenes. `pixels(images, strength, indices)`: what is done to them.

    `towards(config, scenes)`: pictures (n, S, S, 3), 0 to 255, that take a share of each picture.
    """

    title: str
    unit: str  # of the strength
    strengths: tuple[float, ...]  # what the chapter asks for, weak to strong
    most: float  # the strongest that there is
    top: float = 0  # what labels count a strength down from: of JPEG they say the quality
    records: Callable[[SceneConfig, int, float], Records] | None = None
    pixels: Callable[[np.ndarray, float, np.ndarray], np.ndarray] | None = None
    towards: Callable[[SceneConfig, Sequence[Scene]], np.ndarray] | None = None

    def said(self, strength: float) -> str:
        """Return a strength as labels say it: `0.5`, `25%`."""
        return f"{abs(self.top - strength):g}" if self.most > 1 else f"{100 * strength:g}%"


def draw_disturbed(config: SceneConfig, name: str, strength: float, n: int) -> tuple[Iterator[np.ndarray], list[Scene]]:
    """Draw batches of disturbed pictures uint8 (b, S, S, 3), n in all, and the n scenes that their captions speak of.

    Picture i depends on (name, strength, i) alone. Raises: ValueError for an unknown name, or a strength out of range.
    """
    check(name, strength)
    how = DISTURBANCES[name]
    drawn, described = (how.records or _real)(config, n, strength)

    def batches() -> Iterator[np.ndarray]:
        for start in range(0, n, BATCH):
            images = np.stack([render(config, record) for record in drawn[start : start + BATCH]])
            if how.pixels is not None and strength > 0:
                images = how.pixels(images, strength, start + np.arange(len(images)))
            if how.towards is not None and strength > 0:
                images = _levels((1 - strength) * images + strength * how.towards(config, drawn[start : start + BATCH]))
            yield images

    return batches(), described


def check(name: str, strength: float) -> None:
    """Raise ValueError, one sentence, for a disturbance that there is not."""
    if name not in DISTURBANCES:
        raise ValueError(f"disturbance {name!r}: expected one of {', '.join(DISTURBANCES)}.")
    if not 0 <= strength <= DISTURBANCES[name].most:
        how = DISTURBANCES[name]
        raise ValueError(f"{name} has strength {strength}: expected 0 to {how.most:g}, {how.unit}.")


def chosen(n: int, share: float) -> np.ndarray:
    """Return a share of n indices, spread evenly: bool (n,). The first m of them are `chosen(m, share)`."""
    ends = np.floor(np.arange(n + 1) * share + 1e-9)
    return ends[1:] > ends[:-1]


# --- Pixels: uint8 (n, S, S, 3) to the same --------------------------------------------------------


def blur(images: np.ndarray, sigma: float, _: np.ndarray) -> np.ndarray:
    """Blur by a Gaussian of `sigma` pixels."""
    return _levels(scipy.ndimage.gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0)))


def noise(images: np.ndarray, sd: float, indices: np.ndarray) -> np.ndarray:
    """Add independent Gaussian noise of `sd` levels of 255, from a key of each picture's own."""
    import jax

    from ldm.diffusion.sampler import image_keys

    grain = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:]))(image_keys(SEED, indices))
    return _levels(images + sd * np.asarray(grain))


def jpeg(images: np.ndarray, loss: float, _: np.ndarray) -> np.ndarray:
    """Pass pictures through libjpeg's codec at quality 100 - loss.

    Colour has half the resolution, as in most JPEG files.
    """
    return np.stack([_through_jpeg(image, round(100 - loss)) for image in images])


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        return np.asarray(Image.open(file))


def hue(images: np.ndarray, degrees: float, _: np.ndarray) -> np.ndarray:
    """Turn colours about the axis of greys, whose brightness (r + g + b) / 3 stays."""
    turn, axis = np.deg2rad(degrees), np.full(3, 1 / np.sqrt(3))
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    rotation = np.cos(turn) * np.eye(3) + np.sin(turn) * cross + (1 - np.cos(turn)) * np.outer(axis, axis)
    return _levels(images @ rotation.T)


def _levels(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


# --- Averages: what a denoiser draws that has not decided ----------------------------------------------

LIKE = 32  # scenes of a subject that are averaged


def averages(config: SceneConfig, scenes: Sequence[Scene]) -> np.ndarray:
    """Return the mean of other scenes with the same first object, for each scene: float32 (n, S, S, 3), 0 to 255.

    All else differs in them, so it is what a caption that names the subject alone leaves to expect.
    """
    return np.stack([_average(config, one.objects[0].index) for one in scenes])


@lru_cache(maxsize=512)  # one for each subject of the largest vocabulary
def _average(config: SceneConfig, subject: int) -> np.ndarray:
    """Return the mean of the next LIKE scenes, far down the split, that begin with this object."""
    stream = (scene(config, SPLIT, STRANGER + i) for i in count())
    like = islice((one for one in stream if one.objects[0].index == subject), LIKE)
    return np.stack([render(config, one) for one in like]).mean(0, dtype=np.float32)


# --- Scenes ------------------------------------------------------------------------------------------


def _real(config: SceneConfig, n: int, _: float = 0) -> Records:
    scenes = [scene(config, SPLIT, i) for i in range(n)]
    return scenes, scenes


def wrong_subject(config: SceneConfig, n: int, share: float) -> Records:
    """Replace the first object by another than the caption says in a share of the pictures; all else stays."""
    _, asked = _real(config, n)
    shown = [_recast(config, s) if other else s for s, other in zip(asked, chosen(n, share), strict=True)]
    return shown, asked


def _recast(config: SceneConfig, record: Scene) -> Scene:
    """Recast with the next object of the vocabulary that can be seen on this background.

    It belongs to the split, unless none of a small vocabulary does.
    """
    first, *rest = record.objects
    vocabulary, taken = emojis()[: config.vocabulary], {thing.index for thing in rest}
    others = [vocabulary[(first.index + step) % len(vocabulary)] for step in range(1, len(vocabulary))]
    seen = [other for other in others if not other.hidden_on & set(record.colours) and other.index not in taken]
    names = [record.style, *(emojis()[index].name for index in taken)]
    usual = [other for other in seen if not any(held_out(other.name, name) for name in names)]
    if not seen:
        raise ValueError(f"no other object of {len(vocabulary)} fits scene {record.index}; use a larger vocabulary.")
    other = (usual or seen)[0]
    thing = replace(first, name=other.caption, index=other.index)
    return replace(record, objects=(thing, *rest))


def wrong_caption(config: SceneConfig, n: int, share: float) -> Records:
    """Hold a share of the pictures against the caption of another scene; no picture changes."""
    shown, _ = _real(config, n)
    stray = chosen(n, share)
    return shown, [scene(config, SPLIT, STRANGER + i) if stray[i] else s for i, s in enumerate(shown)]


def memorised(config: SceneConfig, n: int, share: float) -> Records:
    """Replace a share of the pictures by training scenes with their captions, as if a model knew them by heart."""
    learnt = chosen(n, share)
    scenes = [scene(config, "train" if learnt[i] else SPLIT, i) for i in range(n)]
    return scenes, scenes


def repeated(config: SceneConfig, n: int, share: float) -> Records:
    """Show a share of the pictures twice in a row, caption and all."""
    scenes = [scene(config, SPLIT, int(i)) for i in np.floor(np.arange(n) * (1 - share) + 1e-9)]
    return scenes, scenes


def dropped(config: SceneConfig, n: int, share: float) -> Records:
    """Leave out all pictures with an object of a share of the vocabulary."""
    kept = max(1, round(config.vocabulary * (1 - share)))
    stream = (scene(config, SPLIT, i) for i in count())
    scenes = list(islice((s for s in stream if all(thing.index < kept for thing in s.objects)), n))
    return scenes, scenes


DISTURBANCES: dict[str, Disturbance] = {
    "blur": Disturbance(title="blur", unit="pixels (sigma)", strengths=(0.3, 0.5, 0.8, 1.5), most=16, pixels=blur),
    "noise": Disturbance(title="noise", unit="levels of 255 (sd)", strengths=(1, 3, 8, 20), most=255, pixels=noise),
    "jpeg": Disturbance(
        title="JPEG quality", unit="100 - quality", strengths=(5, 20, 50, 80), most=99, top=100, pixels=jpeg
    ),
    "hue": Disturbance(title="colours turned", unit="degrees", strengths=(5, 15, 45, 120), most=360, pixels=hue),
    "averaged": Disturbance(
        title="averaged",
        unit="share of the average",
        strengths=(0.1, 0.25, 0.5, 1),
        most=1,
        towards=averages,
    ),
    "subject": Disturbance(
        title="wrong subject",
        unit="share of the pictures",
        strengths=(0.1, 0.25, 0.5, 1),
        most=1,
        records=wrong_subject,
    ),
    "caption": Disturbance(
        title="wrong caption",
        unit="share of the pictures",
        strengths=(0.1, 0.25, 0.5, 1),
        most=1,
        records=wrong_caption,
    ),
    "dropped": Disturbance(
        title="subjects never drawn",
        unit="share of the vocabulary",
        strengths=(0.25, 0.5, 0.75, 0.875),
        most=0.95,
        records=dropped,
    ),
    "repeated": Disturbance(
        title="repeats", unit="share of the pictures", strengths=(0.5, 0.75, 0.9, 0.97), most=0.999, records=repeated
    ),
    "memorised": Disturbance(
        title="training pictures",
        unit="share of the pictures",
        strengths=(0.25, 0.5, 0.75, 1),
        most=1,
        records=memorised,
    ),
}
