"""What the original feature networks and resizers answer: writes perceptual.safetensors, beside this file.

    python3 -m venv /tmp/originals && . /tmp/originals/bin/activate
    pip install -r requirements.txt torch==2.13.0 torchvision==0.28.0 \
        torch-fidelity==0.4.0 pytorch-fid==0.3.0 clean-fid==0.1.35 lpips==0.1.4
    python tests/golden/perceptual.py

In an environment of its own, because these packages need torchvision, whose wheels load with the CUDA
build of torch only, while the tests make do with the CPU's. The published weights are not needed: every
network has random ones, functions of their names (tests/random_weights.py), so that the test can draw
them again. Nothing is downloaded.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_suffix(".safetensors")
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
warnings.filterwarnings("ignore", category=UserWarning)  # torchvision's, of arguments that lpips still uses

import lpips  # noqa: E402
import pytorch_fid.inception  # noqa: E402
import torch_fidelity.feature_extractor_inceptionv3 as fidelity  # noqa: E402
from cleanfid.resize import build_resizer, make_resizer  # noqa: E402
from random_weights import draw  # noqa: E402  (`tests` is a package that torch-fidelity installs)
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x  # noqa: E402

from ldm.data.scenes.config import SceneConfig  # noqa: E402
from ldm.data.scenes.dataset import Scenes  # noqa: E402
from ldm.networks import weights  # noqa: E402

SIZES = (37, 80)  # one below and one above the pictures' own


def nchw(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def nhwc(images: torch.Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def fill(net: torch.nn.Module) -> torch.nn.Module:
    """Random weights under the net's own names."""
    state = {name: tuple(t.shape) for name, t in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    net.load_state_dict({name: torch.from_numpy(t) for name, t in draw(state).items()}, strict=False)
    return net.eval()


def without_download(module, cls: type) -> None:
    """The constructors fetch the published weights and load them: let them fetch and load nothing."""
    module.load_state_dict_from_url = lambda *_, **__: {}
    cls.load_state_dict = lambda self, state, strict=False: torch.nn.Module.load_state_dict(self, state, strict=False)


def inception(images: np.ndarray) -> dict[str, np.ndarray]:
    without_download(fidelity, fidelity.FeatureExtractorInceptionV3)
    net = fill(fidelity.FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"]))
    features, logits = net(nchw(images))

    import torchvision

    without_download(pytorch_fid.inception, torchvision.models.Inception3)
    make = pytorch_fid.inception.fid_inception_v3
    filled = fill(make())
    pytorch_fid.inception.fid_inception_v3 = lambda: filled
    legacy = pytorch_fid.inception.InceptionV3().eval()
    bare = pytorch_fid.inception.InceptionV3(resize_input=False, normalize_input=False).eval()
    clean = np.stack([build_resizer("clean")(image) for image in images])
    return {
        "inception.torch-fidelity": features.numpy(),
        "inception.logits": logits.numpy(),
        "inception.pytorch-fid": legacy(nchw(images).float() / 255)[0][..., 0, 0].numpy(),
        "inception.clean-fid": bare((nchw(clean) - 128) / 128)[0][..., 0, 0].numpy(),
    }


def distances(images: np.ndarray) -> dict[str, np.ndarray]:
    answers = {}
    for net in ("alex", "vgg"):
        metric = lpips.LPIPS(pretrained=False, pnet_rand=True, net=net, verbose=False)
        fill(metric.net)  # slices, with the numbers of torchvision's layers
        trunk = {f"features.{name.split('.', 1)[1]}": t for name, t in metric.net.state_dict().items()}
        drawn = draw({name: tuple(t.shape) for name, t in trunk.items()})
        for name, tensor in metric.net.state_dict().items():
            tensor.copy_(torch.from_numpy(drawn[f"features.{name.split('.', 1)[1]}"]))
        heads = {n: t for n, t in metric.state_dict().items() if n.startswith("lin") and not n.startswith("lins")}
        for name, tensor in draw({name: tuple(t.shape) for name, t in heads.items()}).items():
            heads[name].copy_(torch.from_numpy(np.abs(tensor)))  # as the learned ones are
        x = nchw(images).float() / 127.5 - 1
        answers[f"lpips.{net}"] = metric(x[:-1], x[1:])[:, 0, 0, 0].numpy()
    return answers


def resizers(images: np.ndarray) -> dict[str, np.ndarray]:
    x = nchw(images[:1]).float()
    answers = {}
    for side in SIZES:
        clean = make_resizer("PIL", False, "bicubic", (side, side))
        legacy = make_resizer("PyTorch", False, "bilinear", (side, side))
        tensorflow = interpolate_bilinear_2d_like_tensorflow1x(x, size=(side, side), align_corners=False)
        answers |= {
            f"resize.clean.{side}": clean(images[0])[None],
            f"resize.torch_bilinear.{side}": legacy(images[0])[None],
            f"resize.tensorflow_bilinear.{side}": nhwc(tensorflow),
        }
    return answers


if __name__ == "__main__":
    torch.set_num_threads(1)
    images = Scenes(SceneConfig(size=64), "test", 3).images(range(3))[:, :, :48]
    with torch.no_grad():
        answers = inception(images) | distances(images) | resizers(images)
    weights.save(GOLDEN, {"images": images} | answers)
    for name, answer in answers.items():
        print(f"{name:32} {answer.shape!s:20} mean {answer.mean():.4g}  spread {answer.std():.4g}")
