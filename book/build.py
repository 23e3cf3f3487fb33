"""Build the book: `python book/build.py`, from book/*.md and the executed notebooks.

    book/, _config.yml, ldm/**/*.py, build/notebooks/*.ipynb
      -> build/source    the same tree, charts as HTML, and _static with Vega and MathJax inside
      -> build/_build/html/index.html

Everything a page needs is in the folder: nothing is fetched, then or later. Warnings are errors.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VEGALITE = "application/vnd.vegalite.v5+json"  # what ldm.figures.charts emits
ROWS = "(the table of rows)"  # what the build replaces in book/provenance.md
DIAGRAM = "(the diagram of the method)"  # and in book/how-it-works.md
SHOWN = ("python", "jax", "flax")  # of the versions that a row records
NAMED = {  # elements of the theme, and what they lack
    "summary(?=><span class=.toctree-toggle)": 'aria-label="the pages below"',
    'div class="pst-scrollable-table-container"': 'tabindex="0" role="group" aria-label="table"',
}
RESULTS = "application/vnd.ldm.results+json"  # what ldm.figures.record.record emits: not for readers


def build(
    root: Path = ROOT, out: Path = ROOT / "build", notebooks: Path | None = None, *, builder: str = "html"
) -> Path:
    """Build the book of the repository `root` under `out`; returns its index.html.

    `notebooks` holds the executed notebooks (`out/notebooks`). Raises `ValueError` for one that the
    table of contents names and that has not been run, `RuntimeError` for a warning of the build, and where another
    process builds there.
    `builder`: one of Sphinx's; "linkcheck" asks every address outside the book instead of writing pages.
    """
    out = Path(out).resolve()  # the toolchain joins relative paths to the source folder
    from ldm.files import hold

    with hold(out / "book.lock", wait=False):
        return typeset(stage(root, out / "source", notebooks or out / "notebooks"), out, builder)


def typeset(source: Path, out: Path, builder: str) -> Path:
    """Let Jupyter Book make pages of a folder that `stage` has laid out."""
    jupyter_book = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", jupyter_book, "build", str(source), "--path-output", str(out)]
    command += ["--config", str(source / "_config.yml"), "--toc", str(source / "book/_toc.yml")]
    command += ["--builder", builder, "-W", "--keep-going", "--quiet"]
    found = os.pathsep.join([str(ROOT), str(ROOT / "book"), *filter(None, [os.environ.get("PYTHONPATH")])])  # ldm, api
    environment = {
        "JAX_PLATFORMS": "cpu",
        **os.environ,
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": found,
        "PYTHONUTF8": "1",
    }
    done = subprocess.run(command, env=environment)
    if done.returncode:
        # Sphinx warns about a page only while it reads it: let the next build read them all
        shutil.rmtree(out / "_build/.doctrees", ignore_errors=True)
        raise RuntimeError("the book has warnings or errors (above): mend them and build again.")
    site = out / "_build/html"
    for page in site.rglob("*.html"):
        copy(light(page.read_text("utf-8"), len(page.relative_to(site).parts) - 1).encode(), page)
    return site / "index.html"


def light(page: str, depth: int) -> str:
    """A page without what it does not need: half a page's weight is icons drawn twice, and formulas where there are
    none.

    `depth`: of how many folders; the footer is the same text on every page, and its link is not.
    """
    page = re.sub(r'<link rel="preload" as="(font|script)"[^>]*>', "", page)  # from file:// a browser may not preload
    page = re.sub(r'<script src="[^"]*fontawesome[^"]*"></script>', "", page)  # the icons are there as a font
    # a page that is not written anew would keep the old checksum of a new file
    page = re.sub(r'(\.(?:js|css))\?v=[0-9a-f]{8}(?=")', r"\1", page)
    if 'class="math' not in page:
        page = re.sub(r'<script[^>]*"[^"]*mathjax/[^>]*></script>', "", page)
    page = page.replace(
        '<div role="list" class="citation-list">', '<div class="citation-list">'
    )  # its entries have roles of their own
    for element, what in NAMED.items():  # what a keyboard can reach has a name, and what scrolls a keyboard can reach
        page = re.sub(f"(<{element})>", rf"\1 {what}>", page)
    return page.replace('href="book/credits.html"', f'href="{"../" * depth}book/credits.html"')


def stage(root: Path, source: Path, notebooks: Path) -> Path:
    """Lay out everything the book is made of as one folder, the repository's own layout."""
    from ldm.figures import diagram

    pages = chapters(root / "book/_toc.yml")
    missing = [
        p
        for p in pages
        if p.startswith("notebooks/") and not (notebooks / p.removeprefix("notebooks/")).with_suffix(".ipynb").is_file()
    ]
    if missing:
        names = ", ".join(page.removeprefix("notebooks/") for page in missing)
        raise ValueError(
            f"not executed yet: {names}; `make study` runs all, "
            f"`make notebook N={missing[0].removeprefix('notebooks/')}` one."
        )
    for path in [root / "_config.yml", *root.glob("book/**/*"), *root.glob("ldm/**/*.py")]:
        if path.is_file() and path.suffix != ".pyc" and path.parent.name != "lessons":  # those are templates
            copy(path.read_bytes(), source / path.relative_to(root))
    for page in pages:
        if page.startswith("notebooks/"):
            executed = (notebooks / page.removeprefix("notebooks/")).with_suffix(".ipynb")
            text = for_readers(
                executed.read_text("utf-8"), source / "book/_static/pictures", executed.stem, foot=page == pages[0]
            )
            copy(text.encode(), (source / page).with_suffix(".ipynb"))
    if "book/code" in pages:
        describe(root, source)
    if any(page.startswith("book/lessons/") for page in pages):
        import lessons

        lessons.put(root, source)
    rows = rows_for_download(root, source / "book/_static/rows")
    for name, place, text in (("provenance", ROWS, rows), ("how-it-works", DIAGRAM, raw(diagram.method()))):
        page = source / f"book/{name}.md"
        if page.is_file():
            copy(page.read_text("utf-8").replace(place, text).encode(), page)
    vendor(source / "book/_static")
    return source


