"""Build the book: `python book/build.py`, from book/*.md and the executed notebooks.

    book/, _config.yml, ldm/**/*.py, build/notebooks/*.ipynb
      -> build/source    the same tree, charts as HTML, and _static with Vega and MathJax inside
      -> build/_build/html/index.html

Everything a page needs is in the folder: nothing is fetched, then or later. Warnings are errors.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]  # for `ldm`, of which a script in this folder knows nothing

import comments  # noqa: E402
import exercises  # noqa: E402
import interpreter  # noqa: E402
import machines  # noqa: E402
import published  # noqa: E402
import social  # noqa: E402
from again import forget, list_under_chapters, run_again  # noqa: E402
from binding import entries  # noqa: E402
from pages import copy, for_readers, ran  # noqa: E402

from ldm.commands.variants import chapter_of  # noqa: E402

ROWS = "(the table of rows)"  # what the build replaces in book/provenance.md
DIAGRAM = "(the diagram of the method)"  # and in book/how-it-works.md
SHOWN = ("python", "jax", "flax")  # of the versions that a row records
NAMED = {  # elements of the theme, and what they lack
    "summary(?=><span class=.toctree-toggle)": 'aria-label="the pages below"',
    'div class="pst-scrollable-table-container"': 'tabindex="0" role="group" aria-label="table"',
}
SPACE = '</span> <span class="pre">'
COMMAND = rf"(?:make{SPACE}[a-z]|(?:\.venv/bin/)?python3?{SPACE}-m)"  # how what one may type at a terminal begins
INTERPRETER = ROOT / "build/interpreter"  # kept for all builds: it takes ten seconds
BESIDE = "beside"  # of a build: what lies in the site beside its pages, at the same paths


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
    import pdf
    import yaml

    # Sphinx keeps its millions of objects to the end: to look for garbage among them takes two fifths of the time
    jupyter_book = "import gc; gc.disable(); from jupyter_book.cli.main import main; main()"
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
    config = yaml.safe_load((source / "_config.yml").read_text("utf-8"))
    asked = comments.service(config)
    for page in site.rglob("*.html"):
        within = page.relative_to(site)
        if "_static" not in within.parts:
            text = social.described(page.read_text("utf-8"), within.as_posix(), config["html"].get("baseurl") or "")
            text = (exercises.anchored if page.stem == exercises.PAGE else exercises.pointed)(text)
            depth = len(within.parts) - 1
            copy(comments.offered(light(text, depth), asked, depth).encode(), page)
    for path in (out / BESIDE).rglob("*"):
        if path.is_file():
            copy(path.read_bytes(), site / path.relative_to(out / BESIDE))
    if (site / "book.pdf").is_file():  # of the build before
        pdf.offer(site)
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
    inline = rf'<code class="docutils literal notranslate">(?=<span class="pre">{COMMAND})'
    page = re.sub(inline, '<code class="command docutils literal notranslate">', page)
    for element, what in NAMED.items():  # what a keyboard can reach has a name, and what scrolls a keyboard can reach
        page = re.sub(f"(<{element})>", rf"\1 {what}>", page)
    return page.replace('href="book/credits.html"', f'href="{"../" * depth}book/credits.html"')


def stage(root: Path, source: Path, notebooks: Path) -> Path:
    """Lay out everything the book is made of as one folder, the repository's own layout."""
    import yaml

    from ldm.figures import diagram

    pages = chapters(root / "book/_toc.yml")
    executed = {page: (notebooks / f"{Path(page).name}.ipynb") for page in pages if page.startswith("notebooks/")}
    if missing := [path.stem for path in executed.values() if not path.is_file()]:
        raise ValueError(
            f"not executed yet: {', '.join(missing)}; `make study` runs all, `make notebook N={missing[0]}` one."
        )
    for path in [*root.glob("book/**/*"), *root.glob("ldm/**/*.py")]:
        if path.is_file() and path.suffix != ".pyc" and path.parent.name != "lessons":  # those are templates
            copy(path.read_bytes(), source / path.relative_to(root))
    config = yaml.safe_load((root / "_config.yml").read_text("utf-8"))
    comments.service(config)  # one that is unknown is refused before the pages are made
    where, static = published.repository(config), source / "book/_static"
    if where:  # a link to the sources in the head of every page
        button = {"use_repository_button": True, "repository_url": where["url"], "repository_branch": where["branch"]}
        config["sphinx"]["config"]["html_theme_options"] |= button
    copy(yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode(), source / "_config.yml")
    again, runtime = run_again(notebooks, executed), interpreter.put(root, INTERPRETER, static / "ask")
    for page, path in {**executed, **again}.items():
        text, cache = path.read_text("utf-8"), source.with_name("heights.json")
        foot, since = page == pages[0], ""
        if page in again:
            since = ran(json.loads(executed[f"notebooks/{chapter_of(path.stem)}"].read_text("utf-8")))
        shown = for_readers(
            text, static, path.stem, foot=foot, where=where, cache=cache, interpreter=runtime, since=since
        )
        copy(shown.encode(), source / f"{page}.ipynb")
        copy(published.download(text, path.stem, where).encode(), source.with_name(BESIDE) / f"{page}.ipynb")
    if "book/code" in pages:
        describe(root, source)
    if any(page.startswith("book/lessons/") for page in pages):
        import lessons

        lessons.put(root, source)
    list_under_chapters(source / "book/_toc.yml", again)
    forget([source, source.with_name(BESIDE), source.with_name("_build") / "html"], again)
    rows = rows_for_download(root, static / "rows")
    for name, place, text in (("provenance", ROWS, rows), ("how-it-works", DIAGRAM, raw(diagram.method()))):
        page = source / f"book/{name}.md"
        if page.is_file():
            copy(page.read_text("utf-8").replace(place, text).encode(), page)
    texts = [(page, markdown_of(source, page)) for page in pages]
    verdicts = executed[machines.VERDICTS].read_text("utf-8") if machines.VERDICTS in executed else ""
    names = sorted(path.name for path in (static / "rows").glob("*.csv"))
    for name, text in machines.files(verdicts, config["title"], texts, names).items():
        copy(text.encode(), source.with_name(BESIDE) / name)
    vendor(static)
    return source


def markdown_of(source: Path, page: str) -> str:
    """The Markdown of a staged page, of a notebook its cells one after another."""
    path = source / f"{page}.md"
    if path.is_file():
        return path.read_text("utf-8")
    cells = json.loads((source / f"{page}.ipynb").read_text("utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


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


def chapters(toc: Path) -> list[str]:
    """Every page that a table of contents names, its root first."""
    import yaml

    return [entry.page for entry in entries(yaml.safe_load(toc.read_text("utf-8")))]


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
    copy(social.card(ROOT / "book/_static/family.webp"), static / social.CARD)
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
