"""Every link of the built book: `python book/links.py --out build/laptop-eps` says which lead nowhere.

Within the book each must lead to a file that is there and to a place on its page; addresses elsewhere are asked by
Sphinx's linkcheck, which needs the network.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

import build

ADDRESSES = ("href", "src", "data-src", "poster")


@functools.cache
def page(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The addresses that a page names, and the places on it that may be named."""
    tags = BeautifulSoup(path.read_text("utf-8"), "html.parser").find_all(True)
    named = {tag[name] for tag in tags for name in ADDRESSES if tag.get(name)}
    return frozenset(named), frozenset({tag.get("id") or tag.get("name") for tag in tags} - {None})


def broken(folder: Path) -> list[str]:
    """Every link within a folder of pages that leads nowhere, with the page that it stands on."""
    found, folder = [], folder.resolve()
    for path in sorted(folder.rglob("*.html")):
        if "_static" in path.relative_to(folder).parts:
            continue
        for address in sorted(page(path)[0]):
            scheme, host, file, _, place = urlsplit(address)
            if scheme or host:
                continue
            target = (path.parent / unquote(file)).resolve() if file else path
            if not target.is_file() or not target.is_relative_to(folder):
                found.append(f"{path.relative_to(folder)}: {address}: no such file")
            elif place and target.suffix == ".html" and unquote(place) not in page(target)[1]:
                found.append(f"{path.relative_to(folder)}: {address}: no such place")
    return found


def main() -> int:
    """Print the broken links; status 1 where there is one."""
    parser = argparse.ArgumentParser(description="Check every link of the built book.")
    parser.add_argument("--out", type=Path, default=build.ROOT / "build", help="where it was built")
    parser.add_argument("--within", action="store_true", help="only links within the book, without the network")
    given = parser.parse_args()
    if not (given.out / "_build/html/index.html").is_file():
        print(f"There is no book in {given.out}: build it first, by `make study` or `make book`.", file=sys.stderr)
        return 1
    wrong = broken(given.out / "_build/html")
    print("\n".join(wrong) or "Every link within the book leads somewhere.")
    if wrong or given.within:
        return 1 if wrong else 0
    try:
        build.build(out=given.out, builder="linkcheck")
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(build.ROOT))
    sys.exit(main())