def describe(root: Path, source: Path) -> None:
    """Put a page for each room of ldm/ into the book, below book/code."""
    import api

    made = api.pages(root)
    for name, text in made.items():
        copy(text.encode(), source / f"book/code/{name}.md")
    page, toc = source / "book/code.md", source / "book/_toc.yml"
    copy(page.read_text("utf-8").replace(api.FILES, api.contents(root)).encode(), page)
    sections = "      - file: book/code\n        sections:" + "".join(
        f"\n          - file: book/code/{name}" for name in made
    )
    copy(re.sub(r"(?m)^      - file: book/code\b.*", sections, toc.read_text("utf-8")).encode(), toc)


def rows_for_download(root: Path, folder: Path) -> str:
    """Put every row into `folder`, a CSV file a study and profile; returns a table of them in Markdown.

    A cell that this machine has run stands there instead of its record, as it does in the chapters. The rows' versions,
    the same for thousands of them, are left to the table.
    """
    from ldm.study.results import Store

    rows = Store(root).rows()
    lines = ["| study | profile | cells | rows | made | with | |", "|---|---|---:|---:|---|---|---|"]
    for (study, profile), part in rows.groupby(["study", "profile"]):
        target = folder / f"{study}-{profile}.csv"
        copy(part.drop(columns="versions").to_csv(index=False).encode(), target)
        days = sorted({created[:10] for created in part["created"]})
        made = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        packages = {f"{n} {v}" for text in part["versions"].unique() for n, v in json.loads(text).items() if n in SHOWN}
        lines.append(
            f"| {study} | {profile} | {part['key'].nunique():,} | {len(part):,} | {made} "
            f'| {", ".join(sorted(packages))} | <a href="../_static/rows/{target.name}" download>CSV</a> |'
        )
    return "\n".join(lines)


def raw(element: str) -> str:
    """An element of HTML as Markdown that Sphinx passes on untouched."""
    return f"```{{raw}} html\n{element}\n```"


def copy(data: bytes, target: Path) -> None:
    """Write only what changed: Sphinx rebuilds a page when its file is newer."""
    if not target.is_file() or target.read_bytes() != data:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def chapters(toc: Path) -> list[str]:
    """Every page that a table of contents names, its root first."""
    import yaml

    def files(entry: Any) -> list[str]:
        if isinstance(entry, list):
            return [name for item in entry for name in files(item)]
        if not isinstance(entry, dict):
            return []
        own = [entry[key] for key in ("root", "file") if key in entry]
        return own + [name for value in entry.values() for name in files(value)]

    return files(yaml.safe_load(toc.read_text("utf-8")))


