"""F4 and the order of samplers at several levels of caption, on made-up rows whose truth is known."""

from __future__ import annotations

import pandas as pd

from ldm.figures import samplers
from tests.synthetic import sampling


def drawn(worse: float, steps=(4, 8, 16)) -> tuple[pd.DataFrame, dict]:
    """Rows by DDIM, and by DDPM, which is worse by a factor at every size and step count."""
    value = lambda c, steps, guidance: 100 / steps + 400 / c
    parts, influences = [], {}
    for name, factor in (("ddim", 1.0), ("ddpm", worse)):
        rows, found = sampling(
            lambda c, n, g, factor=factor: factor * value(c, n, g), se=0.05, steps=steps, guidance=(1.0,)
        )
        parts.append(rows.assign(sampler=name, key=f"{name}/" + rows["key"]))
        influences |= {f"{name}/{key}": part for key, part in found.items()}
    return pd.concat(parts, ignore_index=True), influences


def test_each_level_has_its_own_answer_and_says_where_there_is_none():
    (rows, influences), (alike, more) = drawn(1.2), drawn(1.0)
    by_level = {"some": rows, "all": alike, "nothing": rows[rows["c"] == 8]}
    known = {id(rows): influences, id(alike): more}
    of = lambda part, metric: known.get(id(part), influences)
    found = samplers.order_by_level(by_level, [("ddim", "ddpm")], ["kid_effnet"], of)
    assert found["the caption says"].tolist() == ["everything", "some of it", "nothing"]
    assert found["asked"].unique().tolist() == ["DDIM before DDPM"]
    assert found["kid_effnet"][1].startswith("**holds** +20%") and found["kid_effnet"][0].startswith("**fails**")
    assert samplers.order_by_level(by_level, [("ddim", "ddpm")], ["subject"], of)["subject"].eq("–").all()
    same = samplers.f4_by_level(by_level, "ddim", ["ddpm"], ["kid_effnet"], of)
    assert same["kid_effnet"][0].startswith("**holds**") and same["kid_effnet"][1].startswith("**holds**")
    assert same["kid_effnet"][2].startswith("not asked of these rows: F4 needs two sizes")
