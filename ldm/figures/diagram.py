"""A diagram of the whole method as an SVG: from a caption to a judged picture, and below it what is trained.

Every box names a piece of the code. Its title leads to the chapter that studies it, its name to the piece itself on the
pages about the code. Colours are the page's own, so the drawing follows light and dark; it is narrow enough for a
phone.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, LINE = 372, 19  # of the drawing, and from one line of text to the next, in its own units: pixels on a phone
PAD, GAP = 9, 22  # inside a box, and between two
LETTER = 6.4  # how wide one is, on average
HOME = "../"  # from a page to the root of the book
STYLE = """
.ldm-diagram { display: block; width: 100%; max-width: 30rem; margin: 1rem auto 1.5rem; }
.ldm-diagram text { font-size: 13px; fill: currentColor; }
.ldm-diagram a { color: inherit; text-decoration: none; }
.ldm-diagram .ldm-title { font-weight: 600; font-size: 14.5px; fill: var(--pst-color-link, currentColor); }
.ldm-diagram .ldm-head { font-weight: 600; font-size: 15px; }
.ldm-diagram .ldm-code { font-family: var(--pst-font-family-monospace, monospace); font-size: 12.5px;
  fill: var(--pst-color-link, currentColor); text-decoration: underline; }
.ldm-diagram rect { fill: var(--pst-color-surface, none); fill-opacity: .6; stroke: currentColor; stroke-opacity: .45; }
.ldm-diagram :is(a:hover, a:focus) rect { stroke: var(--pst-color-link, currentColor); stroke-opacity: 1; }
.ldm-diagram .ldm-arrow { fill: none; stroke: currentColor; stroke-width: 1.4; }
"""  # of the page's own colours, where it has some


class Box(NamedTuple):
    """One station: what it is called, the piece of code behind it, a line about it, and its chapter."""

    title: str
    code: str  # module:name, below ldm
    about: str
    chapter: str  # a page of the book, with a place on it or without


ASKED = (
    Box("caption", "data.scenes.captions:caption", "what to draw", "notebooks/01_data"),
    Box("noise", "diffusion.sampler:initial_noise", "a key per picture", "notebooks/a0_primer#noise"),
)
TEXT = Box("text tower", "networks.text:SceneTextTower", "a vector per word", "book/how-it-works")
LOOP = Box("sampler", "diffusion.sampler:sample", "repeats these three in every step", "notebooks/05_samplers")
STEP = (
    Box("denoiser", "networks.unet:UNet", "guesses the clean picture, with the caption and without",
        "notebooks/02_family"),
    Box("guidance", "diffusion.guidance:combine", "pushes the guess towards the caption", "notebooks/04_sampling"),
    Box("step", "diffusion.plan:Plan", "moves from the noise towards the guess", "notebooks/05_samplers"),
)  # fmt: skip
DRAWN = (
    Box("decoder", "networks.autoencoder:Codec", "latents become pixels",
        "notebooks/01_data#through-the-autoencoder-and-back"),
    Box("picture", "tasks.generate:Generator", "what one sees", "notebooks/04_sampling#look-at-them"),
    Box("judges", "metrics.kernel:kid", "how far from real pictures, with an interval", "notebooks/a1_metrics"),
)  # fmt: skip
TRAINED = (
    Box("autoencoder", "tasks.frozen.reconstruction:autoencoder_loss", "pixels and edges; a critic at the end",
        "notebooks/01_data"),
    Box("text tower", "tasks.frozen.text:text_loss", "which caption belongs to which picture", "book/how-it-works"),
    Box("denoiser", "diffusion.losses:diffusion_loss", "squared error of the predicted noise, or of v",
        "notebooks/03_pretraining"),
    Box("student", "tasks.distillation.codi:codi_loss", "agree with the teacher, in fewer steps",
        "notebooks/08_distillation"),
    Box("judge of scenes", "tasks.frozen.detector:detector_loss", "name what a scene shows, and where",
        "book/metrics"),
)  # fmt: skip


def method() -> str:
    """Draw the diagram as one `<svg>` element."""
    half = (WIDTH - GAP) // 2
    parts, y = [], 2
    height = _height(ASKED[0], half)
    for i, box in enumerate(ASKED):
        parts.append(_box(box, i * (half + GAP), y, half))
    noise, y = y + height, y + height + GAP
    parts += [_arrow(half // 2, noise, y), _box(TEXT, 0, y, half)]
    text, y = y + _height(TEXT, half), y + _height(TEXT, half) + GAP
    parts += [_arrow(half // 2, text, y), _arrow(half + GAP + half // 2, noise, y)]

    inner = WIDTH - 3 * PAD - 12
    top, y = y, y + _height(LOOP, WIDTH) + 2
    inside = []
    for box in STEP:
        inside.append(_box(box, PAD, y, inner))
        y += _height(box, inner) + (0 if box is STEP[-1] else GAP)
        if box is not STEP[-1]:
            inside.append(_arrow(PAD + inner // 2, y - GAP, y))
    first, last, x = top + _height(LOOP, WIDTH) + 2 + LINE, y - LINE, PAD + inner  # back to the first, beside the three
    inside.append(f'<path class="ldm-arrow" d="M{x} {last} h{PAD + 4} V{first} h-{PAD}" marker-end="url(#ldm-tip)"/>')
    y += PAD
    parts += [_box(LOOP, 0, top, WIDTH, height=y - top), *inside]
    for box in DRAWN:
        parts += [_arrow(WIDTH // 2, y, y + GAP), _box(box, 0, y + GAP, WIDTH)]
        y += GAP + _height(box, WIDTH)

    y += GAP + LINE
    parts.append(f'<text class="ldm-head" x="0" y="{y}">What is trained, and by which loss</text>')
    y += PAD
    for box in TRAINED:
        parts.append(_box(box, 0, y, WIDTH))
        y += _height(box, WIDTH) + 6
    return (
        f'<svg class="ldm-diagram" viewBox="-2 0 {WIDTH + 4} {y}" role="group" '
        'aria-label="the method from caption to judged picture, and what is trained">'
        f"<style>{STYLE}</style>"
        '<defs><marker id="ldm-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="currentColor"/></marker></defs>'
        f"{''.join(parts)}</svg>"
    )


def place(box: Box) -> str:
    """Return the page and the place on the pages about the code where a box's piece is described."""
    module, name = box.code.split(":")
    return f"book/code/{room(module)}.html#ldm.{module}.{name}"


