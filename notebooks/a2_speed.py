# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How fast
#
# **The question.** A study is cheap only if its code is fast. The same network, with the same shapes and the
# same work a step, is trained and sampled here and in [diffusers](https://github.com/huggingface/diffusers) on
# torch, as it is and through `torch.compile`, in turns on the same machine. (The paper gives FLOPs and no seconds.)

# %% tags=["parameters"]
profile = "laptop"  # for form's sake: rows of a benchmark are of a machine, and the one measured last is shown

# %% tags=["remove-cell"]
from IPython.display import Markdown

from ldm.figures import protocol, speed
from ldm.paths import ROOT
from ldm.study.results import Store

store = Store(ROOT)
rows = store.rows(study="benchmark", profile="laptop")
races = speed.races(rows)
ours = races[races["who"] == speed.OURS].set_index("race")
others = races[races["who"] != speed.OURS]
best = others.loc[others.groupby("race")["value"].idxmax()].set_index("race")
ratio = (ours["value"] / best["value"])[ours.index]

# %% [markdown]
# ## Beside torch

# %% tags=["remove-input"]
speed.chart(races)

# %% tags=["remove-input"]
Markdown(
    f"Points are the middle of {races['n'].min()} rounds, rules run from the slowest to the fastest. Against the faster"
    " of the two ways of torch: "
    + "; ".join(f"{race}: {value:.2f} times" for race, value in ratio.items())
    + f". Machine: {races['machine'].iloc[0]}."
)

# %% tags=["remove-input"]
speed.speed_table(races)

# %% tags=["remove-input"]
Markdown(protocol.folded(rows[rows["metric"] == "images per second"], {}, "make bench", counted="rounds"))

# %% [markdown]
# The last column compares with the rate of one large matrix product on the same machine, in float32. It counts
# the arithmetic of the forward passes (a training step is three of them, guidance doubles a sampling step), so
# all that is no multiplication, from normalisation to the optimiser, lowers it.
#
# ## Where the time goes on a CPU
#
# Four things that cost more than arithmetic, in the order of what they gave when mended. (XLA is the compiler of JAX.
# These factors were [noted](../book/log.md) on the machine named above, and are not measured again.)
#
# - *Attention over 256 positions.* Written as softmax(QK')V, XLA's CPU code spends twenty times as long on the
#   softmax as on both products. Heads first, and dividing by the sum *after* the second product, it does not
#   (`ldm.networks.layers.attend`).
# - *Fresh memory.* Working memory beyond 32 MB is given back to the system after each call and comes back page
#   by page, zeroed. Pages of 2 MB (`GLIBC_TUNABLES=glibc.malloc.hugetlb=1`, set by the Makefile for every
#   contender) take a sixth to a third off a training step.
# - *Convolutions on maps of 2 x 2 and 1 x 1.* Nine taps of which most see only padding: gathered and multiplied
#   as one matrix, they are 20 times faster (`ldm.networks.layers.conv2d`).
# - *Gradients of x W on four-dimensional arrays* are up to ten times slower than on matrices
#   (`ldm.networks.layers.matmul`).
#
# What is left is XLA's convolution on 16 x 16 maps, half as fast as torch's there. And the lead over torch is the
# processor's, too: on another one training c = 32 was [level with `torch.compile`](../book/log.md).
#
# ## A warm start

# %% tags=["remove-input"]
start = rows[(rows["task"] == "warm start") & (speed.machine(rows) == races["machine"].iloc[0])].set_index("metric")
parts = {name: start.loc[f"seconds: {name}"] for name in ("imports", "weights", "sampler")}
Markdown(
    "A new process whose programs were compiled before is ready to draw with the largest model of the family "
    f"(c = {start['c'].iloc[0]}) after "
    + " + ".join(f"{part['value']:.1f} s [{part['lo']:.1f}, {part['hi']:.1f}] ({name})" for name, part in parts.items())
    + f"; middle, least and most of {parts['sampler']['n']} starts. Without the cache, compiling comes on top, once a"
    " size."
)

# %% tags=["remove-input"]
Markdown(protocol.folded(start.reset_index(), {}, "make bench", counted="starts"))

# %% [markdown]
# ## The first page

# %% tags=["remove-input"]
Markdown(speed.first_page(rows))

# %% tags=["remove-input"]
Markdown(protocol.folded(rows[rows["task"] == "first page"], {}, "python -m benchmarks.first_page", counted="visits"))

# %% [markdown]
# ## Waiting for data
#
# The same training step, fed from memory and from tar files (`ldm/data/shards.py`), latents or pictures that are
# encoded on the way, whose batches are made when asked for or ahead, in threads. How much of the time does the host
# spend on getting batches? (The device works on the step before in the meantime: it waits at most as long.) And how
# long does a step take?

# %% tags=["remove-input"]
waits = speed.waiting(rows)
Markdown(
    "`python -m benchmarks.input` measures it."
    if waits.empty
    else waits.to_markdown(index=False, disable_numparse=True)
)

# %% tags=["remove-input"]
Markdown(protocol.folded(rows[rows["task"] == "input"], {}, "python -m benchmarks.input", counted="laps"))

# %% [markdown] tags=["recorded"]
# On the shipped rows batches that are made ahead lie ready when they are asked for, in almost all laps. Whether reading
# latents slows the step down otherwise, these laps cannot tell: they differ by more. Encoding pictures does, where, as
# here, the autoencoder has to share the cores with the step. So latents are what one writes (`python -m ldm shards`),
# unless each picture is to be cut anew each time, or cores are idle beside an accelerator.

# %% [markdown]
# ## Trainings as they went
#
# `python -m ldm pretrain`, `superres` and `distill` leave rows of their speed. Here are those that were kept. A lap is
# 20 steps, or fewer before a model is kept; the first, in which the step is compiled, does not count. The machine is
# named below the table; compare with the races above only where it is the same.

# %% [markdown] tags=["recorded"]
# The shipped rows are of short runs of each size, a finetuning for super-resolution, whose latents have twice the side,
# and a distillation, which asks its teacher, too.

# %% tags=["remove-input"]
went = store.rows(study="training")
Markdown(speed.trainings(went).to_markdown(index=False, disable_numparse=True) if len(went) else "None has been kept.")

# %% tags=["remove-input"]
made = (
    "pretrain --c 8 --seed 9 --images 12800` (16, 24, 32), `superres --c 32 --images 4000` and `distill codi --c 32"
    " --images 6000"
)
Markdown(protocol.folded(went, {}, f"python -m ldm {made}", counted="laps"))

# %% [markdown]
# ## Try it
#
# `make bench` times your own machine, in a quarter of an hour to half an hour, and `make notebook N=a2_speed` draws
# what it found.
#
# **Exercise.** Guidance asks the network twice. Which share of the matrix-multiply rate would sampling reach if
# the two questions were free to share all but their cross-attention? Others, with answers:
# [46 to 48](a4_exercises.ipynb).
