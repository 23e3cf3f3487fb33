"""The diffusion transformer: published counts and costs, how it begins, and what it does not change with; references/
has it beside diffusers'.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ldm import profiles
from ldm.networks import dit, sizes
from ldm.networks.cost import unet_gflops
from ldm.networks.dit_config import DiTConfig, published, small
from ldm.networks.dit_cost import gflops_of, multiply_adds, params_of
from ldm.networks.initial import KeySource
from ldm.networks.structure import abstract, merge, split
from ldm.tasks import models, pretrain, superres
from ldm.tasks.distillation import student
from ldm.training.gradients import half

# Peebles and Xie 2023: parameters with the fixed positions, and the Gflops of their table 4, which are multiply-adds
PUBLISHED = {
    "S/2": (32_963_360, 6.06),
    "S/4": (32_945_024, 1.41),
    "S/8": (33_148_160, 0.36),
    "B/2": (130_512_416, 23.01),
    "B/4": (130_475_648, 5.56),
    "B/8": (130_881_536, 1.42),
    "L/2": (458_102_816, 80.71),
    "L/4": (458_053_760, 19.70),
    "L/8": (458_594_816, 5.01),
    "XL/2": (675_129_632, 118.64),
    "XL/4": (675_074_432, 29.05),
    "XL/8": (675_683_072, 7.39),
}
TINY = DiTConfig(width=16, depth=2, heads=2, patch=2, context=8)
PIXART = DiTConfig(width=1152, depth=28, heads=16, outputs=8, context=4096, single=True)  # -alpha's XL/2, Chen 2023
SIDE, WORDS = 4, 5


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def network(config: DiTConfig = TINY, **options):
    return split(dit.DiT(config, keys=KeySource(jax.random.key(0)), **options))


def inputs(batch: int, context: int = TINY.context):
    return draw(1, batch, SIDE, SIDE, 4), np.linspace(10, 990, batch, dtype=np.float32), draw(2, batch, WORDS, context)


@partial(jax.jit, static_argnums=0)
def forward(structure, params, x, t, context):
    return merge(structure, params)(x, t, context)


@pytest.fixture(scope="module")
def trained():
    """A network that has left its beginning: no weight is zero."""
    structure, params = network()
    return structure, {name: p + 0.2 * draw(i, *p.shape) for i, (name, p) in enumerate(params.items())}


# --- what it costs ---


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_have_their_parameters_to_the_last_and_their_multiply_adds(name):
    config, (parameters, gigaflops) = published(name), PUBLISHED[name]
    assert params_of(config) + config.tokens(32) * config.width == parameters
    assert multiply_adds(config, 32) / 1e9 == pytest.approx(gigaflops, rel=3e-4, abs=0.01)


def test_published_xl_at_512_pixels_and_pixart_have_theirs():
    xl = published("XL/2")
    assert params_of(xl) + xl.tokens(64) * xl.width == 676_014_368
    assert multiply_adds(xl, 64) / 1e9 == pytest.approx(524.60, rel=3e-4)
    assert params_of(PIXART) == 610_856_096
    assert multiply_adds(PIXART, 32, 120) / 1e9 == pytest.approx(149.05, abs=0.01)


@pytest.mark.parametrize("config", [published("S/8"), PIXART, small(72, guidance=8)], ids=["DiT", "PixArt", "small"])
def test_the_network_has_the_parameters_that_are_counted(config):
    _, params = abstract(lambda keys: dit.DiT(config, keys=keys))
    assert sum(p.size for p in params.values()) == params_of(config)


@pytest.mark.parametrize("config, side", [(published("S/4"), 32), (small(96), 8)], ids=["S/4", "small"])
def test_flops_are_those_that_xla_counts(config, side):
    structure, params = abstract(lambda keys: dit.DiT(config, scan=False, keys=keys))  # of a loop it counts one pass
    about = ((1,), np.int32) if config.classes else ((1, 24, config.context), np.float32)
    given = [jax.ShapeDtypeStruct(*shape) for shape in (((1, side, side, 4), np.float32), ((1,), np.float32), about)]
    count = forward.lower(structure, params, *given).cost_analysis()["flops"] / 1e9
    assert gflops_of(config, side, 24) == pytest.approx(count, rel=0.02)


def test_flops_are_twice_the_multiply_adds_and_a_little():
    for config in (published("B/4"), small(144), small(48, patch=2)):
        assert 1 < gflops_of(config, 8, 24) / (2e-9 * multiply_adds(config, 8, 24)) < 1.15


def test_the_family_costs_what_the_unets_cost():
    widths = (48, 72, 96, 120, 144, 168)
    for width, c in zip(widths, (8, 16, 24, 32, 48, 64), strict=True):
        assert sizes.gflops("dit", width, 8, 24, 128) == pytest.approx(unet_gflops(c, 8, 24, 128), rel=0.2)
    assert sizes.params("dit", 96, 128) == 710_596
    assert sizes.gflops("dit-2", 96, 8, 24, 128) < sizes.gflops("dit", 96, 8, 24, 128) / 3
    assert [(small(width).depth, small(width).heads) for width in widths] == [
        *((2, 2), (3, 3), (3, 4), (4, 5), (5, 6), (6, 7))
    ]


# --- what it computes ---


def test_it_begins_with_layers_that_change_nothing_and_the_answer_zero():
    structure, params = network()
    x, t, context = inputs(2)
    assert not np.asarray(forward(structure, params, x, t, context)).any()
    tokens, emb, text = map(jnp.asarray, (draw(3, 2, 4, 16), draw(4, 2, 16), draw(5, 2, WORDS, 16)))
    np.testing.assert_array_equal(merge(structure, params).run(tokens, emb, text), tokens)


@pytest.mark.slow
def test_a_loop_over_the_layers_is_the_layers_one_after_another(trained):
    _, params = trained
    given = inputs(3)
    wanted = forward(*trained, *given)
    for options in (dict(scan=False), dict(remat=True)):
        np.testing.assert_allclose(forward(network(**options)[0], params, *given), wanted, atol=2e-5)


def test_layers_begin_with_weights_of_their_own():
    _, params = network()
    first, second = params["transformer_blocks.attn1.to_q.weight"]
    assert np.abs(first - second).max() > 0.1


def test_an_image_is_the_same_in_every_batch(trained):
    x, t, context = inputs(3)
    everyone = np.asarray(forward(*trained, x, t, context))
    rows = np.array([2, 0, 1])
    np.testing.assert_allclose(forward(*trained, x[rows], t[rows], context[rows]), everyone[rows], atol=1e-5)
    others = forward(*trained, np.concatenate([x[:1], 9 * x[1:]]), t, np.concatenate([context[:1], -context[1:]]))
    np.testing.assert_allclose(others[:1], everyone[:1], atol=1e-5)


def test_the_order_of_the_text_does_not_matter_and_the_text_does(trained):
    """Its words come in by attention without positions and by their mean: their order is the text tower's to tell."""
    x, t, context = inputs(3)
    answer = np.asarray(forward(*trained, x, t, context))
    np.testing.assert_allclose(forward(*trained, x, t, context[:, ::-1]), answer, atol=2e-5)
    assert np.abs(forward(*trained, x, t, 2 * context) - answer).max() > 0.01


