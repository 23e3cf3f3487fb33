"""What other programs show of a page that somebody shares: its title, its first sentences and a picture.

They are Open Graph's (ogp.me). An image's address has to be whole there, so it needs that of the site: `html.baseurl`
in `_config.yml`. Without one it is relative, which only some programs understand.
"""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

from PIL import Image

CARD = "card.png"  # in _static
SIZE = (1200, 630)  # pixels, as most programs show it
MOST = 200  # characters of a description


def card(picture: Path) -> bytes:
    """Return a picture as a PNG of SIZE on white, as large as it fits."""
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    scale = min(SIZE[0] / image.width, SIZE[1] / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    whole, encoded = Image.new("RGB", SIZE, "white"), io.BytesIO()
    whole.paste(image, ((SIZE[0] - image.width) // 2, (SIZE[1] - image.height) // 2))
    whole.save(encoded, "PNG", optimize=True)
    return encoded.getvalue()


def described(page: str, address: str, site: str = "") -> str:
    """Return a page whose head says what it is; a title that says the same twice says it once.

    address: of the page within the site, `notebooks/04_sampling.html`; site: where that is, or nothing.
    """
    page = re.sub(r"<title>(.+?) &#8212; \1</title>", r"<title>\1</title>", page)
    page = re.sub(r"<meta (?:property=.og:|name=.(?:description|twitter:card)).*?/>", "", page)  # of a build before
    title = re.search(r"<title>(.*?)</title>", page, re.S)
    said = first_sentences(page)
    base = site.rstrip("/") + "/" if site else "../" * address.count("/")
    properties = {
        "og:title": html.unescape(title[1]).partition(" — ")[0] if title else "",
        "og:description": said,
        "og:type": "article",
        "og:url": f"{base}{address}" if site else "",
        "og:image": f"{base}_static/{CARD}",
        "og:image:alt": "one caption, drawn by small and large models in few and many steps",
    }
    lines = [f'<meta property="{name}" content="{html.escape(text)}"/>' for name, text in properties.items() if text]
    lines += [f'<meta name="description" content="{html.escape(said)}"/>'] if said else []
    lines += ['<meta name="twitter:card" content="summary_large_image"/>']
    return page.replace("</title>", "</title>" + "".join(lines), 1)


def first_sentences(page: str) -> str:
    """Return what the first paragraph after the heading says, whole sentences as far as MOST characters go."""
    paragraph = re.search(r"</h1>.*?<p[^>]*>(.*?)</p>", page, re.S)
    if not paragraph:
        return ""
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", "", paragraph[1])).split())
    if len(text) <= MOST:
        return text
    end = max(text.rfind(mark, 0, MOST) for mark in (". ", "? ", "! "))
    return text[: end + 1] if end > 0 else text[: text.rfind(" ", 0, MOST - 1)] + "…"
