"""Parameters and FLOPs against the paper's Table 1, a closed form, and hand-counted layers."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldm.networks import cost, family

PAPER = pd.read_csv(family.TABLE1)
EVEN = st.integers(1, 400).map(lambda half: 2 * half)


@pytest.mark.parametrize("row", list(PAPER.itertuples()), ids=list(PAPER["name"]))
def test_parameters_equal_table_1_exactly(row):
    assert cost.unet_params(row.base_filters) == row.params_exact_context1024


@pytest.mark.parametrize("row", list(PAPER.itertuples()), ids=list(PAPER["name"]))
def test_gflops_and_normalised_cost_are_those_of_table_1(row):
    gflops = cost.unet_gflops(row.base_filters)
    if row.name == "39M":  # the erratum: the printed figure is less than half
        assert gflops > 2 * row.gflops_reported
    else:
        assert gflops == pytest.approx(row.gflops_reported, rel=0.01)
    assert cost.norm_cost(row.base_filters) == pytest.approx(row.norm_cost_reported, abs=0.006)


# XLA's cost_analysis() of one forward pass, batch 1, 64x64x4, 77 tokens of width 1024
XLA = {64: 56.06, 96: 101.84, 160: 232.55, 320: 787.72, 768: 4078.04}


@pytest.mark.parametrize("c, gflops", list(XLA.items()))
def test_gflops_agree_with_xlas_count(c, gflops):
    assert cost.unet_gflops(c) == pytest.approx(gflops, rel=0.015)


@given(EVEN, st.integers(1, 2048))
def test_parameters_follow_the_closed_form_at_every_width(c, context):
    assert cost.unet_params(c, context) == 8202 * c**2 + (78 * context + 1459) * c + 4


def test_width_768_text_gives_stable_diffusion_1_5():
    assert cost.unet_params(320, context=768) == 859_520_964


@given(EVEN, st.sampled_from([8, 16, 32, 64]))
def test_cost_rises_with_width_and_with_the_latents_area(c, size):
    shape = dict(tokens=32, context=256)
    assert cost.unet_gflops(c, size, **shape) < cost.unet_gflops(c + 2, size, **shape)
    # four times the pixels, sixteen times the pairs; the text's keys and the time stay
    assert 2 < cost.unet_gflops(c, 2 * size, **shape) / cost.unet_gflops(c, size, **shape) < 16


def test_a_convolution_is_charged_for_the_taps_inside_the_map():
    # 3x3 on one pixel: 8 of 9 taps see only padding; 5 inputs, 7 outputs, a bias each
    assert cost._conv("", 1, 3, 5, 7).flops == 2 * 5 * 7 + 7
    # on 2x2 each pixel sees all four pixels
    assert cost._conv("", 2, 3, 5, 7).flops == 4 * (2 * 4 * 5 * 7 + 7)
    # stride 2 from 4x4 to 2x2: rows see 2 and 3 taps, so 5 x 5 products in all
    assert cost._conv("", 2, 3, 5, 7, came_from=4).flops == 2 * 25 * 5 * 7 + 4 * 7


def test_the_walk_names_every_level_once_down_and_once_up():
    places = list(dict.fromkeys(layer.place.split("/")[0] for layer in cost.unet_layers(8)))
    ups = ["up3", "up2", "up1", "up0"]
    assert places == ["time", "in", "down0", "down1", "down2", "down3", "mid", *ups, "out"]
    attended = {layer.place for layer in cost.unet_layers(8) if layer.kind == "attention"}
    levels = [f"{way}{level}/attn" for way in ("down", "up") for level in range(3)]
    assert attended == {*levels, "mid/attn"}


@pytest.mark.parametrize(
    "c, groups, heads", [(8, 4, 1), (16, 8, 2), (24, 12, 3), (32, 16, 4), (64, 32, 8), (320, 32, 8)]
)
def test_small_widths_have_fewer_groups_and_heads_and_table_1_has_sds(c, groups, heads):
    assert (cost.groups(c), cost.heads(c)) == (groups, heads)


@pytest.mark.usefixtures("any_types")
@pytest.mark.parametrize(
    "wrong",
    [dict(c=0), dict(c=-8), dict(c=7), dict(c=8.0), dict(c=8, size=0), dict(c=8, tokens=-1)],
)
def test_a_wrong_size_is_refused_in_one_sentence(wrong):
    with pytest.raises(ValueError) as caught:
        list(cost.unet_layers(**wrong))
    assert "\n" not in str(caught.value)
    assert repr(next(value for value in reversed(wrong.values()))) in str(caught.value)


def test_costs_are_in_the_papers_units():
    assert cost.norm_cost(320) == 1
    assert cost.norm_cost(32, reference=32, size=8, tokens=32, context=256) == 1
    assert cost.sampling_cost(0.13, 23) == pytest.approx(3, abs=0.02)  # 83M at cost 3
    assert cost.nfe(50, guided=True) == 100 and cost.nfe(19, guided=False) == 19
    assert cost.training_compute(1.0, 500_000 * 2048) == pytest.approx(1.02e9, rel=0.01)


def test_table_1_prints_every_row_and_column_and_the_erratum_its_numbers():
    table = family.table1()
    text = str(table)
    assert len(table) == 11 and len(text.splitlines()) == 12
    assert all(column in text for column in ("name", "c", "params", "gflops", "norm_cost"))
    assert "..." not in text and "865910724" in text
    wrong = table[table["gflops_error"].abs() > 0.01]
    assert list(wrong["name"]) == ["39M"]
    assert all(number in family.erratum() for number in ("25.3", "0.03", "0.07", "789.3"))
