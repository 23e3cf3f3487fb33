"""The degradation resizes as torch does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ldm.data import degrade
from tests.test_degrade import planes


@pytest.mark.parametrize("mode", degrade.MODES)
@pytest.mark.parametrize("shape", [(24, 32), (9, 5), (31, 40), (1, 1)])
def test_resizing_is_torchs(mode, shape):
    x = planes()
    corners = {} if mode == "area" else {"align_corners": False}
    reference = torch.nn.functional.interpolate(torch.tensor(x)[None], size=shape, mode=mode, **corners)[0].numpy()
    assert np.allclose(degrade.resized(x, shape, mode), reference, atol=2e-6)


@pytest.mark.parametrize("mode", degrade.MODES)
@pytest.mark.parametrize("scale", [0.153, 0.7071, 1.0, 1.4999])
def test_the_first_resize_is_torchs_by_the_drawn_scale(mode, scale):
    x = planes()
    corners = {} if mode == "area" else {"align_corners": False}
    reference = torch.nn.functional.interpolate(torch.tensor(x)[None], scale_factor=scale, mode=mode, **corners)
    mine = degrade.resized(x, degrade._scaled(x.shape[1:], scale), mode, scale)
    assert np.allclose(mine, reference[0].numpy(), atol=1e-5)
