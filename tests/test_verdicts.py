"""Verdicts on made-up rows whose truth is known, in both directions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm.figures import tables
from ldm.statistics import comparisons, dreambooth, optimum, student, superres, verdicts
from tests.synthetic import STEP_COST, sampling


@pytest.mark.parametrize("metric, sign", [("kid_effnet", 1), ("subject", -1)])
def test_f3_holds_where_many_steps_of_a_small_model_win_and_fails_where_they_do_not(metric, sign):
    steps_matter = lambda c, steps, guidance: sign * (100 / steps + 10 / c)
    size_matters = lambda c, steps, guidance: sign * (100 / c + 1 / steps)
    assert verdicts.f3(*reorder(sampling(steps_matter, metric), metric)).answer == "holds"
    assert verdicts.f3(*reorder(sampling(size_matters, metric), metric)).answer == "fails"


def reorder(made, metric):
    rows, influences = made
    return rows, metric, influences


def test_more_settings_to_choose_from_do_not_make_a_finding():
    """All settings are truly equal; eleven to one of them belong to smaller models. 5 % of verdicts may err."""
    nothing = lambda c, steps, guidance: 50.0
    answers = [
        verdicts.f3(*reorder(sampling(nothing, se=1.0, shared=shared, seed=seed), "kid_effnet"), margin=0).answer
        for seed in range(40)
        for shared in (0.0, 0.8)
    ]
    assert np.mean([answer != "undecided" for answer in answers]) <= 0.15


@pytest.mark.parametrize("se, answer", [(0.1, "fails"), (5.0, "undecided")])
def test_f3_fails_where_sizes_surely_tie_and_is_undecided_where_nobody_can_tell(se, answer):
    nothing = lambda c, steps, guidance: 50.0
    assert verdicts.f3(*reorder(sampling(nothing, se=se), "kid_effnet")).answer == answer


def test_f3_holds_where_size_is_useless_and_fails_where_steps_are():
    only_steps = lambda c, steps, guidance: 100 / steps
    only_size = lambda c, steps, guidance: 1000 / c
    assert verdicts.f3(*reorder(sampling(only_steps), "kid_effnet")).answer == "holds"
    assert verdicts.f3(*reorder(sampling(only_size), "kid_effnet")).answer == "fails"


def test_f3_from_four_steps_on_uses_no_setting_of_fewer():
    """Up to three steps a small model is better at equal cost, from four on the largest is."""
    true = lambda c, steps, guidance: 100 / steps if steps < 4 else 20 / c
    made = reorder(sampling(true, se=0.05, steps=(1, 2, 3, 4, 8, 16, 32)), "kid_effnet")
    assert verdicts.f3(*made, fewest=4).answer == "fails"


def training(value):
    """Rows of four lengths and three sizes; `value(compute, images)` is their distance."""
    rows = []
    for c, cost in STEP_COST.items():
        for images in (1_000, 3_000, 9_000, 27_000):
            found = value(cost * images, images)
            rows.append(
                {
                    "key": f"{c}-{images}",
                    "metric": "kid_effnet",
                    "protocol": "synthetic",
                    "c": c,
                    "steps": 50,
                    "guidance": 2.0,
                    "cost": 50 * cost,
                    "images_seen": images,
                    "value": found,
                    "lo": found - 0.01,
                    "hi": found + 0.01,
                    "n": 256,
                }
            )
    return pd.DataFrame(rows)


def test_f1_holds_where_compute_explains_more_than_images_and_fails_where_size_is_useless():
    by_compute = verdicts.f1(training(lambda compute, images: -np.log(compute)), "kid_effnet")
    assert by_compute.answer == "holds" and by_compute.effect.value > 0.1
    by_images = verdicts.f1(training(lambda compute, images: -np.log(images)), "kid_effnet")
    assert by_images.answer == "fails" and by_images.effect.value < -0.1
    assert "**F1 fails** by KID-EfficientNet" in str(by_images)
    noise = np.random.default_rng(0).normal(size=12)
    nothing = training(lambda compute, images: 0.0).assign(value=noise, lo=noise - 2, hi=noise + 2)
    assert verdicts.f1(nothing, "kid_effnet").answer == "undecided"


def by_size_and_compute(value):
    """Rows of three sizes at four lengths of finetuning, true up to 0.01; quality is -value(c, compute)."""
    rows = training(lambda compute, images: 0.0)
    compute = rows["cost"] / rows["steps"] * rows["images_seen"]
    values = [value(c, spent) for c, spent in zip(rows["c"], compute, strict=True)]
    made = dict(profile="made up", gflops=rows["cost"] / rows["steps"])
    return rows.assign(value=values, lo=np.array(values) - 0.01, hi=np.array(values) + 0.01, **made)


@pytest.mark.parametrize(
    "value, equal, at_end",
    [
        (lambda c, compute: 100 / c, "holds", "holds"),  # size decides
        (lambda c, compute: 1e6 / compute, "fails", "holds"),  # compute decides: the largest has spent most at its end
        (lambda c, compute: 3.0 * c, "fails", "fails"),  # the smallest is best
        (lambda c, compute: 50.0, "fails", "fails"),  # neither does: alike within the margin
    ],
)
def test_f2_holds_where_the_largest_is_best_and_fails_where_it_is_not(value, equal, at_end):
    rows = by_size_and_compute(value)
    found = [superres.f2(rows, "kid_effnet", at_end=end) for end in (False, True)]
    assert [one.answer for one in found] == [equal, at_end]
    assert all(one.effect.lo <= one.effect.value <= one.effect.hi for one in found)
    noisy = rows.assign(lo=rows["value"] - 500, hi=rows["value"] + 500)
    assert {superres.f2(noisy, "kid_effnet", at_end=end).answer for end in (False, True)} == {"undecided"}
    assert "surely better over" in str(found[0]) and "after 27,000 images" in str(found[1])


def test_f2_within_equal_compute_asks_sizes_that_ended_early_as_they_ended():
    """The smallest is by far the best, and its longest finetuning costs less than what the largest has settled at."""
    rows = by_size_and_compute(lambda c, compute: 1.0 if c == 8 else 100 / c)
    compute = rows["gflops"] * rows["images_seen"]
    longest = rows.groupby("c")["images_seen"].transform("max")
    settled = compute[(rows["c"] == 32) & (rows["images_seen"] * superres.SETTLED >= longest)].min()
    assert compute[rows["c"] == 8].max() < settled
    assert superres.f2(rows, "kid_effnet").answer == "fails"
    assert superres.f2(rows[rows["c"] != 8], "kid_effnet").answer == "holds"
    with pytest.raises(ValueError, match="finetune for longer"):
        superres.f2(rows[rows["c"] != 16], "kid_effnet")


def test_f2_within_equal_compute_pools_the_trainings_of_a_size_that_ended_early():
    """One training of the smallest is by far the best, and the other by far the worst: their mean is what counts."""
    one = by_size_and_compute(lambda c, compute: 1.0 if c == 8 else 100 / c).assign(seed=0)
    other = by_size_and_compute(lambda c, compute: 99.0 if c == 8 else 100 / c).assign(seed=1)
    assert superres.f2(pd.concat([one, other.assign(key="b" + other["key"])]), "kid_effnet").answer != "fails"


def test_f2_turns_a_score_over():
    rows = by_size_and_compute(lambda c, compute: c / 100).assign(metric="ssim")
    assert superres.f2(rows, "ssim").answer == superres.f2(rows, "ssim", at_end=True).answer == "holds"


@pytest.mark.parametrize("metric, sign", [("lpips_effnet", 1), ("ssim", -1)])
@pytest.mark.parametrize(
    "value, answer",
    [
        (lambda c, steps: 100 / steps if steps <= 20 else 100 / c, "holds"),  # steps up to 20, sizes beyond
        (lambda c, steps: 100 / c if steps <= 20 else 100 / steps, "fails"),  # the other way round
        (lambda c, steps: 100 / c, "fails"),  # size always
        (lambda c, steps: 100 / steps, "fails"),  # steps always: beyond 20 the smaller ones are better still
        (lambda c, steps: 10.0, "fails"),  # neither
    ],
)
def test_f5_holds_where_few_steps_are_for_small_sizes_and_many_for_the_largest(metric, sign, value, answer):
    rows, influences = sampling(
        lambda c, steps, guidance: sign * value(c, steps), metric, se=0.02, steps=(4, 8, 16, 50, 200), guidance=(1.0,)
    )
    verdict = superres.f5(rows, metric, influences)
    assert verdict.answer == answer
    assert "budgets of 4, 8, 16, 50, 200 steps of c = 32" in verdict.asked


def by_two_samplers(first, second):
    parts = [sampling(value, seed=seed, steps=(4, 8, 16, 32)) for seed, value in enumerate((first, second))]
    rows = pd.concat([r.assign(sampler=s, key=s + r["key"]) for (r, _), s in zip(parts, ("ddim", "ddpm"), strict=True)])
    return rows, {s + key: part for (_, i), s in zip(parts, ("ddim", "ddpm"), strict=True) for key, part in i.items()}


def test_f4_holds_where_a_sampler_gives_the_same_verdict_and_fails_where_it_gives_another():
    by_steps = lambda c, steps, guidance: 1000 / steps
    by_size = lambda c, steps, guidance: 1000 / c
    rows, influences = by_two_samplers(by_steps, lambda *setting: 2 * by_steps(*setting))
    assert verdicts.f4(rows, "kid_effnet", "ddpm", influences).answer == "holds"
    rows, influences = by_two_samplers(by_size, lambda *setting: 2 * by_size(*setting))
    assert verdicts.f4(rows, "kid_effnet", "ddpm").answer == "holds"
    rows, influences = by_two_samplers(by_steps, by_size)
    assert verdicts.f4(rows, "kid_effnet", "ddpm", influences).answer == "fails"
    with pytest.raises(ValueError, match="F4 needs two sizes and two step counts by both ddim and euler"):
        verdicts.f4(rows, "kid_effnet", "euler")


def test_f4_compares_the_sizes_that_both_samplers_have():
    """c = 32, which DDPM has not, is the best by DDIM at every budget; of the others the smaller one is."""
    quality = lambda c, steps, guidance: 1.0 if c == 32 else 100.0 + c
    rows, influences = by_two_samplers(quality, quality)
    partly = rows[(rows["sampler"] == "ddim") | (rows["c"] != 32)]
    found = verdicts.f4(partly, "kid_effnet", "ddpm", influences)
    assert found.answer == "holds" and "sizes 8, 16;" in found.asked and abs(found.effect.value) < 0.05
    with pytest.raises(ValueError, match="F4 needs two sizes"):
        verdicts.f4(rows[(rows["sampler"] == "ddim") | (rows["c"] == 8)], "kid_effnet", "ddpm", influences)


@pytest.mark.parametrize("factor, answer", [(1.5, "holds"), (1.0, "fails"), (0.7, "fails")])
def test_the_order_of_samplers_is_a_question_of_its_own(factor, answer):
    usual = lambda c, steps, guidance: 300 / steps + 40 / c
    rows, influences = by_two_samplers(usual, lambda *setting: factor * usual(*setting))
    assert verdicts.order_of_samplers(rows, "kid_effnet", "ddim", "ddpm", influences).answer == answer
    with pytest.raises(ValueError, match="has rows by both ddim and euler"):
        verdicts.order_of_samplers(rows, "kid_effnet", "ddim", "euler")


def test_a_sampler_beside_another_is_starred_where_it_differs():
    usual = lambda c, steps, guidance: 50.0
    rows, influences = by_two_samplers(usual, lambda c, steps, guidance: 50.0 + (20 if steps == 1 else 0))
    gaps = comparisons.beside(rows, "kid_effnet", "ddim", influences)
    once = gaps[gaps["steps"] == 1]
    assert (
        set(gaps["c"]) == {8, 16, 32}
        and (once["lo"] > 10).all()
        and once["worse"].to_numpy() == pytest.approx(20, abs=2)
    )
    text = tables.side_by_side(gaps)
    assert text.count("] *") == (gaps["lo"] > 0).sum() + (gaps["hi"] < 0).sum()
    assert f"DDPM: surely worse in {(gaps['lo'] > 0).sum()} of 12 settings" in text


def distilled(teacher, student, seed: int = 0, **options):
    """Rows of teachers and of one kind of student, told apart by their task."""
    parts = [sampling(value, seed=2 * seed + i, **options) for i, value in enumerate((teacher, student))]
    names = ("pretrain", "codi")
    rows = pd.concat([r.assign(task=t, key=t + r["key"]) for (r, _), t in zip(parts, names, strict=True)])
    return rows, {t + key: part for (_, i), t in zip(parts, names, strict=True) for key, part in i.items()}


@pytest.mark.parametrize("metric, sign", [("kid_effnet", 1), ("subject", -1)])
def test_f6_holds_where_a_small_teacher_keeps_up_with_the_largest_student_and_fails_where_it_does_not(metric, sign):
    few_steps_matter = lambda c, steps, guidance: sign * (100 / steps + 10 / c)
    size_matters = lambda c, steps, guidance: sign * (400 / c + 10 / steps)
    better = lambda value, by: lambda *setting: value(*setting) - sign * by
    rows, influences = distilled(few_steps_matter, better(few_steps_matter, 5), metric=metric)
    verdict = student.f6(rows, metric, influences, steps=4)
    assert verdict.answer == "holds" and "budget of 4 steps of c = 32 (a cost of 16)" in verdict.asked
    taught = 25 + 10 / 32 - 5
    assert verdict.effect.value == pytest.approx((taught - (12.5 + 10 / 16)) / taught, abs=0.1)
    twice = student.f6(rows, metric, influences, steps=4, allowance=2.0)
    assert "budget of 8 steps of c = 32" in twice.asked and twice.effect.value >= verdict.effect.value
    rows, influences = distilled(size_matters, better(size_matters, 5), metric=metric)
    assert student.f6(rows, metric, influences, steps=4).answer == "fails"
    with pytest.raises(ValueError, match="F6 needs lcm in 4 steps"):
        student.f6(rows, metric, method="lcm")


def test_f6_takes_the_largest_size_that_has_a_student():
    """A larger teacher without one changes nothing."""
    rows, influences = distilled(lambda c, steps, w: 400 / c + 10 / steps, lambda c, steps, w: 300 / c)
    trio = rows[(rows["c"] < 32) | (rows["task"] == "pretrain")]
    found, without = (student.f6(some, "kid_effnet", influences) for some in (trio, trio[trio["c"] < 32]))
    assert found == without and "c = 16 by CoDi" in found.meaning


@pytest.mark.parametrize(("by", "answer"), [(-0.2, "holds"), (0.0, "holds"), (0.03, "holds"), (0.2, "fails")])
def test_f6_counts_as_good_what_is_worse_by_less_than_the_margin(by, answer):
    """Teachers are all alike, and the student is better than they by this share."""
    same, taught = (lambda c, steps, guidance: 100.0), (lambda c, steps, guidance: 100.0 * (1 - by))
    rows, influences = distilled(same, taught, se=0.2)
    assert student.f6(rows, "kid_effnet", influences, steps=4).answer == answer


def test_f6_is_undecided_where_the_pictures_do_not_tell():
    same = lambda c, steps, guidance: 50.0
    answers = [
        student.f6(*reorder(distilled(same, same, seed, se=5.0, shared=0.5), "kid_effnet"), steps=4).answer
        for seed in range(20)
    ]
    assert np.mean([answer == "fails" for answer in answers]) <= 0.1 and "undecided" in answers


def test_a_larger_scatter_of_trainings_widens_f6s_margin():
    same, taught = (lambda c, steps, guidance: 100.0), (lambda c, steps, guidance: 90.0)
    one, influences = distilled(same, taught, se=0.2)
    assert student.f6(one, "kid_effnet", influences).answer == "fails"
    twin = one.assign(seed=1, value=one["value"] * 1.4, key="twin" + one["key"])
    both = pd.concat([one.assign(seed=0), twin])
    with pytest.raises(ValueError, match="several trainings of one model"):
        student.f6(both, "kid_effnet")  # the luckier one would be taken for the best
    elsewhere = student.f6(one, "kid_effnet", influences, trainings=both)
    assert "23.6% worse" in elsewhere.detail and elsewhere.answer == "holds"
    in_as_many = both.assign(value=both["value"].where((both["steps"] == 4) | (both["seed"] == 0), both["value"] / 1.4))
    assert "23.6% worse" in student.f6(one, "kid_effnet", influences, trainings=in_as_many).detail


def test_every_size_gains_where_all_students_are_better_and_does_not_where_one_is_worse():
    teacher = lambda c, steps, guidance: 100.0
    gains = {8: 10.0, 16: 20.0, 32: 30.0}
    rows, influences = distilled(teacher, lambda c, steps, guidance: 100.0 - gains[c], se=0.5)
    verdict = student.every_size_gains(rows, "kid_effnet", influences)
    assert verdict.answer == "holds" and verdict.effect.value == pytest.approx(0.1, abs=0.02)
    rows, influences = distilled(teacher, lambda c, steps, guidance: 100.0 - gains[c] * (1 if c > 8 else -1), se=0.5)
    assert student.every_size_gains(rows, "kid_effnet", influences).answer == "fails"
    rows, influences = distilled(teacher, lambda c, steps, guidance: 100.0 - gains[c] * (c > 8), se=0.5)
    assert student.every_size_gains(rows, "kid_effnet", influences).answer == "undecided"
    with pytest.raises(ValueError, match="two sizes or more"):
        student.every_size_gains(rows[rows["c"] == 8], "kid_effnet", influences)


def test_the_factor_is_the_same_where_students_save_alike_and_is_not_where_one_saves_more():
    teacher = lambda c, steps, guidance: 100 / steps + guidance
    steps, even = (1, 2, 4, 8, 16), lambda c, steps, guidance: 100 / (2 * steps) - 2 + guidance
    rows, influences = distilled(teacher, even, se=0.1, steps=steps)
    assert student.same_factor(rows, "kid_effnet", influences).answer == "holds"
    uneven = lambda c, steps, guidance: 100 / ((1 if c == 8 else 4) * steps) - 2 + guidance
    rows, influences = distilled(teacher, uneven, se=0.1, steps=steps)
    verdict = student.same_factor(rows, "kid_effnet", influences)
    assert verdict.answer == "fails" and verdict.effect.value == pytest.approx(2, abs=2.1)


def test_a_student_is_as_many_times_faster_as_its_teacher_needs_more_steps():
    """The teacher's quality falls by its steps; a student has in 1 step what it has in 4, and in 8 what it never
    has.
    """
    teacher = lambda c, steps, guidance: 100 / steps + guidance
    student = lambda c, steps, guidance: {1: 30, 2: 55, 4: 20, 8: 1}[steps] + guidance
    rows, influences = distilled(teacher, student)
    found = comparisons.accelerations(rows, "kid_effnet", influences)
    for steps, needed in ((1, 4), (2, 2), (4, 8), (8, np.inf)):
        one = found[found["steps"] == steps]
        assert len(one) == 3 and set(one["teacher steps"]) == {needed} and set(one["factor"]) == {needed / steps}
        assert set(one["lo"]) == set(one["hi"]) == {needed / steps}  # far apart: no doubt


def test_where_a_teacher_may_or_may_not_be_as_good_the_acceleration_is_an_interval():
    rows, influences = distilled(
        lambda c, steps, guidance: 100 / steps, lambda c, steps, guidance: 50.0 if steps == 1 else 60.0
    )
    once = comparisons.accelerations(rows, "kid_effnet", influences).query("steps == 1")
    assert (once["lo"] == 2).all() and (once["hi"] == 4).all()


def test_enough_steps_are_the_fewest_that_cannot_be_told_from_the_best():
    falls = {1: 40.0, 2: 10.0, 4: 9.9, 8: 9.8}
    rows, influences = sampling(lambda c, steps, guidance: falls[steps] + guidance)
    found = optimum.enough_steps(rows, "kid_effnet", influences).set_index("c")
    assert set(found["enough steps"]) == {2} and set(found["guidance"]) == {1.0}
    rows, influences = sampling(lambda c, steps, guidance: -falls[steps] - guidance, "subject")
    found = optimum.enough_steps(rows, "subject", influences).set_index("c")
    assert set(found["enough steps"]) == {2} and (found["subject"] < 0).all()


def test_a_larger_size_takes_over_at_the_budget_where_it_stays_ahead():
    rows, influences = sampling(lambda c, steps, guidance: 100 / steps + (50 if c == 8 else 0))
    found = comparisons.takeovers(rows, "kid_effnet", influences).iloc[0]
    assert (found["from c"], found["to c"], found["budget"]) == (8, 16, 4.0)
    step = (rows["cost"] / rows["steps"])[rows["c"] == rows["c"].max()].min()
    assert found[f"steps of c = {rows['c'].max()}"] == pytest.approx(4.0 / step)


def test_verdicts_want_the_rows_they_are_about():
    rows, _ = sampling(lambda c, steps, guidance: 1.0)
    with pytest.raises(ValueError, match="no row holds the metric 'subject'"):
        verdicts.f3(rows, "subject")
    with pytest.raises(ValueError, match="Sizes are compared"):
        verdicts.f3(rows[rows["c"] == 8], "kid_effnet")
    with pytest.raises(ValueError, match="F5 needs c = 32 with 4, 20 and more steps"):
        superres.f5(rows[rows["steps"] < 20], "kid_effnet")
    with pytest.raises(ValueError, match="F2 within equal compute needs a smaller size"):
        superres.f2(by_size_and_compute(lambda c, compute: 1.0).query("images_seen == 9_000"), "kid_effnet")
    with pytest.raises(ValueError, match="F2 compares sizes"):
        superres.f2(training(lambda compute, images: 1.0).query("c == 8"), "kid_effnet")
    with pytest.raises(ValueError, match="4 or more amounts of compute"):
        verdicts.f1(training(lambda compute, images: 1.0).iloc[:3], "kid_effnet")


def one_row_a_size(value, metric):
    rows = [
        {
            "key": f"{c}",
            "metric": metric,
            "protocol": "synthetic",
            "c": c,
            "value": value(c),
            "lo": value(c) - 0.01,
            "hi": value(c) + 0.01,
            "n": 8,
        }
        for c in (8, 16, 24, 32)
    ]
    return pd.DataFrame(rows)


def test_fig_6_holds_where_the_sizes_rank_as_pretrained_and_fails_where_the_order_is_turned():
    pretrained = one_row_a_size(lambda c: c / 40, "alignment")
    better = dreambooth.fig6(pretrained, one_row_a_size(lambda c: c / 50, "recognised_scene"), "recognised_scene")
    assert better.answer == "holds" and better.effect.value == pytest.approx(1)
    worse = dreambooth.fig6(pretrained, one_row_a_size(lambda c: -c / 50, "recognised_scene"), "recognised_scene")
    assert worse.answer == "fails" and "**Fig. 6 fails** by subjects recognised, scene network" in str(worse)
    even = dreambooth.fig6(pretrained, one_row_a_size(lambda c: 0.5, "recognised_scene"), "recognised_scene")
    assert even.answer == "undecided"
    with pytest.raises(ValueError, match="2 or more sizes"):
        dreambooth.fig6(pretrained, one_row_a_size(lambda c: c, "true_scene")[:1], "true_scene")