@pytest.mark.slow
def test_only_its_positions_tell_one_patch_from_another(trained, monkeypatch):
    x, t, context = map(jnp.asarray, inputs(3))
    turned = jnp.roll(x, (2, 2), (1, 2))  # by one patch
    turn = lambda y: np.roll(np.asarray(y), (2, 2), (1, 2))
    net = merge(*trained)
    assert np.abs(net(turned, t, context) - turn(net(x, t, context))).max() > 0.01
    monkeypatch.setattr(dit, "positions", lambda rows, columns, width: np.zeros((rows * columns, width), np.float32))
    np.testing.assert_allclose(net(turned, t, context), turn(net(x, t, context)), atol=2e-5)


def test_positions_are_of_the_column_first_and_transposed_with_the_map():
    table = dit.positions(3, 5, 8).reshape(3, 5, 8)
    np.testing.assert_allclose(table[0, 2], [np.sin(2), np.sin(0.02), np.cos(2), np.cos(0.02), 0, 0, 1, 1], atol=1e-6)
    np.testing.assert_array_equal(dit.positions(5, 3, 8).reshape(5, 3, 8).swapaxes(0, 1), np.roll(table, 4, -1))


@pytest.mark.slow
def test_in_bfloat16_it_answers_nearly_the_same(trained):
    structure, params = trained
    given = inputs(3)
    wanted, found = forward(structure, params, *given), forward(structure, half(params), *given)
    assert found.dtype == np.float32  # the last layer is kept
    assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()


