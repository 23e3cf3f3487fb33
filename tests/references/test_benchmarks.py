"""What is timed beside ours is the same network at the same task, and its process waits for torch alone."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from benchmarks import reference, training
from benchmarks.cases import Case
from tests.test_without_jax import loaded_by

torch.set_num_threads(1)

SHAPE = dict(size=8, tokens=5, context=16, batch=2)
NETWORKS = {"unet": dict(c=8), "transformer": dict(c=24, patch=1)}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_theirs_has_the_parameters_of_ours_shape_by_shape_and_as_many_as_are_counted(network):
    case = Case(task="train", **SHAPE, **network)
    _, ours = training.initial(case)
    theirs = [parameter.shape for parameter in reference.Network(case).parameters()]
    assert sum(p.size for p in ours.values()) == sum(shape.numel() for shape in theirs) == case.params
    if not case.transformer:  # ours stacks its layers
        assert Counter(tuple(p.shape[i] for i in reference.order(p.ndim)) for p in ours.values()) == Counter(
            map(tuple, theirs)
        )


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_theirs_takes_a_step_and_draws(network):
    torch.manual_seed(0)
    nets = []
    keep = lambda net: nets.append(net) or net
    step = reference.training(Case(task="train", **SHAPE, **network), keep)
    before = [parameter.detach().clone() for parameter in nets[0].parameters()]
    step()
    moved = [not torch.equal(a, b) for a, b in zip(before, nets[0].parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2
    drawn = reference.sampling(Case(task="sample", steps=3, **SHAPE, **network))()
    assert drawn.shape == (2, 4, 8, 8) and drawn.isfinite().all() and drawn.std() > 0


def test_their_process_imports_no_jax():
    assert loaded_by("import benchmarks.reference, benchmarks.first") == "[]"
