"""Pipeline folders: diffusers' open here and draw the same pictures, ours open there; what is broken is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from safetensors.numpy import load_file, save_file
from transformers import CLIPTextModel

from ldm.__main__ import main
from ldm.diffusion.sampler import image_keys, initial_noise
from ldm.interop.stable_diffusion.parts import (
    OLD,
    UNetConfig,
    network,
    read_autoencoder,
    read_text,
    read_unet,
    write_autoencoder,
    write_unet,
)
from ldm.interop.stable_diffusion.pipeline import read_pipeline, write_pipeline
from ldm.interop.stable_diffusion.scheduler import NoiseConfig
from ldm.networks.autoencoder_config import SD, AutoencoderConfig
from ldm.networks.cost import MULTIPLIERS, groups
from ldm.networks.torch_layout import from_torch, to_torch
from ldm.profiles import TABLE1
from tests.references.stable_diffusion import autoencoder, draw, pipeline, text_tower, unet

CAPTIONS = ["a photo of a cat!", "two models, the LICENSE of one"]
STEPS, GUIDANCE = 4, 3.0


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Kind and width -> (diffusers' own folder, the pipeline in it), made once."""
    made = {}

    def get(kind: str, c: int = 64):
        if (kind, c) not in made:
            root = tmp_path_factory.mktemp(kind)
            made[kind, c] = root / "theirs", pipeline(root / "vocabulary", kind, c)
            made[kind, c][1].save_pretrained(root / "theirs")
        return made[kind, c]

    return get


@pytest.mark.parametrize("kind, captions", [("sd1", CAPTIONS[:1]), ("sd2", CAPTIONS)], ids=["sd1", "sd2"])
def test_both_libraries_draw_the_same_picture_from_either_ones_folder(tmp_path, folders, kind, captions):
    folder, theirs = folders(kind)
    ours = read_pipeline(folder)
    noise = np.asarray(initial_noise(image_keys(7, range(len(captions))), (16, 16, 4)))
    images = ours.images(captions, ours.plan(STEPS), GUIDANCE, seed=7)
    expected = draw(theirs, captions, noise, STEPS, GUIDANCE)
    assert images.shape == expected.shape == (len(captions), 32, 32, 3)
    assert expected.std() > 0.1  # neither grey nor all clipped
    assert np.abs(images / 255 - expected).mean() < 1 / 255

    write_pipeline(tmp_path / "ours", ours)
    again = StableDiffusionPipeline.from_pretrained(tmp_path / "ours")
    again.set_progress_bar_config(disable=True)
    np.testing.assert_array_equal(draw(again, captions, noise, STEPS, GUIDANCE), expected)


def tensors(folder):
    files = {path.parent.name: load_file(path) for path in folder.glob("*/*.safetensors")}
    return {(part, name.removeprefix("text_model.")): a for part, file in files.items() for name, a in file.items()}


@pytest.mark.parametrize("kind", ["sd1", "sd2"])
def test_a_folder_read_and_written_holds_the_same_bits(tmp_path, folders, kind):
    folder, _ = folders(kind)
    write_pipeline(tmp_path / "once", read_pipeline(folder))
    theirs, ours = tensors(folder), tensors(tmp_path / "once")
    assert theirs.keys() == ours.keys()
    assert all(theirs[k].tobytes() == ours[k].tobytes() and theirs[k].shape == ours[k].shape for k in theirs)
    write_pipeline(tmp_path / "twice", read_pipeline(tmp_path / "once"))
    for path in (tmp_path / "once").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "twice" / path.relative_to(tmp_path / "once")).read_bytes()


@pytest.mark.parametrize("c", [8, 24])
def test_a_unet_of_the_mini_family_goes_there_and_back(tmp_path, c):
    network = unet(c, 128, 8)
    network.save_pretrained(tmp_path / "theirs", max_shard_size="200KB")
    assert (tmp_path / "theirs" / "diffusion_pytorch_model.safetensors.index.json").is_file()
    config, params = read_unet(tmp_path / "theirs")
    assert (config.c, config.context, config.size) == (c, 128, 8)
    write_unet(tmp_path / "ours", config, params)
    again = UNet2DConditionModel.from_pretrained(tmp_path / "ours").state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("c", [min(TABLE1), 320, max(TABLE1)])
def test_the_widths_of_table_1_have_the_weights_that_diffusers_has(c):
    _, like = network(UNetConfig(c=c, context=1024))
    with torch.device("meta"):
        theirs = UNet2DConditionModel(
            block_out_channels=[m * c for m in MULTIPLIERS], cross_attention_dim=1024, norm_num_groups=groups(c)
        ).state_dict()
    ours = {name: to_torch(name, np.broadcast_to(np.float32(0), a.shape)).shape for name, a in like.items()}
    assert ours == {name: tuple(tensor.shape) for name, tensor in theirs.items()}


