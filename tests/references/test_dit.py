"""The diffusion transformer is diffusers': output, gradients, and weights both ways; DiT's with labels, PixArt's with
text.
"""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest
import torch
from diffusers import DiTTransformer2DModel, PixArtTransformer2DModel

from benchmarks.reference import nchw, nhwc, transformer_shape, transformer_twin
from ldm.interop.diffusion_transformers import (
    from_diffusers,
    read_transformer,
    to_diffusers,
    write_transformer,
)
from ldm.networks.dit import DiT
from ldm.networks.dit_config import DiTConfig, small
from ldm.networks.initial import KeySource
from ldm.networks.structure import abstract, merge, split
from tests.test_dit import PIXART, draw

torch.set_num_threads(1)

SIDE, WORDS = 4, 5
COMMON = dict(width=16, depth=2, heads=2, patch=2, outputs=8)
CONFIGS = {
    "DiT": DiTConfig(classes=6, **COMMON),
    "PixArt": DiTConfig(context=8, single=True, **COMMON),
}


def twin(config: DiTConfig, size: int = SIDE):
    """diffusers' of the same shape, without weights of ours; its DiT told the time at DiT's own frequencies."""
    if config.single:
        return transformer_twin(config, size)
    net = DiTTransformer2DModel(**transformer_shape(config, size), num_embeds_ada_norm=config.classes).eval()
    return at_frequencies_of_dit(net)


def at_frequencies_of_dit(net):
    for block in net.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    return net


def ask(net, config: DiTConfig, x, t, about) -> torch.Tensor:
    t, about = torch.from_numpy(t), torch.from_numpy(about)
    if config.single:
        return net(x, encoder_hidden_states=about, timestep=t).sample
    return net(x, timestep=t, class_labels=about).sample


@pytest.fixture(params=CONFIGS)
def case(request):
    """A shape, a network with weights none of which is zero, and what it is asked."""
    config = CONFIGS[request.param]
    structure, params = split(DiT(config, keys=KeySource(jax.random.key(0))))
    params = {name: np.asarray(p + 0.2 * draw(i, *p.shape)) for i, (name, p) in enumerate(params.items())}
    about = np.array([3, 6], np.int32) if config.classes else draw(2, 2, WORDS, config.context)
    return config, structure, params, (draw(1, 2, SIDE, SIDE, 4), np.float32([20, 900]), about)


@partial(jax.jit, static_argnums=0)
def forward_and_gradients(structure, params, x, t, about, direction):
    y, pull = jax.vjp(lambda params, x: merge(structure, params)(x, t, about), params, x)
    return y, *pull(direction)


def relative(ours, theirs) -> float:
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


def test_output_and_gradients_are_those_of_diffusers(case):
    config, structure, params, (x, t, about) = case
    direction = draw(3, 2, SIDE, SIDE, config.channels_out)
    ours, gradients, by_x = forward_and_gradients(structure, params, x, t, about, direction)

    net = twin(config)
    net.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in to_diffusers(config, params).items()})
    latents = nchw(x).requires_grad_()
    theirs = ask(net, config, latents, t, about)
    (theirs * nchw(direction)).sum().backward()
    assert relative(ours, nhwc(theirs)) < 1e-4
    assert relative(by_x, nhwc(latents.grad)) < 1e-4
    wanted = {name: p.grad.numpy() for name, p in net.named_parameters() if p.grad is not None}
    for name, ours in to_diffusers(config, jax.device_get(gradients)).items():
        if ".norm1.emb." in name:  # a copy a layer: ours is the gradient of all of them together
            ours = ours if ".0." in name.removeprefix("transformer_blocks") else None
            theirs = sum(g for other, g in wanted.items() if other.split(".", 2)[2:] == name.split(".", 2)[2:])
        else:
            theirs = wanted[name]
        if ours is not None:
            assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max() + 1e-5, name


def test_weights_go_to_diffusers_and_come_back(case, tmp_path):
    config, _, params, (x, t, about) = case
    write_transformer(tmp_path / "ours", config, params, SIDE)
    kind = PixArtTransformer2DModel if config.single else DiTTransformer2DModel
    theirs = kind.from_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    read, back, size = read_transformer(tmp_path / "theirs")
    assert (read, size) == (config, SIDE)
    for name, array in params.items():
        np.testing.assert_array_equal(back[name], array)


def test_layers_whose_embeddings_differ_and_networks_that_diffusers_lacks_are_refused():
    config = CONFIGS["DiT"]
    tensors = to_diffusers(config, split(DiT(config, keys=KeySource(jax.random.key(0))))[1])
    name = "transformer_blocks.1.norm1.emb.timestep_embedder.linear_1.weight"
    with pytest.raises(ValueError, match="copies of time_embedding.linear_1.weight differ"):
        from_diffusers(config, tensors | {name: tensors[name] + 1})
    with pytest.raises(ValueError, match="lacks 1 of"):
        from_diffusers(config, {other: a for other, a in tensors.items() if other != name})
    with pytest.raises(ValueError, match="keep others in our own layout"):
        to_diffusers(small(24), {})


def test_pixart_has_the_weights_of_diffusers():
    config = PIXART
    with torch.device("meta"):
        theirs = {name: tuple(p.shape) for name, p in twin(config, 32).state_dict().items()}
    like = abstract(lambda keys: DiT(config, keys=keys))[1]
    ours = to_diffusers(config, {name: np.broadcast_to(np.float32(0), a.shape) for name, a in like.items()})
    assert {name: a.shape for name, a in ours.items()} == theirs
    assert sum(int(np.prod(shape)) for shape in theirs.values()) == 610_856_096
