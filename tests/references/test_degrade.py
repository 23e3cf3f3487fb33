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