def test_stable_diffusions_autoencoder_is_read_with_the_names_of_its_first_release(tmp_path):
    autoencoder(SD.channels, SD.blocks, SD.groups).save_pretrained(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    file, new = load_file(path), {ours: old for old, ours in OLD.items()}
    for name in [name for name in file if "mid_block.attentions.0." in name and "group_norm" not in name]:
        head, _, rest = name.partition("attentions.0.")
        part, _, kind = rest.rpartition(".")
        file[f"{head}attentions.0.{new[part]}.{kind}"] = file.pop(name)
    save_file(file, path, {"format": "pt"})
    assert "decoder.mid_block.attentions.0.proj_attn.bias" in file

    config, params, scale = read_autoencoder(tmp_path)
    assert config == SD and scale == 0.5
    theirs = AutoencoderKL.from_pretrained(tmp_path)
    assert all(np.array_equal(from_torch(n, t.numpy()), params[n]) for n, t in theirs.state_dict().items())


def test_half_precision_is_widened(tmp_path):
    network = autoencoder()
    network.half().save_pretrained(tmp_path)
    _, params, _ = read_autoencoder(tmp_path)
    name = "encoder.conv_in.weight"
    assert params[name].dtype == np.float32
    np.testing.assert_array_equal(params[name], from_torch(name, network.state_dict()[name].float().numpy()))


@pytest.mark.parametrize("size", ["1GB", "200KB"], ids=["one file", "several"])
def test_a_folder_that_holds_only_a_variant_is_read(tmp_path, size):
    unet(8).half().save_pretrained(tmp_path / "unet", variant="fp16", max_shard_size=size)
    text_tower().half().save_pretrained(tmp_path / "text", variant="fp16", max_shard_size=size)
    names = [path.name for path in tmp_path.glob("*/*.safetensors")]
    assert all("fp16" in name for name in names) and (len(names) == 2) == (size == "1GB")
    for read, folder, there in (
        (read_unet, "unet", UNet2DConditionModel.from_pretrained(tmp_path / "unet", variant="fp16")),
        (read_text, "text", CLIPTextModel.from_pretrained(tmp_path / "text", variant="fp16")),
    ):
        params = read(tmp_path / folder)[1]
        expected = {name: from_torch(name, tensor.float().numpy()) for name, tensor in there.state_dict().items()}
        assert params.keys() == expected.keys()
        assert all(np.array_equal(params[name], expected[name]) for name in expected)


def test_a_file_without_a_variant_comes_first_and_of_several_variants_one_is_to_be_chosen(tmp_path):
    network = autoencoder()
    network.save_pretrained(tmp_path, variant="ema")
    network.save_pretrained(tmp_path, variant="non_ema")
    with pytest.raises(ValueError, match="holds the variants ema, non_ema: expected one; keep that alone"):
        read_autoencoder(tmp_path)
    (tmp_path / "diffusion_pytorch_model.ema.safetensors").rename(tmp_path / WEIGHTS)
    save_file({}, tmp_path / "diffusion_pytorch_model.non_ema.safetensors")
    assert read_autoencoder(tmp_path)[1]


def edit(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def reshape(path, name, shape):
    file = load_file(path)
    save_file(file | {name: np.zeros(shape, np.float32)}, path)


WEIGHTS = "diffusion_pytorch_model.safetensors"
BROKEN = {
    "a tensor of another shape": (
        lambda f: reshape(f / "unet" / WEIGHTS, "conv_in.weight", (8, 5, 3, 3)),
        r"tensor 'conv_in.weight' has shape \(8, 5, 3, 3\) where \(8, 4, 3, 3\) is expected",
    ),
    "a truncated file": (
        lambda f: (f / "vae" / WEIGHTS).write_bytes((f / "vae" / WEIGHTS).read_bytes()[:-9]),
        "is no safetensors file, or only a part of one",
    ),
    "another network": (
        lambda f: save_file({"x": np.zeros(3, np.float32)}, f / "unet" / WEIGHTS),
        "lacks .* tensors, the first is 'conv_in.bias'; instead there is 'x'",
    ),
    "a pickle alone": (
        lambda f: (f / "unet" / WEIGHTS).rename(f / "unet" / "diffusion_pytorch_model.bin"),
        "diffusion_pytorch_model.bin is a pickle",
    ),
    "a pickle under another name": (
        lambda f: (f / "unet" / WEIGHTS).write_bytes(pickle.dumps(print)),
        "is a pickle",
    ),
    "no weights": (lambda f: (f / "vae" / WEIGHTS).unlink(), "holds no diffusion_pytorch_model.safetensors"),
    "no part": (lambda f: shutil.rmtree(f / "scheduler"), "scheduler_config.json does not exist"),
    "no vocabulary": (
        lambda f: (f / "tokenizer" / "tokenizer.json").unlink(),
        "vocab.json does not exist; expected vocab.json and merges.txt, or tokenizer.json",
    ),
    "another pipeline": (
        lambda f: edit(f / "model_index.json", _class_name="StableDiffusionXLPipeline"),
        "is a 'StableDiffusionXLPipeline'; expected 'StableDiffusionPipeline'",
    ),
    "a second text tower": (
        lambda f: edit(f / "model_index.json", text_encoder=["transformers", "CLIPTextModelWithProjection"]),
        "text_encoder is 'CLIPTextModelWithProjection'; expected 'CLIPTextModel'",
    ),
    "broken JSON": (lambda f: (f / "unet" / "config.json").write_text("{"), "is no JSON file"),
    "a missing field": (
        lambda f: (f / "vae" / "config.json").write_text('{"_class_name": "AutoencoderKL"}'),
        "lacks the field 'block_out_channels'",
    ),
    "another block": (
        lambda f: edit(f / "unet" / "config.json", resnet_time_scale_shift="scale_shift"),
        "resnet_time_scale_shift = 'scale_shift' is not supported; expected 'default'",
    ),
    "no size": (
        lambda f: edit(f / "unet" / "config.json", sample_size=None),
        "sample_size = None: expected a whole number, the height and width of the latents",
    ),
    "a size of two numbers": (
        lambda f: edit(f / "unet" / "config.json", sample_size=[64, 48]),
        r"sample_size = \[64, 48\]: expected a whole number, the height and width of the latents",
    ),
    "another condition": (
        lambda f: edit(f / "unet" / "config.json", class_embed_type="timestep"),
        "class_embed_type = 'timestep' is not supported; expected None",
    ),
    "other widths": (
        lambda f: edit(f / "unet" / "config.json", block_out_channels=[8, 16, 24, 32]),
        r"block_out_channels = \[8, 16, 24, 32\] is not supported; expected \[8, 16, 32, 32\]",
    ),
    "an inpainting model": (
        lambda f: edit(f / "unet" / "config.json", in_channels=9),
        "in_channels = 9 is not supported; expected 4",
    ),
    "another activation": (
        lambda f: edit(f / "text_encoder" / "config.json", hidden_act="relu"),
        "activation = 'relu': expected one of quick_gelu, gelu",
    ),
    "clipped values": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", thresholding=True),
        "thresholding = True is not supported",
    ),
    "another prediction": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", prediction_type="flow"),
        "prediction_type of DDIMScheduler = 'flow': expected one of epsilon, v_prediction, sample",
    ),
}