def for_readers(notebook: str, pictures: Path | None = None, name: str = "", *, foot: bool = False) -> str:
    """An executed notebook with its charts as HTML and without what only machines read.

    `pictures`: the folder for the pictures of charts, so that a page loads those that are seen; None leaves them
    inside. `name`: of the notebook; if given, the command that made the page stands beneath its title, or with `foot`
    beneath its
    last words: the first page of the book begins with what it is about.
    """
    content = json.loads(notebook)
    if name:
        given = content["metadata"].get("papermill", {}).get("parameters", {})
        title, *rest = "".join(content["cells"][0]["source"]).split("\n")
        again = (
            f"*Run this page again: `{command(name, given)}`. Open it as a notebook: `make lab`,"
            f" `notebooks/{name}.py`.*"
        )
        if foot:
            last = [cell for cell in content["cells"] if cell["cell_type"] == "markdown"][-1]
            last["source"] = "".join(last["source"]) + f"\n\n{again}"
        else:
            content["cells"][0]["source"] = "\n".join([title, "", again, *rest])
    for cell in content["cells"]:
        tags = cell.get("metadata", {}).get("tags", [])
        if "injected-parameters" in tags:  # papermill's; the notebook's own parameters stand above
            cell["metadata"]["tags"] = [*tags, "remove-cell"]
        kept = []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if RESULTS in data:
                continue
            if VEGALITE in data:
                output["data"] = {"text/html": chart(data[VEGALITE], pictures)}
            if "text/markdown" in data:  # to Sphinx the Markdown of an output is text, whose links it leaves alone
                text = "".join(data["text/markdown"])
                data["text/markdown"] = re.sub(r"(\]\((?!\w+:)[^)#]+)\.(ipynb|md)(?=[)#])", r"\1.html", text)
            kept.append(output)
        if "outputs" in cell:
            cell["outputs"] = kept
    return json.dumps(content, indent=1)


def command(name: str, given: dict[str, Any]) -> str:
    """What to type for a notebook with these parameters."""
    said = {key: ",".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in given.items()}
    profile = said.pop("profile", "laptop")
    more = " ".join(f"-p {key} {value!r}" if " " in value else f"-p {key} {value}" for key, value in said.items())
    parts = [
        f"make notebook N={name}",
        f"PROFILE={profile}" if profile != "laptop" else "",
        f'ARGS="{more}"' if more else "",
    ]
    return " ".join(filter(None, parts))


def chart(spec: dict[str, Any], pictures: Path | None = None) -> str:
    """A chart as the element that book/_static/ldm-charts.js fills; its pictures go into the folder, if there is
    one.
    """
    spec = {**spec, "$schema": "https://vega.github.io/schema/vega-lite/v6.json"}
    label = html.escape(str(spec.get("description", "an interactive chart")))
    text = json.dumps(spec, separators=(",", ":")).replace("</", "<\\/")
    if pictures:
        text = re.sub(
            r"data:image/webp;base64,([\w+/=]+)", lambda found: "../_static/pictures/" + put(found[1], pictures), text
        )
    return (
        f'<div class="ldm-chart" role="figure" aria-label="{label}">'
        f'<script type="application/json">{text}</script>'
        "<noscript>This chart is drawn by JavaScript.</noscript></div>"
    )


def put(picture: str, folder: Path) -> str:
    """Write a picture, given as base64, and return the file's name, which its content determines."""
    data = base64.b64decode(picture)
    name = hashlib.sha256(data).hexdigest()[:16] + ".webp"
    copy(data, folder / name)
    return name


def vendor(static: Path) -> None:
    """Put Vega (one bundle, by vl-convert), MathJax (of sphinx-mathjax-offline) and the playground's models into
    `static`.

    Made at build time from installed packages and the shipped weights, so that nothing is committed twice nor fetched.
    Raises: RuntimeError where the models cannot be exported.
    """
    models = subprocess.run([sys.executable, "-m", "ldm", "browser"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if models.returncode:
        raise RuntimeError("the playground's models could not be exported (above).")
    for path in Path(models.stdout.strip()).parent.iterdir():
        copy(path.read_bytes(), static / "playground" / path.name)
    if not (static / "vega.js").is_file():
        import vl_convert

        # in a function of its own: the bundle's one-letter names must not become globals
        copy(f"(()=>{{{vl_convert.javascript_bundle()}}})();".encode(), static / "vega.js")
    if not (static / "mathjax/tex-chtml.js").is_file():
        package = importlib.util.find_spec("sphinx-mathjax-offline")
        if package is None or package.origin is None:
            raise ValueError("sphinx-mathjax-offline is not installed: pip install -r requirements.txt.")
        mathjax = Path(package.origin).parent / "static/mathjax"
        for part in [mathjax / "tex-chtml.js", *mathjax.glob("output/chtml/fonts/woff-v2/*.woff")]:
            copy(part.read_bytes(), static / "mathjax" / part.relative_to(mathjax))


def main() -> int:
    """Build, and say where to open it; one sentence and status 1 where it cannot be built."""
    parser = argparse.ArgumentParser(description="Build the book.")
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="where it is built")
    try:
        index = build(out=parser.parse_args().out)
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The book: {index.as_uri()}")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # for `ldm`, of which a script in this folder knows nothing
    sys.exit(main())
