"""The playground's exported graphs, run by onnxruntime, give the latents and the picture of our sampler."""

from __future__ import annotations

import json
from functools import cache

import jax
import numpy as np
import onnxruntime
import pytest

from ldm.diffusion.sampler import image_keys, initial_noise
from ldm.interop import browser as browser_files
from ldm.profiles import OPEN_EPS
from tests.playground import CAPTION, GUIDANCE, NETWORKS, SEED, STEPS, drawn, parts, put


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Name of a graph -> the graph, ready to run; beside them lies what the page reads."""
    folder = put(tmp_path_factory.mktemp("site"))
    tables = json.loads((folder / "browser.json").read_text())["samplers"]
    return tables, cache(
        lambda name: onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
    )


@pytest.mark.parametrize(
    ("sampler", "network"), [*((name, NETWORKS[0]) for name in browser_files.SAMPLERS), ("ddim", NETWORKS[1])]
)
def test_graphs_and_tables_give_the_latents_of_the_sampler(session, sampler, network):
    tables, graph = session
    contexts = graph("text").run(None, {"ids": parts()[1].tokenizer([CAPTION, ""])})[0]
    keys = image_keys(SEED, [0])
    x, previous = np.asarray(initial_noise(keys, OPEN_EPS.latent_shape)), np.float32(0)
    for i, row in enumerate(tables[sampler][str(STEPS)]):
        t, skip, out, a, b, c, d = np.float32(row)
        inputs = {
            "x": x,
            "t": t[None],
            "c_skip": skip,
            "c_out": out,
            "contexts": contexts,
            "scale": np.float32(GUIDANCE),
        }
        x0 = graph(network).run(None, {name: np.asarray(value) for name, value in inputs.items()})[0]
        z = jax.random.normal(jax.random.fold_in(keys[0], i + 1), OPEN_EPS.latent_shape)
        x, previous = a * x + b * x0 + c * previous + d * np.asarray(z), x0
    latents, picture = drawn(sampler, network)
    np.testing.assert_allclose(x[0], latents, atol=1e-4)
    shown = graph("decoder").run(None, {"x0": x})[0][0]
    assert shown.dtype == np.uint8 and np.abs(shown.astype(int) - picture).max() <= 1
