"""Pictures a second of `python -m ldm score` beside torch-fidelity, and its memory as pictures become more.

    python -m benchmarks.scoring --python /tmp/originals/bin/python     # the environment of tests/golden/perceptual.py
    python -m benchmarks.scoring --most 100000                          # memory alone, of 1,000 pictures to so many

Both programs read the same folder of PNG files of 64 x 64 pixels, enlarge them as torch-fidelity does, and ask the
same Inception network, whose weights are random here: they only cost time. The rounds go in turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import measure
from benchmarks.cases import CASES, Case
from ldm.data.sources import open_source
from ldm.metrics.extraction import extract
from ldm.metrics.perceptual.extractors import load_extractor
from ldm.metrics.scoring import Settings, scores

SIDE, DIFFERENT = 64, 1_000  # pixels; pictures, of which larger folders hold each several times
PICTURES, ROUNDS = 128, 3  # a round
THEIRS = """
import sys, time, warnings
warnings.filterwarnings("ignore")
import torch, torch_fidelity
import torch_fidelity.feature_extractor_inceptionv3 as module
from safetensors.torch import save_file

folder, file = sys.argv[1:]
net, load = module.FeatureExtractorInceptionV3, torch.nn.Module.load_state_dict
module.load_state_dict_from_url = lambda *_, **__: {}  # nothing is fetched: the weights are random
net.load_state_dict = lambda self, state, strict=True: load(self, state, strict=False)
empty = net("inception-v3-compat", ["2048", "logits_unbiased"]).state_dict()
state = {name: torch.rand_like(t.float()) * 0.02 + 0.01 for name, t in empty.items() if "num_batches" not in name}
save_file(state, file + ".safetensors")
torch.save(state, file + ".pth")
print("ready", flush=True)
for line in sys.stdin:
    begin = time.perf_counter()
    torch_fidelity.calculate_metrics(
        input1=folder, isc=True, cuda=False, batch_size=32, feature_extractor_weights_path=file + ".pth",
        cache=False, verbose=False, isc_splits=2,
    )
    print(time.perf_counter() - begin, flush=True)
"""


def write_pictures(folder: Path, n: int) -> Path:
    """Write n PNG files of noise, those after the first DIFFERENT as links to them."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        if i < DIFFERENT:
            Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(folder / f"{i:06}.png")
        else:
            os.link(folder / f"{i % DIFFERENT:06}.png", folder / f"{i:06}.png")
    return folder


def rates(python: str) -> dict[str, list[float]]:
    """Return the pictures a second of both programs in each round: network loaded, pictures looked at, and scored."""
    found: dict[str, list[float]] = {"ldm": [], "torch-fidelity": []}
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory() as place:
        folder, file = write_pictures(Path(place) / "pictures", PICTURES), Path(place) / "inception"
        with subprocess.Popen([python, "-c", THEIRS, str(folder), str(file)], **pipes) as child:
            if child.stdout.readline().strip() != "ready":
                raise SystemExit(f"{python} has no torch-fidelity that runs; tests/golden/perceptual.py installs it.")

            def ours(turn: int) -> float:
                begin = time.perf_counter()
                inception = load_extractor("inception", file.with_suffix(".safetensors"), "torch-fidelity")
                extracted = extract(open_source(folder), inception, Path(place) / f"{turn}", progress=False)
                scores(("is",), inception, extracted, None, Settings(splits=2))
                return time.perf_counter() - begin

            def theirs(_: int) -> float:
                child.stdin.write("go\n")
                child.stdin.flush()
                return float(child.stdout.readline())

            for turn in range(ROUNDS + 1):
                for name, call in (("ldm", ours), ("torch-fidelity", theirs)):
                    seconds = call(turn)
                    if turn:  # the first compiles
                        found[name].append(PICTURES / seconds)
            child.stdin.close()
    return found


def peak(n: int) -> tuple[float, float]:
    """Return gigabytes at most, and seconds, of a score of n pictures against 1,000 by the network that ships."""
    code = "import pathlib, resource, sys; from ldm.commands.score import score"
    code += "; score(*sys.argv[1:3], work=pathlib.Path(sys.argv[3]))"
    code += "; print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    with tempfile.TemporaryDirectory() as place:
        folders = [str(write_pictures(Path(place) / name, many)) for name, many in (("all", n), ("real", DIFFERENT))]
        begin = time.perf_counter()
        process = subprocess.run(
            [sys.executable, "-c", code, *folders, f"{place}/work"], stdout=subprocess.PIPE, text=True, check=True
        )
        took = time.perf_counter() - begin
    return 1024 * float(process.stdout.split("peak ")[1]) / 1e9, took


def keep(task: str, metric: str, who: str, values: list[float]) -> None:
    case = Case(task=f"{task}, {who}", **CASES[0])
    measure.keep(case, [measure.row(values, who, task=task, metric=metric)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="", help="the interpreter of an environment with torch-fidelity")
    parser.add_argument("--most", type=int, default=0, help="pictures of the largest folder, for memory")
    options = parser.parse_args()
    if not options.python and options.most < 1_000:
        parser.error("give --python, for the race, or --most of 1,000 or more, for memory")
    if options.python:
        for who, values in rates(options.python).items():
            print(f"{who:16}{statistics.median(values):8.1f} pictures a second  {min(values):.1f} to {max(values):.1f}")
            keep("score", "pictures per second", who, values)
    for n in [n for n in (1_000, 10_000, 100_000) if n <= options.most]:
        gigabytes, took = peak(n)
        print(f"{n:7,} pictures: {gigabytes:.2f} GB at most, {took:.0f} s")
        keep("score memory", "gigabytes at most", f"{n:,} pictures", [gigabytes])


if __name__ == "__main__":
    main()
