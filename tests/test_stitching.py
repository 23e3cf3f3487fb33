"""A plan that changes its network on the way: which network each row asks, and what that costs."""

from __future__ import annotations

import numpy as np
import pytest

from ldm.diffusion.counting import passes
from ldm.diffusion.guidance_settings import Guidance
from ldm.diffusion.plan import handover, owners
from ldm.diffusion.sampler import loop, sample
from ldm.diffusion.solvers import ddim, dpmpp_2m, heun
from ldm.diffusion.stitching import stitch
from tests.test_guidance import CONTEXT, KEYS, NULL, SHAPE, STRONG, WEAK, estimate, walked
from tests.toy import SD


def draw(network, plan) -> np.ndarray:
    return np.asarray(sample(*network, plan, CONTEXT, NULL, 2.0, KEYS, predict="v", shape=SHAPE))


def alone(network, plan) -> np.ndarray:
    return walked(plan, lambda x, i: step(network, x, plan, i))


def step(network, x, plan, i):
    weak, text = (estimate(network, x, plan, i, context) for context in (NULL, CONTEXT))
    return weak + 2 * (text - weak)


def test_each_row_asks_the_network_whose_turn_it_is_and_a_sweep_compiles_once(compiles_once):
    compiles_once.reset(loop)
    for solver, steps in ((dpmpp_2m, 6), (ddim, 4)):
        plan = solver(SD, steps)
        for rows in range(steps + 1):
            network = stitch([WEAK, STRONG], handover(plan, [rows]))
            expected = walked(plan, lambda x, i, plan=plan, rows=rows: step(WEAK if i < rows else STRONG, x, plan, i))
            np.testing.assert_allclose(draw(network, plan), expected, atol=1e-4)
    compiles_once(loop)


def test_passes_are_counted_for_each_network():
    plan = ddim(SD, 10)
    until = handover(plan, [3, 3, 8])
    np.testing.assert_array_equal(owners(plan, until), [0] * 3 + [2] * 5 + [3] * 2)
    found = passes(plan, 2.0, null=True, until=until)
    assert found.whole == (6, 0, 10, 4) and found.nfe == 20
    # guided above a noise level only, where the first network is asked
    only_first = Guidance(2.0, interval=(float(plan.sigma[2] / plan.alpha[2]), np.inf))
    assert passes(plan, only_first, null=True, until=until).whole == (6, 0, 5, 2)


def test_a_solver_that_asks_twice_at_one_time_asks_one_network():
    plan = heun(SD, 4)
    assert list(plan.t[:7]) == [999, 749, 749, 499, 499, 249, 249]
    np.testing.assert_array_equal(owners(plan, handover(plan, [2])), [0, 0, 0, 1, 1, 1, 1])


def test_networks_that_do_not_fit_their_times_are_refused():
    plan = ddim(SD, 4)
    with pytest.raises(ValueError, match=r"until = \[\]: expected 1 falling times for 2 networks"):
        stitch([WEAK, STRONG], np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="expected 2 falling times for 3 networks"):
        stitch([WEAK, STRONG, WEAK], np.float32([100.0, 500.0]))
    for rows in ([5], [-1], [3, 2]):
        with pytest.raises(ValueError, match="expected numbers that do not fall, from 0 to 4"):
            handover(plan, rows)
