"""A cell that readers run in the page: a chapter's own rows, and a few lines of Python that ask the verdict again.

    rows, influences -> `packed` -> bytes beside an editor in the page -> `unpacked`, in the reader's browser

The book's build puts the bytes into a file of their own and the interpreter beside them (`book/interpreter.py`). What
runs there is `ldm.figures.asked`; what the reader sees is `book/_static/ask`.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ldm.statistics.bootstrap import Influences, InfluencesOf

STATIC, HELP = "../_static", "../book/playground.html#the-rows-of-a-chapter"
PAGE = """<link rel="stylesheet" href="{static}/ask/ask.css">
<div class="ldm-ask" data-rows="data:application/zip;base64,{rows}">
<h3>Ask the rows yourself</h3>
<p>These are the rows of this chapter, and the lines that gave its answer. Change a number, and run them again: they run
in your browser, with the statistics of this book (<a href="{help}">what is at hand</a>).</p>
<pre>{code}</pre>
<p class="elsewhere">They run in the pages of the built book, in a browser with JavaScript.</p></div>
<script src="{static}/playground/shared.js"></script><script src="{static}/ask/ask.js"></script>"""
METRIC = 'metric = "{metric}"{others}'
FIRST = 'rows[rows["seed"] == {seed}]'  # charts show the first training of each size
QUESTIONS = {  # finding -> the code that a reader begins with
    "F1": f"""{METRIC}
rows = rows[rows["images_seen"] >= {{least}}]  # a larger number leaves out short trainings
rows = rows[rows["c"] <= {{largest}}]  # a smaller one leaves out large sizes

verdicts.f1(rows, metric, influences(rows, metric))
plots.quality_vs_compute({FIRST}, metric)""",
    "F3": f"""{METRIC}
rows = rows[rows["c"] <= {{largest}}]  # a smaller number leaves out large sizes
rows = rows[rows["guidance"] <= {{guidance:g}}]

verdicts.f3(rows, metric, influences(rows, metric))
plots.quality_vs_cost({FIRST}, metric)""",
    "F4": f"""{METRIC}
rows = rows[rows["c"] <= {{largest}}]  # a smaller number leaves out large sizes
rows = rows[rows["steps"] >= {{fewest}}]

verdicts.f4(rows, metric, "{{sampler}}", influences(rows, metric), usual="{{usual}}")
plots.quality_by_sampler({FIRST}, metric)""",
}


class Packed(NamedTuple):
    """Rows with the influences of their pictures, as a page carries them."""

    rows: pd.DataFrame
    metrics: list[str]
    known: dict[str, dict[str, np.ndarray]]  # metric -> cell -> each picture's influence

    def influences(self, rows: pd.DataFrame, metric: str) -> Influences:
        """Return cell -> each picture's influence on the metric, as `ldm.study.results.Store.influences` does."""
        known = self.known.get(metric, {})
        return {cell: known[cell] for cell in rows["key"].unique() if cell in known}


def cell(finding: str, rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf) -> Any:
    """Return a cell in which a reader asks a finding of these rows anew, as HTML.

    Nothing where there are no rows, or rows of one sampler alone for F4, which compares two.

    rows: all that the finding was asked of. metrics: those that are offered, the chapter's own first.
    """
    from IPython.display import HTML

    if finding not in QUESTIONS:
        raise ValueError(f"finding = {finding!r}: expected one of {', '.join(QUESTIONS)}.")
    metrics = [metric for metric in dict.fromkeys(metrics) if (rows["metric"] == metric).any()]
    if not metrics or (finding == "F4" and rows["sampler"].nunique() < 2):
        return HTML("")
    data = base64.b64encode(packed(rows, metrics, influences)).decode()
    code = html.escape(question(finding, rows, metrics))
    return HTML(PAGE.format(static=STATIC, help=HELP, rows=data, code=code))


def question(finding: str, rows: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Return the code that a reader begins with: as it stands it leaves out nothing, and gives the chapter's answer."""
    others = ", ".join(f'"{metric}"' for metric in metrics[1:])
    samplers = list(rows["sampler"].dropna().unique())
    return QUESTIONS[finding].format(
        metric=metrics[0],
        others=f"  # or {others}" if others else "",
        largest=rows["c"].max(),
        least=rows["images_seen"].min(),
        fewest=rows["steps"].min(),
        guidance=rows["guidance"].max(),
        seed=rows["seed"].min(),
        usual=samplers[0] if samplers else "",
        sampler=samplers[-1] if samplers else "",
    )


def packed(rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf) -> bytes:
    """Return the rows of these metrics and their influences as a NumPy archive, which `unpacked` reads without loss.

    Columns stand in it as JSON: a Parquet file would ask the reader's browser for pyarrow, and a CSV file tells neither
    a missing text from an empty one nor whole numbers from others.
    """
    rows = rows[rows["metric"].isin(metrics)].drop(columns="versions", errors="ignore")  # long, and the same in all
    known = {metric: influences(rows[rows["metric"] == metric], metric) for metric in metrics}
    metadata = {
        "metrics": list(metrics),
        "dtypes": {name: str(kind) for name, kind in rows.dtypes.items()},
        "columns": {name: [None if pd.isna(value) else value for value in rows[name].tolist()] for name in rows},
        "pictures": {metric: {key: len(values) for key, values in of.items()} for metric, of in known.items()},
    }
    arrays = {metric: np.concatenate(list(of.values())) for metric, of in known.items() if of}
    file = io.BytesIO()
    as_bytes = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    np.savez_compressed(file, allow_pickle=False, metadata=as_bytes, **arrays)
    return file.getvalue()


def unpacked(data: bytes) -> Packed:
    """Return what `packed` was given. Raises: ValueError for bytes that are none of its archives."""
    try:
        with np.load(io.BytesIO(data)) as file:
            metadata, arrays = json.loads(file["metadata"].tobytes()), {name: file[name] for name in file.files}
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"these {len(data)} bytes are no packed rows ({error}); build the book again.") from error
    columns = {name: pd.Series(metadata["columns"][name], dtype=kind) for name, kind in metadata["dtypes"].items()}
    known = {}
    for metric, lengths in metadata["pictures"].items():
        ends = np.cumsum(list(lengths.values()))
        known[metric] = dict(zip(lengths, np.split(arrays[metric], ends[:-1]), strict=True)) if lengths else {}
    return Packed(pd.DataFrame(columns), metadata["metrics"], known)