# --- in the study ---


def test_a_profile_of_transformers_trains_finetunes_and_distills_them():
    for profile in (profiles.get("laptop-dit-2"), profiles.get("laptop-dit")):
        for c in profile.family:
            _, params = abstract(lambda keys, c=c, of=profile: pretrain.build_network(of, c, keys))
            assert sum(p.size for p in params.values()) == sizes.params(profile.network, c, profile.context)
    teacher = abstract(lambda keys: pretrain.build_network(profile, 48, keys))[1]
    _, like = student.network(profile, "lcm", 48)
    assert {name: p.shape for name, p in like.items() if name in teacher} == {n: p.shape for n, p in teacher.items()}
    assert set(like) - set(teacher) == {"time_embedding.cond_proj.weight"}
    zeros = {name: np.zeros(p.shape, np.float32) for name, p in teacher.items()}
    seeing = abstract(lambda keys: superres.unet(profile, 48, keys))[1]
    wide = superres.widened(zeros, profile.autoencoder.latents)
    assert {name: p.shape for name, p in wide.items()} == {name: p.shape for name, p in seeing.items()}


def test_published_widths_have_their_own_depth_and_no_other_width_is_taken():
    for name, c, depth in (("gpu-dit-published", 384, 12), ("gpu-dit-published-64", 1024, 24)):
        profile = profiles.get(name)
        _, params = abstract(lambda keys, c=c, of=profile: pretrain.build_network(of, c, keys))
        assert sum(p.size for p in params.values()) == sizes.params(profile.network, c, profile.context)
        assert params["transformer_blocks.attn1.to_q.weight"].shape[0] == depth
    with pytest.raises(ValueError, match=r"width is 400; expected a published one, 384, 768, 1024, 1152\."):
        sizes.params("dit-published", 400, 128)
    with pytest.raises(ValueError, match="network = 'unet': expected a transformer, one of dit, dit-2, dit-published"):
        sizes.transformer("unet", 8, 128)


def test_models_of_transformers_are_not_taken_for_unets():
    names = {
        models.model_path(profiles.get(name), 48, 640_000, kind=kind).name
        for name in ("laptop-v", "laptop-dit", "laptop-dit-2", "laptop-flow", "laptop-flow-half", "laptop-flow-3")
        for kind in ("unet", "codi")
    }
    assert len(names) == 8, "the same models are drawn with on shifted times"
    assert {f"{name}-c48-640k-s0.safetensors" for name in ("unet-v", "dit-eps", "codi-dit-flow")} <= names
    assert sizes.gflops("dit-2", 120, 8, 24, 128) == pytest.approx(sizes.gflops("dit", 72, 8, 24, 128), rel=0.03)
    with pytest.raises(ValueError, match="python -m ldm pretrain --profile laptop-flow --c 96"):
        pretrain.load_pretrained(profiles.get("laptop-flow"), 96, 640_000)


@pytest.mark.usefixtures("any_types")
@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: small(50), "width is 50"),
        (lambda: DiTConfig(width=30, depth=1, heads=3, context=8), "width = 30"),
        (lambda: DiTConfig(width=16, depth=0, heads=2, context=8), "depth is 0"),
        (lambda: DiTConfig(width=16, depth=1, heads=2, patch=3, context=8), "patch = 3"),
        (lambda: DiTConfig(width=16, depth=1, heads=2), "context = 0"),
        (lambda: published("M/2"), "name = 'M/2'"),
        (lambda: TINY.tokens(5), "size = 5"),
        (lambda: sizes.params("vit", 8, 8), "network = 'vit'"),
    ],
)
def test_shapes_that_do_not_go_together_are_refused_in_one_sentence(wrong, said):
    with pytest.raises(ValueError) as caught:
        wrong()
    assert said in str(caught.value) and "\n" not in str(caught.value)
