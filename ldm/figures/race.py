"""The race of the first page: a caption drawn live by every size within one budget, in the reader's browser.

Python says what can be chosen: captions by how much they say, and for each budget the best measured setting of each
size on such captions. What draws is `book/_static/playground/race.js`, which the built book carries beside the models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from IPython.display import HTML

from ldm.figures.levels import title
from ldm.figures.samples import label
from ldm.statistics import optimum
from ldm.statistics.budget import step_of_the_largest

STATIC = "../_static/playground"
PAGE = """<link rel="stylesheet" href="{static}/race.css">
<div id="race"><script type="application/json">{given}</script>
<p>The race runs in the built book, in a browser with JavaScript.</p></div>
<script src="{static}/shared.js"></script><script src="{static}/race.js"></script>"""


def race(
    rows: pd.DataFrame, metric: str, steps: Sequence[int], captions: Mapping[str, Sequence[str]], megabytes: float
) -> HTML:
    """Let the reader race the sizes of these rows.

    rows: by one sampler, with their level of caption, from which each size's best setting by this metric is taken.
    steps: of the largest size, whose costs are the budgets. captions: level -> captions to choose from; a level without
    rows is left out. megabytes: what the reader is told that the models take.
    """
    groups = []
    for level, said in captions.items():
        mine = rows[rows["level"].fillna("all") == level]
        if mine["c"].nunique() > 1:
            found = budgets(mine, metric, steps)
            groups.append({"title": title(level), "captions": list(dict.fromkeys(said)), "budgets": found})
    common = set.intersection(*(set(group["budgets"]) for group in groups)) if groups else set()
    for group in groups:
        group["budgets"] = {name: found for name, found in group["budgets"].items() if name in common}
    given = json.dumps({"groups": groups, "megabytes": round(megabytes)})
    return HTML(PAGE.format(static=STATIC, given=given.replace("</", "<\\/")) if common else "")


def budgets(rows: pd.DataFrame, metric: str, steps: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return, for each budget, its cost, its title, and the best setting of each size that can use it, small to large.

    Cost is the paper's; a size whose fewest steps cost more is left out. Step counts that the largest size has no rows
    of are passed over.
    """
    largest = rows[rows["c"] == rows["c"].max()]
    price = step_of_the_largest(rows)
    known = {int(count) for count in largest["steps"]}
    found = {}
    for count in steps:
        if count not in known:
            continue
        best = optimum.within(rows, metric, [count * price]).sort_values("c")
        found[str(count)] = {
            "title": f"{label('steps', count)} of c = {int(largest['c'].iloc[0])}",
            "cost": count * price,
            "runs": [
                {"c": int(row.c), "steps": int(row.steps), "guidance": float(row.guidance)} for row in best.itertuples()
            ],
        }
    return found
