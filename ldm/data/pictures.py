"""Reads and writes picture files: what Pillow opens becomes upright 8-bit RGB on white, or is refused with the reason.

Everything that reads a picture of the user's reads it here, from a file or from bytes. Of 16-bit grey the higher half
counts, where the file says that 0 is black and 65535 white; numbers without such a scale (32 bits, floats) have no
levels, and Pillow would silently cut them off at 255.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from ldm import files

PICTURES = (".png", ".jpg", ".jpeg", ".webp")  # endings of files that are looked for
GREY16 = ("I;16", "I;16L", "I;16B", "I;16N")
DETOUR = {"LAB": "RGB", "La": "LA"}  # modes from which Pillow has no right way straight to RGBA
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", *DETOUR, *GREY16)
GAP = 4  # pixels between the pictures of a sheet
BITS, WHITE_OR_BLACK = 258, 262  # tags of a TIFF: bits a number, and whether 0 is white (0) or black (1)


@contextlib.contextmanager
def opened(source: bytes | str | Path) -> Iterator[Image.Image]:
    """Open a picture, of which only the header is read yet.

    Raises: ValueError, which says why but names no file, for what cannot be read here or within the block.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            yield file
    except UnidentifiedImageError:
        empty = not (source if isinstance(source, bytes) else Path(source).stat().st_size)
        raise ValueError("it is empty" if empty else "it has no format that Pillow knows") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises
        raise ValueError(str(error)) from error


def upright(file: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """Return the pixels of an opened picture as one holds it; transparent parts become white.

    Raises: ValueError for pixels that are no levels; and as Pillow does for a damaged file.
    """
    if file.mode not in MODES:
        raise ValueError(f"its pixels are of mode {file.mode}, which has no fixed black and white; save it with 8 bits")
    image = ImageOps.exif_transpose(file)
    if file.mode in GREY16:
        image = _eight_bits(file, image)
    elif file.mode in DETOUR:
        image = image.convert(DETOUR[file.mode])
    image = image.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def whole(source: bytes | str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """Return a picture as large as it is. Raises: as `opened`."""
    with opened(source) as file:
        return upright(file)


def square(source: bytes | str | Path, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Return the central square of a picture, resized. Raises: as `opened`."""
    image = Image.fromarray(whole(source))
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    image = image.crop((left, top, left + side, top + side))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def check_out(path: str | Path, width: int = 1, height: int = 1) -> None:
    """Raise ValueError, one sentence, before any work, where no picture so large can be saved."""
    files.check_out(path, PICTURES)
    try:
        _encoded(path, np.zeros((height, width, 3), np.uint8))
    except (OSError, ValueError) as error:  # WebP and JPEG end at some length
        raise ValueError(
            f"out = {path}: {width} x {height} pixels cannot be saved so ({error}); choose .png."
        ) from None


def save(path: str | Path, pixels: UInt8[np.ndarray, "h w 3"], about: Mapping[str, str] | None = None) -> None:
    """Write a picture, whole or not at all, as its ending says; a PNG keeps the texts `about` it, as `texts` reads."""
    files.write_atomic(path, _encoded(path, pixels, about or {}))


def texts(path: str | Path) -> dict[str, str]:
    """Return what a PNG says about itself; of other pictures nothing. Raises: as `opened`."""
    with opened(path) as file:
        return dict(getattr(file, "text", {}))


def sheet(images: Sequence[UInt8[np.ndarray, "h w 3"]], side: int = 256) -> UInt8[np.ndarray, "H W 3"]:
    """Lay pictures side by side in a square of rows, on white; each within `side` pixels, none enlarged."""
    small = [Image.fromarray(image) for image in images]
    for image in small:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    columns = int(np.ceil(np.sqrt(len(small))))
    width, height = (max(image.size[axis] for image in small) + GAP for axis in (0, 1))
    page = Image.new("RGB", (columns * width + GAP, -(-len(small) // columns) * height + GAP), "white")
    for place, image in enumerate(small):
        page.paste(image, (GAP + place % columns * width, GAP + place // columns * height))
    return np.asarray(page)


def _encoded(path: str | Path, pixels: UInt8[np.ndarray, "h w 3"], about: Mapping[str, str] | None = None) -> bytes:
    kind = Image.registered_extensions()[Path(path).suffix.lower()]
    options = {}
    if about and kind == "PNG":
        options["pnginfo"] = PngInfo()
        for name, text in about.items():
            options["pnginfo"].add_itxt(name, text)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, kind, **options)
        return file.getvalue()


def _eight_bits(file: Image.Image, image: Image.Image) -> Image.Image:
    """Return 16-bit grey, turned upright, as 8-bit grey with the transparency that the file gives one of its levels."""
    tags = getattr(file, "tag_v2", {})
    if (
        file.format not in ("PNG", "TIFF", "JPEG2000")
        or tags.get(BITS, (16,)) != (16,)
        or tags.get(WHITE_OR_BLACK, 1) != 1
    ):
        raise ValueError(
            f"its pixels are of mode {file.mode}, and not from 0, black, to 65535, white; save it with 8 bits"
        )
    levels = np.asarray(image).astype(np.int32)
    alpha = np.where(levels == file.info.get("transparency", -1), 0, 255)
    return Image.fromarray(np.stack([(levels + 128) // 257, alpha], -1).astype(np.uint8), "LA")


def to_webp(image: np.ndarray) -> bytes:
    """Return a picture, uint8 (h, w, 3), as WebP at a quality where one sees no loss."""
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "WEBP", quality=90, method=4)
        return file.getvalue()
