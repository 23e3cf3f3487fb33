"""Checks of numbers that several rooms take: one sentence each, raised where the number enters."""

from __future__ import annotations

import numpy as np


def check_seed(seed: int) -> None:
    """Raise ValueError for a seed that has no key of its own; JAX takes a larger one modulo 2^32."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed = {seed!r}: expected a whole number from 0 to {2**32 - 1}; give another seed.")