def room(module: str) -> str:
    """Return the room of a module: its folder below ldm."""
    return module.rpartition(".")[0]


def _chapter(box: Box) -> str:
    page, _, where = box.chapter.partition("#")
    return f"{page}.html" + (f"#{where}" if where else "")


def _lines(text: str, width: float) -> Sequence[str]:
    """Break a text into lines of at most this width, words whole."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and len(longer) * LETTER > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _height(box: Box, width: float) -> int:
    beside = width > WIDTH / 2  # the name of the code stands at the right of the title, or below it
    return 2 * PAD + LINE * ((1 if beside else 2) + len(_lines(box.about, width - 2 * PAD))) - 4


def _box(box: Box, x: float, y: float, width: float, height: int = 0) -> str:
    beside = width > WIDTH / 2
    name = box.code.split(":")[1]
    right = x + width - PAD if beside else x + PAD
    first, anchor = y + PAD + 12, "end" if beside else "start"
    about = first + LINE * (1 if beside else 2)
    lines = "".join(
        f'<tspan x="{x + PAD}" y="{about + LINE * i}">{html.escape(line)}</tspan>'
        for i, line in enumerate(_lines(box.about, width - 2 * PAD))
    )
    return (
        f'<a href="{HOME}{_chapter(box)}"><rect x="{x}" y="{y}" width="{width}" '
        f'height="{height or _height(box, width)}" rx="7"/>'
        f'<text class="ldm-title" x="{x + PAD}" y="{first}">{html.escape(box.title)}</text>'
        f'<text class="ldm-about">{lines}</text></a>'
        f'<a href="{HOME}{place(box)}"><text class="ldm-code" x="{right}" y="{first + (0 if beside else LINE)}"'
        f' text-anchor="{anchor}">{html.escape(name)}</text></a>'
    )


def _arrow(x: float, start: float, end: float) -> str:
    return f'<path class="ldm-arrow" d="M{x} {start + 2} V{end - 2}" marker-end="url(#ldm-tip)"/>'
