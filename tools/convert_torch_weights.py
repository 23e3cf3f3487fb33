"""Turns published weights of torch (.pth) into safetensors, names and layout unchanged. For maintainers.

    python3 -m venv /tmp/torch && . /tmp/torch/bin/activate
    pip install torch==2.13.0 numpy safetensors
    python tools/convert_torch_weights.py pt_inception-2015-12-05-6726825d.pth inception.safetensors

A .pth is a pickle, which can run code when opened: only this script, in an environment of its own, reads
it, and with `weights_only=True`. What `ldm.metrics.perceptual` reads, and where it is published:

    inception   github.com/mseitzer/pytorch-fid, release fid_weights: pt_inception-2015-12-05-6726825d.pth
    lpips       torchvision: alexnet-owt-7be5be79.pth, vgg16-397923af.pth (download.pytorch.org/models);
                the heads: lpips/weights/v0.1/alex.pth, vgg.pth in the wheel of `lpips` 0.1.4 on PyPI
    clip, dino  Hugging Face's folders have safetensors already, to be read as they are:
                openai/clip-vit-base-patch32, clip-vit-large-patch14, clip-vit-large-patch14-336;
                facebook/dino-vits16, dinov2-large (if a folder has only pytorch_model.bin, convert that)
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file


def convert(source: Path, target: Path) -> int:
    """Write the tensors of `source`, and return how many. Raises: ValueError where it holds anything but tensors."""
    state = torch.load(source, map_location="cpu", weights_only=True)
    strangers = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if strangers:
        raise ValueError(f"{source}: {strangers[0]!r} is no tensor; give a file that holds a state dict.")
    # clone: safetensors refuses tensors that share their memory
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, target)
    return len(state)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(f"{convert(Path(sys.argv[1]), Path(sys.argv[2]))} tensors in {sys.argv[2]}")
