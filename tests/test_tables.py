"""Tables for people: words for columns, dashes for what is missing, folds for what is long."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm.figures import laws, tables
from ldm.metrics.catalogue import METRICS, short
from ldm.networks import family


def lines(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_metrics_and_columns_have_words_for_names():
    frame = pd.DataFrame({"c": [8], "kid_effnet": [61.234], "fd_scene there": [2.0], "nfe": [4], "metric": ["psnr"]})
    head, _, row = lines(tables.table(frame))
    assert head == ["size c", "KID-EfficientNet", "FD-scene there", "network evaluations", "metric"]
    assert row == ["8", "61.2", "2", "4", "PSNR (dB)"]


def test_every_metric_has_a_short_name_of_its_own_that_is_no_column_of_the_rows():
    names = [short(name) for name in METRICS]
    assert len(set(names)) == len(names)
    assert not [name for name in names if "_" in name]
    assert short("kid_effnet_decoded") == "KID-EfficientNet, against decoded scenes"


@pytest.mark.parametrize(
    "value, text",
    [(np.inf, "–"), (np.nan, "–"), (None, "–"), (pd.NA, "–"), (True, "yes"), (np.int64(640_000), "640,000")]
    + [(1234.56, "1,235"), (0.0123456, "0.0123"), (3.0, "3"), ([1.5, 2.0], "1.5, 2"), ("as it is", "as it is")],
)
def test_a_value_is_written_for_people(value, text):
    assert tables.cell(value) == text


def test_a_table_is_folded_from_nine_rows_on_and_says_what_it_holds():
    assert "<details>" not in tables.table(pd.DataFrame({"a": range(8)}))
    long = tables.table(pd.DataFrame({"a": range(9)}), what="Races & more")
    assert long.startswith("<details>\n<summary>Races &amp; more, 9 rows</summary>\n\n| a |") and len(lines(long)) == 11


def test_an_index_and_columns_in_two_levels_become_one_head():
    data = pd.DataFrame({"c": [8, 8], "steps": [4, 8], "ms": [1.0, 2.0], "share": [0.5, 0.25]})
    wide = data.pivot(index="c", columns="steps", values=["ms", "share"])
    head, _, row = lines(tables.table(wide))
    assert head == ["size c", "ms · 4 steps", "ms · 8 steps", "share · 4 steps", "share · 8 steps"] and row == [
        "8",
        "1",
        "2",
        "0.5",
        "0.25",
    ]


def test_table_1_stands_beside_our_count_in_eleven_columns():
    text = tables.table1(family.table1())
    assert text.count("<tr>") == 2 + 11 and text.count("<td>") == 11 * 10
    assert "<td>56.8</td><td>25.3</td><td>-55.5%</td>" in text
    assert "norm_cost" not in text and "normalised cost" in text


def test_our_family_has_words_for_its_columns():
    head = lines(tables.family(family.family_table([8, 16])))[0]
    assert head[:3] == ["size c", "parameters, millions", "GFLOPs a pass"] and not [
        name for name in head if "_" in name
    ]


@pytest.mark.parametrize(
    "number, text", [(3630.4, "3,630"), (0.5, "0.5"), (3.6e7, "3.6 x 10<sup>7</sup>"), (2e-5, "2.0 x 10<sup>-5</sup>")]
)
def test_a_number_in_a_sentence_has_no_e(number, text):
    assert laws.scientific(number) == text
