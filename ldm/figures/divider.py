"""Before and after: two of several pictures on top of each other, with a divider that one drags.

One element of plain HTML with a slider, which a keyboard moves, too, and menus that choose what lies on either
side. It needs nothing beside it, and without JavaScript shows the first two halves.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ldm.data.pictures import to_webp
from ldm.figures.pictures import data_url

LEAST = 128  # pixels of a picture's longer side as it is embedded: the screen does the rest
STYLE = """<style>
.ldm-divider { --at: 50%; margin: .5rem 0 1rem; padding: 5px; box-sizing: border-box; }
.ldm-divider .of { position: relative; margin: .35rem 0; border-radius: 6px; overflow: hidden; background: #8883; }
.ldm-divider .of img { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; padding: 0; background: none;
filter: none; } .ldm-divider .of img[hidden] { display: none; }
.ldm-divider .of::after { content: ""; position: absolute; inset: 0 auto 0 var(--at); width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; z-index: 2; }
.ldm-divider input { display: block; width: 100%; height: 2rem; margin: 0; accent-color: var(--pst-color-primary,
#3b7dd8);
  touch-action: pan-y; }
.ldm-divider .of input { position: absolute; inset: 0; height: 100%; opacity: 0; cursor: ew-resize; z-index: 3; }
.ldm-divider .of:focus-within { outline: 3px solid var(--pst-color-primary, #3b7dd8); outline-offset: 2px; }
.ldm-divider .sides { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .35rem .75rem; font-size:
.9rem; } .ldm-divider label { display: inline-flex; align-items: center; gap: .4rem; margin: 0; }
.ldm-divider select { font: inherit; color: inherit; background: transparent; border: 1px solid #8888; border-radius:
6px;
  padding: .25rem .4rem; max-width: 11rem; }
.ldm-divider option { color: initial; background: initial; }
</style>"""
SHOW = """const v = n => this.querySelector('[name=' + n + ']').value;
this.style.setProperty('--at', v('at') + '%');
for (const i of this.querySelectorAll('img')) {
  const right = i.dataset.way === v('right');
  i.hidden = i.dataset.picture !== v('picture') || !right && i.dataset.way !== v('left');
  i.style.clipPath = right ? 'inset(0 0 0 ' + v('at') + '%)' : 'none';
  i.style.zIndex = right ? 1 : 0;
}"""


def divider(
    ways: Mapping[str, UInt8[np.ndarray, "k h w 3"] | Sequence[UInt8[np.ndarray, "h w 3"]]],
    pictures: Sequence[str],
    *,
    left: str,
    right: str,
    width: int = 384,
) -> Any:
    """Show any two ways of the same k pictures side by side under a divider.

    Args:
        ways: what was made in each way, the same k pictures in order; small ones are enlarged smoothly.
        pictures: k names. left, right: the ways that lie there at first. width: pixels on the page, at most.
    Raises: ValueError, one sentence, where pictures and names do not fit, or a way is not among them.
    """
    from IPython.display import HTML

    for side in (left, right):
        if side not in ways:
            raise ValueError(f"{side!r} is no way; expected one of {', '.join(ways)}.")
    for way, images in ways.items():
        if len(images) != len(pictures) or any(
            np.asarray(x).dtype != np.uint8 or np.shape(x)[2:] != (3,) for x in images
        ):
            raise ValueError(
                f"{way!r} has {len(images)} pictures; give {len(pictures)} of uint8 (h, w, 3), one a name."
            )
    height, across = np.shape(ways[right][0])[:2]
    shown = "".join(
        _image(np.asarray(image), f"{name}, {way}", i, way, on=i == 0 and way in (left, right), cut=way == right)
        for way, images in ways.items()
        for i, (name, image) in enumerate(zip(pictures, images, strict=True))
    )
    several = len(pictures) > 1
    menus = _menu("left", "left", ways, left) + _menu("right", "right", ways, right)
    slider = (
        '<input type="range" name="at" min="0" max="100" step="1" value="50" aria-label="per cent of the left picture'
        ' that is seen">'
    )
    return HTML(
        f'{STYLE}<div class="ldm-divider" role="group" aria-label="two pictures under a divider" '
        f'style="max-width:{width}px" oninput="{html.escape(SHOW)}">'
        f"<div {'' if several else 'hidden'}>{_menu('picture', 'picture', range(len(pictures)), 0, pictures)}</div>"
        f'<div class="of" style="aspect-ratio:{across} / {height}">{shown}{slider}</div>'
        f'<div class="sides">{menus}</div></div>'
    )


def _image(image: UInt8[np.ndarray, "h w 3"], alt: str, picture: int, way: str, *, on: bool, cut: bool) -> str:
    times = -(-LEAST // max(image.shape[:2]))
    big = Image.fromarray(image).resize((image.shape[1] * times, image.shape[0] * times), Image.Resampling.BICUBIC)
    style = "z-index:1;clip-path:inset(0 0 0 50%)" if cut else ""
    return (
        f'<img src="{data_url(to_webp(np.asarray(big)))}" alt="{html.escape(alt)}" data-picture="{picture}" '
        f'data-way="{html.escape(way)}" style="{style}" {"" if on else "hidden"}>'
    )


def _menu(name: str, label: str, values: Any, chosen: Any, texts: Sequence[str] | None = None) -> str:
    options = "".join(
        f'<option value="{html.escape(str(value))}"'
        f" {'selected' if value == chosen else ''}>{html.escape(str(text))}</option>"
        for value, text in zip(values, texts or values, strict=True)
    )
    return f'<label>{label} <select name="{name}">{options}</select></label>'
