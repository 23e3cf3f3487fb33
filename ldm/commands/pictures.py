"""Commands for pictures of one's own: enlarged by the study's models, or to judge them by."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional


def upscale(
    picture: Positional[Path],
    /,
    c: int = 16,
    model: Path | None = None,
    profile: str = "laptop-64",
    steps: int = 50,
    seed: int = 0,
    out: Path = Path("upscaled.png"),
) -> None:
    """Enlarge a picture four times in height and width, by the study's model of width c or one that you finetuned."""
    from ldm import profiles
    from ldm.data import pictures
    from ldm.data.degrade import FACTOR
    from ldm.tasks import superres
    from ldm.tasks import upscale as tiles

    chosen, small = profiles.get(profile), tiles.read(picture)
    pictures.check_out(out, FACTOR * small.shape[1], FACTOR * small.shape[0])
    table = chosen.plan("ddim", steps)
    restorer = superres.restorer(chosen, c, chosen.finetuned, file=model)
    pictures.save(out, tiles.upscale(small, restorer, table, seed=seed))
    print(out)


def gallery(
    folder: Positional[Path],
    /,
    c: int = 16,
    model: Path | None = None,
    profile: str = "laptop-64",
    steps: int = 50,
    n: int = 3_000,
) -> None:
    """Judge a model of super-resolution on n random crops of a folder's pictures, beside bicubic interpolation."""
    from ldm import profiles
    from ldm.study.photographs import measure_photographs

    print(
        measure_photographs(profiles.get(profile), folder, c, model=model, steps=steps, n=n).to_string(
            index=False, float_format="{:.4g}".format
        )
    )
