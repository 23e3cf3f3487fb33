"""What runs in a reader's browser: lines of Python on a chapter's rows, and how their answers reach the page.

    a line of code -> its value -> one line of standard output: a zero byte, then {"chart" | "html" | "text" | "error"}

The page's worker (`book/_static/ask/worker.js`) calls `run`; all else that is printed is text. Neither JAX nor pyarrow
nor IPython is there, so nothing that this file imports may need them.
"""

from __future__ import annotations

import ast
import html
import json
import linecache
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ldm.figures import ask, plots, tables
from ldm.statistics import comparisons, optimum, verdicts

CELL = "the cell"  # what a traceback calls the reader's code
MOST = 20  # lines of a table that are shown
OFFERED = {  # what the reader's code finds by name, beside its rows
    **{"np": np, "pd": pd, "alt": alt, "plots": plots},
    **{"comparisons": comparisons, "optimum": optimum, "verdicts": verdicts},
}


def run(path: str, code: str) -> None:
    """Run code on the packed rows of a file, and show what each of its lines gives; an error is shown, not raised."""
    found = ask.unpacked(Path(path).read_bytes())
    names = {**OFFERED, "rows": found.rows, "metric": found.metrics[0], "influences": found.influences, "display": show}
    linecache.cache[CELL] = (len(code), None, code.splitlines(keepends=True), CELL)  # for tracebacks
    before, sys.displayhook = sys.displayhook, show
    try:
        lines = ast.Interactive(ast.parse(code, CELL).body)  # of which every line that has a value shows it
        exec(compile(lines, CELL, "single"), names)
    except (Exception, SystemExit) as error:
        answer("error", last_lines(error))
    finally:
        sys.displayhook = before


def last_lines(error: BaseException) -> str:
    """Return the end of a traceback: where in the reader's code it happened, where below that, and what was wrong."""
    frames = traceback.extract_tb(error.__traceback__, limit=sys.getrecursionlimit())  # whatever others set as usual
    mine = [frame for frame in frames if frame.filename == CELL]
    shown = [*mine, *frames[-1:]] if mine and frames[-1] is not mine[-1] else mine
    return "".join([*traceback.format_list(shown), *traceback.format_exception_only(error)]).rstrip()


def show(*values: Any) -> None:
    """Show values in the page: charts drawn, tables and verdicts set for people, all else as Python prints it."""
    for value in values:
        if value is None:
            continue
        if isinstance(value, alt.TopLevelMixin):
            answer("chart", value.to_dict())
        elif isinstance(value, pd.DataFrame | pd.Series):
            answer("html", table(value.to_frame() if isinstance(value, pd.Series) else value))
        elif isinstance(value, verdicts.Verdict):
            answer("html", "<p>" + re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(str(value))) + "</p>")
        else:
            answer("text", value if isinstance(value, str) else repr(value))


def answer(kind: str, content: Any) -> None:
    """Print a line that the worker takes for an answer of this kind."""
    print("\0" + json.dumps({kind: content}), flush=True)


def table(frame: pd.DataFrame) -> str:
    """Return a frame's first lines as an HTML table, in the words of the book's tables."""
    if any(frame.index.names):
        frame = frame.reset_index()
    heads = "".join(f'<th scope="col">{html.escape(word)}</th>' for word in tables.words(frame.columns))
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(tables.cell(value))}</td>" for value in line) + "</tr>"
        for line in frame.head(MOST).itertuples(index=False)
    )
    rest = f"<p>The first {MOST} of {len(frame):,} rows.</p>" if len(frame) > MOST else ""
    return tables.element(f"<tr>{heads}</tr>", lines) + rest
