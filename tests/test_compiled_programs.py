"""Compiled programs that several processes keep in one folder: a damaged one costs its time and a warning."""

from __future__ import annotations

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache


@pytest.mark.slow
def test_a_compiled_program_that_another_process_has_half_written_is_compiled_again(tmp_path):
    kept = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        compilation_cache.reset_cache()
        assert jax.jit(lambda x: 3 * x + 1)(2.0) == 7
        written = [file for file in tmp_path.iterdir() if file.name.endswith("-cache")]
        assert written
        for file in written:
            file.write_bytes(file.read_bytes()[:-20])
        jax.clear_caches()
        with pytest.warns(UserWarning, match="Error reading persistent compilation cache entry"):
            assert jax.jit(lambda x: 3 * x + 1)(2.0) == 7
        jax.clear_caches()
        assert jax.jit(lambda x: 3 * x + 1)(2.0) == 7  # the tests let this warning pass, though all others are errors
    finally:
        jax.config.update("jax_compilation_cache_dir", kept[0])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", kept[1])
        compilation_cache.reset_cache()
