"""Pictures in a notebook: strips and grids with a label and an alternative text each."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ldm.data.pictures import to_webp

LEAST = 64  # pixels across, on the narrowest page: a table scrolls before its pictures get smaller
LONG = 24  # letters of a row's label from which on it stands above its row, where it can wrap


def data_url(webp: bytes) -> str:
    """Return WebP as an address that holds the picture itself, for pages and charts without files beside them."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


def _tag(image: np.ndarray, alt: str, width: int) -> str:
    """Return `<img>` with the picture inside; up to 16 times enlarged pixels stay smooth, not blocky."""
    height = round(width * image.shape[0] / image.shape[1])
    picture = Image.fromarray(image)
    small = width > image.shape[1]
    if small:  # bicubic at twice the pixels, the screen does the rest: sharp and half the bytes
        size = (min(width, 2 * image.shape[1]), min(height, 2 * image.shape[0]))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return (
        f'<img src="{data_url(to_webp(np.asarray(picture)))}" alt="{html.escape(alt)}" width="{width}" '
        f'height="{height}" style="max-width:100%;min-width:{min(width, LEAST)}px;height:auto;border-radius:6px;'
        'margin:0">'
    )


def _check(images: np.ndarray, ndim: int) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != ndim or images.shape[-1] != 3 or not images.size:
        raise ValueError(
            f"pictures must be uint8 with {ndim} axes, the last one RGB; got {images.dtype} of shape {images.shape}."
        )
    return images


def picture_strip(images: np.ndarray | Sequence[np.ndarray], labels: Sequence[str], *, width: int = 128) -> Any:
    """Set pictures side by side, wrapping as the page is narrow; the label is also the alt text.

    `images`: uint8 (n, h, w, 3), 0..255. `labels`: n strings. `width`: pixels on the page.
    """
    from IPython.display import HTML

    images = _check(np.stack([np.asarray(image) for image in images]), 4)
    if len(labels) != len(images):
        raise ValueError(f"{len(images)} pictures need as many labels, not {len(labels)}.")
    cells = "".join(
        f'<figure style="margin:0">{_tag(image, label, width)}<figcaption style="font-size:.75em;'
        f'line-height:1.3;opacity:.8;margin-top:.25em">{html.escape(label)}</figcaption></figure>'
        for image, label in zip(images, labels, strict=True)
    )
    return HTML(
        '<div class="ldm-strip" style="display:grid;gap:.75rem;grid-template-columns:'
        f'repeat(auto-fill,minmax(min({width}px,45%),{width}px))">{cells}</div>'
    )


def picture_grid(
    images: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    corner: str = "",
    width: int = 96,
    notes: Sequence[Sequence[str]] | None = None,
) -> Any:
    """Show a table of pictures, for instance model sizes (rows) by step counts (columns).

    Labels of rows that are long, such as captions, stand above their rows and wrap.
    `images`: uint8 (len(rows), len(columns), h, w, 3), 0..255. `corner`: what rows and columns are.
    `notes`: a line beneath each picture.
    """
    from IPython.display import HTML

    images = _check(images, 5)
    if images.shape[:2] != (len(rows), len(columns)):
        raise ValueError(
            f"a grid of {images.shape[0]} by {images.shape[1]} pictures cannot carry "
            f"{len(rows)} row and {len(columns)} column labels."
        )
    label = "font-weight:600;font-size:.8em;padding:2px 6px;text-align:"
    above = max(map(len, rows)) > LONG
    head = ("" if above else f'<th style="{label}left">{html.escape(corner)}</th>') + "".join(
        f'<th scope="col" style="{label}center">{html.escape(name)}</th>' for name in columns
    )
    notes = notes or [[""] * len(columns)] * len(rows)
    small = "font-size:.7em;opacity:.8;text-align:center"
    stays = "display:inline-block;position:sticky;left:6px;max-width:calc(100vw - 4rem)"  # as the pictures scroll
    body = "".join(
        (
            f'<tr><th scope="rowgroup" colspan="{len(columns)}" style="{label}left;font-weight:400;white-space:normal">'
            f'<span style="{stays}">{html.escape(row)}</span></th></tr><tr>'
            if above
            else f'<tr><th scope="row" style="{label}left;white-space:nowrap">'
            + html.escape(row).replace(" = ", "&nbsp;=&nbsp;")  # where a phone's narrow column folds lines
            + "</th>"
        )
        + "".join(
            f'<td style="padding:2px">{_tag(image, f"{row}, {column}", width)}'
            + (f'<div style="{small}">{html.escape(note)}</div>' if note else "")
            + "</td>"
            for image, column, note in zip(line, columns, under, strict=True)
        )
        + "</tr>"
        for line, row, under in zip(images, rows, notes, strict=True)
    )
    return HTML(
        '<div class="ldm-grid" tabindex="0" role="group" aria-label="a table of pictures" style="overflow-x:auto">'
        '<table style="border-collapse:'
        f'collapse;width:auto"><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )
