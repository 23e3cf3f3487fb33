"""One of the resizers is torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ldm.metrics.perceptual import resize
from tests.test_resize import PICTURES, run


@pytest.mark.parametrize("name", PICTURES)
def test_the_torch_resizer_is_torchs(name):
    x = torch.from_numpy(PICTURES[name].astype(np.float32)).permute(2, 0, 1)[None]
    theirs = torch.nn.functional.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
    mine = run(resize.TORCH.resize, PICTURES[name], 299)
    assert np.abs(mine - theirs[0].permute(1, 2, 0).numpy()).max() < 1e-3  # it rounds otherwise