@pytest.mark.usefixtures("any_types")  # what is wrong is found by the library itself
@pytest.mark.parametrize("harm", BROKEN)
def test_a_broken_folder_is_refused_in_one_sentence(tmp_path, folders, harm):
    folder = shutil.copytree(folders("sd1", 8)[0], tmp_path / "x")
    do, sentence = BROKEN[harm]
    do(folder)
    with pytest.raises(ValueError, match=sentence) as refused:
        read_pipeline(folder)
    assert "\n" not in str(refused.value)


def test_the_command_draws_a_picture(tmp_path, folders, monkeypatch):
    words = [folders("sd1")[0], "a cat", "--steps", 2, "--out", tmp_path / "cat.png"]
    monkeypatch.setattr(sys, "argv", ["ldm", "draw", *map(str, words)])
    main()
    with Image.open(tmp_path / "cat.png") as picture:
        assert picture.size == (32, 32) and np.asarray(picture).std() > 1


def test_parts_of_different_models_are_refused(folders):
    whole = read_pipeline(folders("sd1", 8)[0])
    with pytest.raises(ValueError, match="text width and UNet context are 64 and 32; the parts belong to different"):
        replace(whole, unet=UNetConfig(c=8, context=32))
    with pytest.raises(ValueError, match="tokens of tokenizer and text tower are"):
        replace(whole, text=replace(whole.text, vocabulary=600))


def test_a_single_file_is_no_folder(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({}, path)
    with pytest.raises(ValueError, match=r"is a single file; expected a folder .*from_single_file\('model.safetens"):
        read_pipeline(path)


def test_impossible_requests_are_refused(tmp_path, folders):
    whole = read_pipeline(folders("sd1", 8)[0])
    with pytest.raises(ValueError, match="size = 12: expected a multiple of 8"):
        whole.images(CAPTIONS, whole.plan(2), 3.0, size=12)
    with pytest.raises(ValueError, match="captions is empty"):
        whole.images([], whole.plan(2), 3.0)
    with pytest.raises(ValueError, match="seed = 99999999999999999999: expected a whole number from 0 to 4294967295"):
        whole.images(CAPTIONS, whole.plan(2), 3.0, seed=99999999999999999999)
    with pytest.raises(ValueError, match="patch = 4: diffusers' AutoencoderKL works on single pixels"):
        write_autoencoder(tmp_path, AutoencoderConfig(patch=4), {}, 1.0)
    with pytest.raises(ValueError, match="c = 12: expected a multiple of 8"):
        UNetConfig(c=12)
    with pytest.raises(ValueError, match="heads = .* expected 4 divisors"):
        UNetConfig(c=64, heads=(5, 10, 20, 20))
    with pytest.raises(ValueError, match="betas = 'cosine': expected one of scaled_linear, linear"):
        NoiseConfig(betas="cosine")
