"""Rows through a function in full batches: as if all at once, one shape for every number of them."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldm.data.cache import cached
from ldm.networks.batched import full_batches, in_batches

ROWS = np.random.default_rng(0).standard_normal((23, 3)).astype(np.float32)


@pytest.mark.slow
@given(n=st.integers(0, 23), batch=st.integers(1, 30))
def test_in_batches_is_all_at_once_and_every_call_has_one_shape(n, batch):
    seen = []

    def function(x, y):
        seen.append((x.shape, y.shape))
        return {"sum": x + y, "means": (x.mean(1),)}

    found = in_batches(function, ROWS[:n], 2 * ROWS[:n], batch=batch)
    np.testing.assert_array_equal(found["sum"], 3 * ROWS[:n])
    np.testing.assert_allclose(found["means"][0], ROWS[:n].mean(1), rtol=1e-6)
    assert set(seen) == {((batch, 3), (batch, 3))}


def test_many_numbers_of_rows_compile_once():
    function = jax.jit(lambda x: 2 * x)
    for n in (1, 4, 5, 23):
        in_batches(function, ROWS[:n], batch=4)
    assert function._cache_size() == 1


def test_the_last_batch_repeats_its_last_row():
    *_, (start, count, (rows,)) = full_batches(5, ROWS)
    assert (start, count) == (20, 3)
    np.testing.assert_array_equal(rows, ROWS[[20, 21, 22, 22, 22]])


def test_what_is_cached_is_computed_once_and_appears_when_it_is_complete(tmp_path):
    path, asked = tmp_path / "deep" / "rows.npy", []

    def parts(broken=False):
        for start in (0, 10, 20):
            asked.append(start)
            if broken and start == 20:
                raise RuntimeError("the power failed")
            yield ROWS[start : start + 10]

    with pytest.raises(RuntimeError, match="the power failed"):
        cached(path, parts(broken=True), 23, np.float16)
    assert not list(path.parent.iterdir())
    for _ in range(2):
        found = cached(path, parts(), 23, np.float16)
        np.testing.assert_array_equal(found, ROWS.astype(np.float16))
    assert asked == [0, 10, 20] * 2 and not found.flags.writeable


def test_a_cache_of_no_parts_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="rows.npy: there are no parts to keep; give at least one"):
        cached(tmp_path / "rows.npy", [], 0, np.float16)
    assert not list(tmp_path.iterdir())
