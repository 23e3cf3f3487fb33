"""The command that compares pictures with those that they should be, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from ldm.commands import tables


def nearness(
    pictures: Positional[str],
    true: Positional[str],
    /,
    metrics: str = "psnr,ssim,lpips-effnet",
    net: Literal["alex", "vgg"] = "alex",
    weights: tuple[Path, ...] = (),
    out: tuple[Path, ...] = (),
) -> None:
    """Say how near pictures come to those of the same name that they should be, with 95 % intervals.

    Metrics: of psnr, ssim, lpips-effnet (LPIPS's formula on EfficientNet, which ships) and lpips, with commas between.
    Net, weights: of lpips, two safetensors: torchvision's AlexNet or VGG16, and the heads of the package lpips.
    """
    from ldm.data.sources import open_source
    from ldm.metrics import pixels
    from ldm.metrics.nearness import nearness as measure_nearness
    from ldm.metrics.perceptual import efficientnet, lpips

    names = [name.strip() for name in metrics.split(",") if name.strip()]
    if "lpips" in names and len(weights) != 2:
        raise ValueError(
            "lpips needs two files, --weights TRUNK HEADS (tools/convert_torch_weights.py says where they are); or "
            "take lpips-effnet, whose weights ship."
        )
    known = {
        "psnr": lambda: ("higher", pixels.psnr, "PSNR, dB"),
        "ssim": lambda: ("higher", pixels.ssim, "SSIM of the luma"),
        "lpips-effnet": lambda: (
            "lower",
            efficientnet.load_efficientnet().distance,
            "LPIPS's formula, EfficientNet-Lite0",
        ),
        "lpips": lambda: ("lower", one := lpips.load_lpips(*weights, net=net), one.protocol),
    }
    for name in names:
        if name not in known:
            raise ValueError(f"metric {name!r} is not known; known: {', '.join(known)}.")
    tables.check(out)
    chosen = {name: known[name]() for name in names}
    found = measure_nearness(
        open_source(pictures), open_source(true), {name: compare for name, (_, compare, _) in chosen.items()}
    )
    rows = [
        {"score": title, "better": better, **found[name]._asdict(), "metric": name}
        for name, (better, _, title) in chosen.items()
    ]
    print(tables.printed([{name: row[name] for name in ("score", "value", "lo", "hi", "n", "better")} for row in rows]))
    tables.write(out, rows, {"pictures": pictures, "true": true})
