"""The chapter about two families: what it draws and says, on made-up rows of both profiles."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ldm import profiles
from ldm.data.pictures import to_webp
from ldm.figures import families, family_training, kinds, levels
from ldm.networks import sizes
from tests.synthetic import sampling

PAIR = [profiles.get(name) for name in ("laptop-eps", "laptop-dit")]
KINDS = families.names(PAIR)
KID = "kid_effnet_decoded"
PARTNERS = {8: 48, 16: 72, 32: 120}


def rows(level: str = "some", *, worse: float = 1.4, steps=(2, 4, 8)) -> dict[str, pd.DataFrame]:
    """Rows of both families, the transformers worse by a factor."""
    found = {}
    for profile, factor, turned in ((PAIR[0], 1.0, {c: c for c in PARTNERS}), (PAIR[1], worse, PARTNERS)):
        part, _ = sampling(
            lambda c, steps, guidance, f=factor: f * (10 + 60 / steps + 200 / c), metric=KID, se=0.2, steps=steps
        )
        c = part["c"].map(turned)
        found[profile.name] = part.assign(
            c=c,
            profile=profile.name,
            key=profile.name + part["key"],
            level=level,
            sampler="ddim",
            nfe=2 * part["steps"],
            gflops=1.0,
            seed=0,
            params=[sizes.params(profile.network, width, profile.context) for width in c],
        )
    return found


def compared(found):
    together = families.together(found, ["all", "some"], KID)
    return together, kinds.compared(together, KINDS, KID, lambda rows, metric: {})


def test_the_answer_names_the_family_that_is_better_and_levels_without_rows_are_left_out():
    _, by_level = compared(rows())
    said = kinds.answer({KID: by_level}, KINDS).data
    assert said.count("\n") == 0 and "**the UNets are surely better**" in said and "says some of it" in said
    _, turned = compared(rows(worse=0.6))
    assert "**the transformers are surely better**" in kinds.answer({KID: turned}, KINDS).data


def test_partners_are_compared_at_the_step_counts_that_both_have():
    found = rows()
    found["laptop-dit"] = found["laptop-dit"].query("c != 120 and steps > 2")
    together, _ = compared(found)
    assert sorted(together["some"]["c"].unique()) == [8, 16, 48, 72] and set(together["some"]["steps"]) == {4, 8}
    table = families.costs(PAIR, together).data
    assert "616,476" in table and "140,116" in table and "transformer 120" not in table


def test_the_charts_have_a_panel_a_level_and_a_dash_a_family():
    together, by_level = compared(rows())
    chart = families.curves(together, PAIR, KID).to_dict()
    data = next(iter(chart["datasets"].values()))
    assert {row["kind"] for row in data} == {"UNets", "transformers"} and len({row["who"] for row in data}) == 3
    drawn, table = kinds.along(by_level, KINDS)
    assert "advantage of the UNets over the transformers" in drawn.to_dict()["description"]
    assert "the UNets are surely better" in table.data


def without(rows, metric):
    """No influences of pictures."""
    return {}


def test_the_finding_is_asked_of_each_family_and_of_both():
    together, _ = compared(rows())
    alone = families.alone(together, KID, without)
    heads, _, line = families.finding({KID: alone}, PAIR).data.split("\n")
    assert "| UNets" in heads and "| transformers" in heads
    for widths in ("8, 16, 32", "48, 72, 120"):  # at small budgets the truth gains more by steps
        assert f"{widths}: **holds**, 100% better, 0% not; +" in line
    said = families.alike({KID: alone}).data
    assert "| they agree |" in said and "alone? **No**: of" in said
    drawn, shares = families.smaller_or_largest(alone, PAIR)
    panels = {row["panel"] for row in next(iter(drawn.to_dict()["datasets"].values()))}
    assert panels == {"UNets: the caption says some of it", "transformers: the caption says some of it"}
    assert shares.data.count("the caption says") == 2


def test_of_one_pair_of_partners_no_sizes_are_compared():
    found = rows()
    found["laptop-eps"] = found["laptop-eps"].query("c != 32")
    found["laptop-dit"] = found["laptop-dit"].query("c != 72")
    together, _ = compared(found)
    assert set(together["some"]["c"]) == {8, 48}
    alone = families.alone(together, KID, without)
    assert families.finding({KID: alone}, PAIR).data == families.alike({KID: alone}).data == levels.MISSING
    assert families.smaller_or_largest(alone, PAIR)[0].data == levels.MISSING


def test_the_page_says_whose_trainings_tell_the_scatter():
    found = rows()
    again = found["laptop-dit"].query("c == 48")
    again = again.assign(seed=1, key=again["key"] + "again", value=1.1 * again["value"])
    assert "trained once" in families.luck(compared(found)[0], PAIR, KID).data
    found["laptop-dit"] = pd.concat([found["laptop-dit"], again], ignore_index=True)
    said = families.luck(compared(found)[0], PAIR, KID).data
    assert "transformer 48 (2 trainings) scatter by 6.7%" in said and "(1 degrees of freedom)" in said


def test_two_families_are_of_two_kinds():
    with pytest.raises(ValueError, match=r"laptop-eps \(UNets\), laptop-eps \(UNets\); expected two profiles"):
        families.names([PAIR[0], PAIR[0]])


def test_the_explorer_switches_between_the_families(monkeypatch):
    monkeypatch.setattr(families, "thumbnail", lambda store, key: to_webp(np.zeros((4, 2, 3), np.uint8)))
    together, _ = compared(rows())
    store = SimpleNamespace(influences=lambda rows, metric: {})
    drawn = families.explore({KID: together}, store, {}).to_dict()
    [choice] = [param for param in drawn["params"] if param["name"] == "profile"]
    assert choice["bind"]["labels"] == ["UNets (laptop-eps)", "transformers (laptop-dit)"]
    assert families.explore({KID: {}}, store, {}).data == levels.MISSING


@pytest.mark.parametrize("lacks", ["laptop-eps", "laptop-dit"])
def test_where_one_family_has_no_rows_the_page_says_so(lacks):
    found = rows()
    found[lacks] = found[lacks][:0]
    together, by_level = compared(found)
    assert not together and kinds.along(by_level, KINDS)[0].data == levels.MISSING
    assert kinds.answer({KID: by_level}, KINDS).data == levels.MISSING


def losses(worse: float = 1.1, widths=(48, 72, 120)) -> pd.DataFrame:
    """Held-out losses of both families as `family_training.together` gives them."""
    found = {}
    for profile, factor in zip(PAIR, (1.0, worse), strict=True):
        lines = [
            dict(
                key=f"{profile.name}-{c}-{images}",
                profile=profile.name,
                metric="denoising",
                protocol="synthetic",
                task="denoise",
                c=c,
                params=1e6,
                gflops=sizes.gflops(profile.network, c, 8, 24, 128),
                images_seen=images,
                seed=0,
                value=(value := factor * (0.1 + 100 / images / c)),
                lo=value - 1e-5,
                hi=value + 1e-5,
                n=1024,
            )
            for c in profile.family
            for images in profile.lengths
            if profile.network == "unet" or c in widths
        ]
        found[profile.name] = pd.DataFrame(lines)
    return family_training.together(found, PAIR)


def test_at_equal_training_compute_partners_are_compared_and_the_answer_is_told():
    known = losses(widths=(48, 72))
    assert sorted(known["c"].unique()) == [8, 16, 48, 72]
    found = family_training.compared(known, KINDS, without)
    assert "**the UNets are surely better**" in family_training.answer(found, KINDS).data
    drawn, table = family_training.along(found, KINDS)
    assert "at every training budget" in drawn.to_dict()["description"] and "the UNets" in table.data
    chart = family_training.curves(known, PAIR).to_dict()
    data = next(iter(chart["datasets"].values()))
    assert {row["who"] for row in data} == {"8 and 48", "16 and 72"} and len({row["kind"] for row in data}) == 2
    turned = family_training.compared(losses(worse=0.9), KINDS, without)
    assert "**the transformers are surely better**" in family_training.answer(turned, KINDS).data


def test_without_losses_of_both_families_the_page_says_so():
    none = losses(widths=())
    assert none.empty and family_training.compared(none, KINDS, without) is None
    said = (
        family_training.answer(None, KINDS),
        family_training.along(None, KINDS)[0],
        family_training.curves(none, PAIR),
    )
    assert {one.data for one in said} == {levels.MISSING}


def test_networks_of_one_length_each_are_no_curves():
    known = losses()
    assert family_training.compared(known[known["images_seen"] == known["images_seen"].max()], KINDS, without) is None
