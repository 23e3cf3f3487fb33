"""Comments of readers: a button at the end of each page, where the book's owner has switched it on.

Nothing is asked of the service until a reader presses the button; without it no page names the service at all. It is
hypothes.is, which needs no account of the owner and keeps comments by a page's address.
"""

from __future__ import annotations

import re
from typing import Any

SERVICES = {"hypothesis": ("hypothes.is", "https://hypothes.is/embed.js")}


def service(config: dict[str, Any]) -> str:
    """Return which service the book's configuration names, nothing for none. Raises: ValueError for one unknown."""
    named = config["sphinx"]["config"].get("html_context", {}).get("comments") or ""
    if named and named not in SERVICES:
        raise ValueError(f"comments is {named!r} in _config.yml; expected nothing or {', '.join(SERVICES)}.")
    return named


def offered(page: str, named: str, depth: int) -> str:
    """Return a page with the button at the end of its article; as it is where no service is named.

    depth: of how many folders the page lies in the site.
    """
    page = re.sub(r'<p class="ldm-comments">.*?</script>', "", page, flags=re.S)  # of a build before
    if not named:
        return page
    name, address = SERVICES[named]
    button = (
        f'<p class="ldm-comments"><button type="button" data-from="{address}">Read and write comments</button>'
        f" This loads {name}, which then knows that you read this page.</p>"
        f'<script src="{"../" * depth}_static/comments.js"></script>'
    )
    head, end, rest = page.rpartition("</article>")
    return head + button + end + rest if end else page
