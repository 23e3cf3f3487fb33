"""What the commands draw and export is what diffusers draws of the same folder: from a picture, with LoRA files, by
another scheduler, and of the study's own models.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img as theirs_img2img
from PIL import Image

from ldm import profiles
from ldm.__main__ import call
from ldm.data import pictures
from ldm.data.sources import open_source
from ldm.diffusion.sampler import image_keys, initial_noise, sample
from ldm.diffusion.solvers import plan as planned
from ldm.interop.stable_diffusion import lora
from ldm.interop.stable_diffusion.pipeline import read_pipeline
from ldm.networks import weights
from ldm.networks.torch_layout import to_torch
from ldm.tasks import pretrain
from tests.references.stable_diffusion import draw, pipeline

STEPS, GUIDANCE, CAPTION = 4, 3.0, "a photo of a cat!"
SCHEDULERS = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler}


CONV = "unet.mid_block.resnets.0.conv1"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    root = tmp_path_factory.mktemp("sd1")
    made = pipeline(root / "vocabulary", "sd1", 8)
    made.save_pretrained(root / "theirs")
    return root / "theirs", made


def noise_of(seed, n=1):
    return np.asarray(initial_noise(image_keys(seed, range(n)), (16, 16, 4)))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers' Euler
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_picture_to_begin_from_is_noised_and_drawn_on_as_by_diffusers(monkeypatch, theirs, name):
    folder, made = theirs
    ours = read_pipeline(folder)
    ours = type(ours)(**vars(ours) | {"noise": ours.noise.by(name)})
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    plan, start = ours.begin(image, STEPS, 0.8)
    mine = ours.images([CAPTION], plan, GUIDANCE, seed=3, start=start)[0]
    noise = torch.from_numpy(noise_of(3).transpose(0, 3, 1, 2).copy())
    monkeypatch.setattr(theirs_img2img, "randn_tensor", lambda *_, **__: noise)
    parts = dict(made.components)
    # of the file: in memory, a config forgets what the first class had by default, as the spacing of its steps
    parts["scheduler"] = SCHEDULERS[name].from_config(SCHEDULERS[name].load_config(folder / "scheduler"))
    other = StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    latents = torch.from_numpy(start.transpose(2, 0, 1)[None].copy())  # four channels: taken for latents
    expected = other(
        CAPTION, image=latents, strength=0.8, num_inference_steps=STEPS, guidance_scale=GUIDANCE, output_type="np"
    ).images[0]
    assert plan.n == 3 and expected.std() > 0.05
    assert np.abs(mine / 255 - expected).mean() < 1 / 255


def test_what_is_not_wanted_is_led_away_from_as_by_diffusers(theirs):
    folder, made = theirs
    ours, unwanted = read_pipeline(folder), "blurred, and a dog"
    ours = type(ours)(**vars(ours) | {"noise": ours.noise.by("ddim")})
    mine, plain = (
        ours.images([CAPTION] * 2, ours.plan(STEPS), GUIDANCE, seed=3, size=16, **options)
        for options in ({"negative": unwanted}, {})
    )
    parts = dict(made.components)
    parts["scheduler"] = DDIMScheduler.from_config(DDIMScheduler.load_config(folder / "scheduler"))
    other = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    expected = other(
        [CAPTION] * 2,
        negative_prompt=[unwanted] * 2,
        latents=torch.from_numpy(noise_of(3, 2).transpose(0, 3, 1, 2).copy()),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        output_type="np",
    ).images
    assert np.abs(mine / 255 - expected).mean() < 1 / 255 < np.abs(plain / 255 - expected).mean()


def layers(made):
    modules = dict(made.unet.named_modules())
    block = "down_blocks.0.attentions.0."
    names = [
        block + "proj_in",
        block + "transformer_blocks.0.attn1.to_q",
        block + "transformer_blocks.0.attn2.to_out.0",
    ]
    found = {("unet", name): modules[name] for name in [*names, "mid_block.resnets.0.conv1"]}
    tower = dict(made.text_encoder.named_modules())
    text = next(name for name in tower if name.endswith("layers.0.self_attn.q_proj"))
    return found | {("text_encoder", "text_model." + text.removeprefix("text_model.")): tower[text]}


LAYOUTS = {
    "diffusers": lambda part, name: (f"{part}.{name}.lora_A.weight", f"{part}.{name}.lora_B.weight", None),
    "older": lambda part, name: (f"{part}.{name}.lora.down.weight", f"{part}.{name}.lora.up.weight", None),
    "kohya": lambda part, name: tuple(
        f"lora_{'unet' if part == 'unet' else 'te'}_{name.replace('.', '_')}.{end}"
        for end in ("lora_down.weight", "lora_up.weight", "alpha")
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_lora_file_adds_its_product_to_the_weights_in_every_layout(tmp_path, theirs, layout):
    folder, made = theirs
    rng, rank, tensors, changed = np.random.default_rng(0), 3, {}, {}
    for (part, name), module in layers(made).items():
        shape = module.weight.shape
        down = rng.normal(0, 0.3, (rank, *shape[1:])).astype(np.float32)
        up = rng.normal(0, 0.3, (shape[0], rank, *[1] * (len(shape) - 2))).astype(np.float32)
        down_key, up_key, alpha_key = LAYOUTS[layout](part, name)
        tensors |= {down_key: down, up_key: up} | ({alpha_key: np.float32(1.5)} if alpha_key else {})
        scale = 0.7 * (1.5 / rank if alpha_key else 1)
        delta = torch.einsum("or,r...->o...", torch.from_numpy(up.reshape(len(up), rank)), torch.from_numpy(down))
        changed[module] = (module.weight.data.clone(), module.weight.data + scale * delta)
    weights.save(tmp_path / "one.safetensors", tensors)
    before = read_pipeline(folder)
    ours = lora.apply(before, tmp_path / "one.safetensors", 0.7)
    for (part, name), module in layers(made).items():
        params = ours.unet_params if part == "unet" else ours.text_params
        mine = to_torch(key := f"{name.removeprefix('text_model.')}.weight", np.asarray(params[key]))
        without, with_it = changed[module]
        np.testing.assert_allclose(mine.reshape(with_it.shape), with_it.numpy(), atol=1e-5)
        assert (with_it - without).abs().mean() > 0.02
    mine = ours.images([CAPTION], ours.plan(STEPS), GUIDANCE, seed=7)
    try:
        for module, (_, with_it) in changed.items():
            module.weight.data = with_it
        expected = draw(made, [CAPTION], noise_of(7), STEPS, GUIDANCE)
    finally:
        for module, (without, _) in changed.items():
            module.weight.data = without
    assert np.abs(mine / 255 - expected).mean() < 1 / 255
    nothing = lora.apply(before, tmp_path / "one.safetensors", 0.0)
    assert all(np.array_equal(nothing.unet_params[name], array) for name, array in before.unet_params.items())


@pytest.mark.parametrize(
    "tensors, sentence",
    [
        ({"lora_unet_input_blocks_1_0.lora_down.weight": (2, 8), "lora_unet_input_blocks_1_0.lora_up.weight": (8, 2)},
         "1 of its 1 layers are not in this folder, the first is 'unet: input_blocks_1_0'"),
        ({f"{CONV}.dora_scale": (8,)}, "is no matrix of a LoRA"),
        ({f"{CONV}.lora_A.weight": (2, 8)}, "lacks a down or an up matrix"),
        ({f"{CONV}.lora_A.weight": (2, 8), f"{CONV}.lora_B.weight": (8, 2)},
         "has shape (8, 8) where the folder's weight has"),
    ],
)  # fmt: skip
def test_a_lora_file_that_does_not_fit_is_refused_in_one_sentence(tmp_path, theirs, tensors, sentence):
    weights.save(tmp_path / "one.safetensors", {name: np.ones(shape, np.float32) for name, shape in tensors.items()})
    with pytest.raises(ValueError) as refused:
        lora.apply(read_pipeline(theirs[0]), tmp_path / "one.safetensors")
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_the_command_draws_a_file_of_captions_with_a_sheet_and_texts_and_goes_on(tmp_path, theirs, capsys):
    (tmp_path / "captions.txt").write_text("a cat\n\na dog, the LICENSE\n")
    asked = [
        str(theirs[0]),
        "--captions",
        str(tmp_path / "captions.txt"),
        "--n",
        "2",
        "--steps",
        "2",
        "--sampler",
        "euler",
    ]
    call(["draw", *asked, "--out", str(tmp_path / "drawn")])
    files = sorted((tmp_path / "drawn").glob("0*.png"))
    source = open_source(tmp_path / "drawn")
    assert source.names == [file.name for file in files] and len(files) == 4
    assert source.captions() == ["a cat", "a cat", "a dog, the LICENSE", "a dog, the LICENSE"]
    about = pictures.texts(files[2])
    assert about["caption"] == "a dog, the LICENSE" and about["number"] == "2"
    assert about["scheduler"] == "EulerDiscreteScheduler"
    assert Image.open(tmp_path / "drawn/sheet.png").size == (2 * 36 + 4, 2 * 36 + 4)
    ours = read_pipeline(theirs[0])
    ours = type(ours)(**vars(ours) | {"noise": ours.noise.by("euler")})
    alone = ours.images(["a dog, the LICENSE"], ours.plan(2), 7.5, first=2)[0]
    np.testing.assert_array_equal(pictures.whole(files[2]), alone)
    times = [file.stat().st_mtime_ns for file in files]
    files[1].unlink()
    call(["draw", *asked, "--out", str(tmp_path / "drawn")])
    again = [file.stat().st_mtime_ns for file in files]
    assert [a == b for a, b in zip(times, again, strict=True)] == [True, False, True, True]
    with pytest.raises(ValueError, match="is there already, of steps '2' and not steps '3'"):
        call(["draw", *(word if word != "2" or asked[i - 1] != "--steps" else "3" for i, word in enumerate(asked)),
              "--out", str(tmp_path / "drawn")])  # fmt: skip
    assert [file.stat().st_mtime_ns for file in files] == again


def test_an_exported_model_of_the_study_draws_the_same_latents_in_diffusers(tmp_path):
    with pytest.raises(ValueError, match="no trained model of c = 17"):
        call(["export", str(tmp_path / "none"), "--c", "17"])
    assert not (tmp_path / "none").exists(), "nothing half-made is left"
    call(["export", str(tmp_path / "out"), "--c", "8"])
    with pytest.raises(ValueError, match="holds a UNet and no whole pipeline"):
        read_pipeline(tmp_path / "out")
    profile = profiles.get(profiles.DEFAULT)
    network = UNet2DConditionModel.from_pretrained(tmp_path / "out", subfolder="unet")
    scheduler = DDIMScheduler.from_pretrained(tmp_path / "out", subfolder="scheduler")
    scheduler.set_timesteps(STEPS)
    context = np.random.default_rng(0).normal(size=(1, 24, 128)).astype(np.float32)
    structure, params = pretrain.load_pretrained(profile, 8, profile.length)
    keys, shape = image_keys(0, [0]), profile.latent_shape
    table = planned("ddim", STEPS, profile.spacing)
    mine = sample(structure, params, table, context, None, 1.0, keys, predict=profile.predict, shape=shape)
    x = torch.from_numpy(np.asarray(initial_noise(keys, shape)).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t, torch.from_numpy(context)).sample, t, x).prev_sample
    np.testing.assert_allclose(np.asarray(mine), x.numpy().transpose(0, 2, 3, 1), atol=2e-3)
    code = (tmp_path / "out/README.md").read_text().split("```python\n")[1].split("```")[0]
    code = code.replace('"unet"', f'"{tmp_path}/out/unet"').replace('"scheduler"', f'"{tmp_path}/out/scheduler"')
    code = code.replace("steps(50)", "steps(2)")
    for name in ("text", "autoencoder"):
        code = code.replace(f'"{name}.safetensors"', f'"{tmp_path}/out/{name}.safetensors"')
    scope = {}
    exec(code, scope)  # what README.md says works as it stands
    assert scope["picture"].shape == (32, 32, 3)


def test_an_exported_folder_has_the_lora_in_it_and_opens_in_diffusers(tmp_path, theirs):
    name = "unet.mid_block.attentions.0.proj_in"
    width = 32
    thin = {
        f"{name}.lora_A.weight": np.ones((1, width), np.float32),
        f"{name}.lora_B.weight": np.ones((width, 1), np.float32),
    }
    weights.save(tmp_path / "one.safetensors", thin)
    call(["export", str(tmp_path / "out"), "--folder", str(theirs[0]), "--lora", str(tmp_path / "one.safetensors")])
    again = StableDiffusionPipeline.from_pretrained(tmp_path / "out")
    moved = again.unet.mid_block.attentions[0].proj_in.weight - theirs[1].unet.mid_block.attentions[0].proj_in.weight
    np.testing.assert_allclose(moved.detach().numpy(), 1, atol=1e-6)
    assert json.loads((tmp_path / "out/model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"
    call(["export", str(tmp_path / "back"), "--folder", str(tmp_path / "out"), "--unet", str(theirs[0] / "unet")])
    same, first = read_pipeline(tmp_path / "back").unet_params, read_pipeline(theirs[0]).unet_params
    assert all(np.array_equal(same[name], first[name]) for name in first)
    with pytest.raises(ValueError, match="is not empty"):
        call(["export", str(tmp_path / "back"), "--c", "8"])
