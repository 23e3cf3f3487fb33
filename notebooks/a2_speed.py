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
# **The question.** A study is cheap only if its code is fast. We train and sample the same network, with the same
# shapes and the same work a step, here and in [diffusers](https://github.com/huggingface/diffusers) on torch. Torch
# runs as it is, and through `torch.compile`. All take turns on the same machine. (The paper gives FLOPs and no
# seconds.)

# %% tags=["parameters"]
profile = "laptop-eps"  # not used: rows of a benchmark are of a machine, and the one measured last is shown

# %% tags=["remove-cell"]
from IPython.display import Markdown

from ldm.figures import growth, protocol, speed, tables
from ldm.paths import ROOT
from ldm.study.conditions import newest
from ldm.study.results import Store

store = Store(ROOT)
rows = newest(store.rows(study="benchmark"))
races = speed.races(rows)
ours = races[races["who"] == speed.OURS].set_index("race")
others = races[races["who"] != speed.OURS]
best = others.loc[others.groupby("race")["value"].idxmax()].set_index("race")
ratio = (ours["value"] / best["value"])[ours.index]

# %% [markdown]
# ## What one waits for first
#
# A picture: 20 guided DDIM steps of a Stable Diffusion folder in small (c = 32, 16 x 16 latents), which `python -m ldm
# draw` and diffusers both open. A training step: the first one of the UNet of c = 32 below. Each is what a new process
# needs, from its start, *cold* if nothing has been compiled before, *warm* if what was compiled lies on the disk (where
# `JAX_COMPILATION_CACHE_DIR` names a folder, as the Makefile does).

# %% tags=["remove-input"]
waits = speed.first_waits(rows)
Markdown("`python -m benchmarks.first` measures it." if waits.empty else tables.table(waits, what="First waits"))

# %% tags=["remove-input"]
Markdown(protocol.folded(rows[rows["task"] == "first"], {}, "python -m benchmarks.first", counted="starts"))

# %% [markdown]
# ## Once it runs, beside torch

# %% tags=["remove-input"]
speed.chart(races)

# %% tags=["remove-input"]
Markdown(
    f"Points are the median of {races['n'].min()} rounds; bars run from the slowest to the fastest round. Compared with"
    f" the faster of the two ways of torch, on {races['machine'].iloc[0]}:\n\n"
    + "\n".join(f"- {race}: {value:.2f} times as fast" for race, value in ratio.items())
)

# %% tags=["remove-input"]
Markdown(tables.table(speed.speed_table(races), what="All races"))

# %% tags=["remove-input"]
raced = rows[(rows["metric"] == "images per second") & rows["task"].isin(speed.RACES)]
Markdown(protocol.folded(raced, {}, "make bench", counted="rounds"))

# %% [markdown]
# The last column compares with the rate of one large matrix product on the same machine, in float32. It counts the
# arithmetic of the forward passes: a training step is three of them, and guidance doubles a sampling step. Everything
# that is not a multiplication, from normalisation to the optimiser, lowers it.
#
# ## One pass
#
# The time of one pass for each picture, where 64 are drawn at once, and that of all that comes besides: the text tower,
# the decoder and the sampler's own arithmetic. A guided step is two passes. The table is of the machine that was timed
# last:

# %% tags=["remove-input"]
Markdown(tables.table(speed.passes(rows)))

# %% tags=["remove-input"]
Markdown(protocol.folded(rows[rows["task"] == "picture"], {}, "python -m benchmarks.picture", counted="rounds"))

# %% [markdown]
# ## Once the study has run
#
# What has been computed is not computed again. These commands find the study done:

# %% tags=["remove-input"]
waits = growth.again(rows)
Markdown("`python -m benchmarks.again` measures it." if waits.empty else tables.table(waits, what="Commands"))

# %% tags=["remove-input"]
Markdown(protocol.folded(rows[rows["task"] == "again"], {}, "python -m benchmarks.again", counted="rounds"))

# %% [markdown]
# ## As work grows
#
# Seconds and memory of ever more of one thing, each amount in a process of its own. Drawing takes four guided steps of
# c = 16, 16 pictures at once, on 8 x 8 latents, unless that is what grows (two pictures where positions grow); training
# takes one step of c = 16. A power of 1 means that twice the work takes twice as long; it is fitted to the three
# largest amounts. Three may grow faster: the width, since arithmetic grows with its square; positions, where attention
# compares all pairs; KID, which compares all pairs of pictures. FD and KID are of 1,280 features with their intervals,
# against 10,000 real pictures. From a store we read the rows of one size. Memory is all that the process holds.

# %% tags=["remove-input"]
grown = growth.measured(rows)
growth.chart(grown) if len(grown) else Markdown("`python -m benchmarks.growth` measures it.")

# %% tags=["remove-input"]
Markdown(tables.table(growth.table(grown), what="Powers of the amount") if len(grown) else "")

# %% tags=["remove-input"]
timed = rows[rows["task"] == "growth"]  # their protocols differ in the amounts, which the chart shows
Markdown(protocol.folded(timed.assign(protocol=timed["machine"]), {}, "python -m benchmarks.growth", counted="rounds"))

# %% [markdown]
# ## Where the time goes on a CPU
#
# Four things cost more than arithmetic. XLA is the compiler of JAX. These factors were measured once, on an AMD EPYC of
# 2021, and are of single operations, not of a whole step.
#
# - *Attention over 256 positions.* Written as softmax(QK')V, XLA's CPU code spends up to twenty times as long on the
#   softmax as on both products. It does not if the heads come first and the division by the sum comes *after* the
#   second product (`ldm.networks.layers.attend`).
# - *Fresh memory.* Working memory beyond 32 MB goes back to the system after each call, and returns page by page,
#   filled with zeros. Pages of 2 MB (`GLIBC_TUNABLES=glibc.malloc.hugetlb=1`, which the Makefile sets for every
#   contender) save a sixth to a third of a training step. A program that scores pictures keeps the memory (`ldm.heap`).
# - *Convolutions on maps of 2 x 2 and 1 x 1.* Most of their nine taps see only padding. Gathered and multiplied as one
#   matrix, they are 20 times faster (`ldm.networks.layers.conv2d`).
# - *Gradients of x W on four-dimensional arrays* are up to ten times slower than on matrices
#   (`ldm.networks.layers.matmul`).
#
# XLA's convolution alone, on 16 x 16 maps, was half as fast as torch's when it was last measured. The lead over torch
# also depends on the processor: on an older one, training c = 32 was
# [as fast as with `torch.compile`](../book/log.md), and sampling a fifth slower.
#
# ## The first page

# %% tags=["remove-input"]
Markdown(speed.first_page(rows))

# %% tags=["remove-input"]
Markdown(protocol.folded(rows[rows["task"] == "first page"], {}, "python -m benchmarks.first_page", counted="visits"))

# %% [markdown]
# ## Scoring pictures
#
# [Scoring a folder](../book/tool.md) beside torch-fidelity, which loads the same weights and reads the same files. The
# number is the median of the rounds, the brackets hold the least and the most.

# %% tags=["remove-input"]
Markdown(speed.scoring(rows))

# %% tags=["remove-input"]
scored = rows[rows["task"].isin(["score", "score memory"])]
Markdown(protocol.folded(scored, {}, "python -m benchmarks.scoring", counted="rounds"))

# %% [markdown]
# ## Waiting for data
#
# The same training step gets its data in several ways: from memory or from tar files (`ldm/data/shards.py`), as latents
# or as pictures that are encoded on the way. Threads make the batches ahead, or they are made when asked for. How much
# of the time does the host spend on getting batches? (The device waits at most that long, since it works on the step
# before.) And how long does a step take?

# %% tags=["remove-input"]
waits = speed.waiting(rows)
Markdown("`python -m benchmarks.input` measures it." if waits.empty else tables.table(waits, what="Ways to get data"))

# %% tags=["remove-input"]
Markdown(protocol.folded(rows[rows["task"] == "input"], {}, "python -m benchmarks.input", counted="laps"))

# %% [markdown] tags=["recorded"]
# In the results of this book, batches that are made ahead are ready when they are needed, in almost all laps. Whether
# reading latents slows the step down in another way, these laps cannot tell, because they differ by more. Encoding
# pictures does slow it down where the autoencoder shares the cores with the step, as here. So write latents (`python -m
# ldm shards`). Write pictures only if each one is to be cut anew each time, or if cores are idle beside an accelerator.

# %% [markdown]
# ## Trainings as they went
#
# `python -m ldm pretrain`, `superres` and `distill` record their speed.

# %% [markdown] tags=["recorded"]
# The shipped rows are whole trainings of the study, of teachers that were trained on, and of models that were finetuned
# for super-resolution.

# %% [markdown]
# A lap is 20 steps, or fewer before a model is kept. The first lap, in which the step is compiled, does not count. The
# machine is named below the table. Compare with the races above only if it is the same.

# %% tags=["remove-input"]
went = store.rows(study="training")
Markdown(tables.table(speed.trainings(went), what="Trainings") if len(went) else "None has been kept.")

# %% tags=["remove-input"]
Markdown(protocol.folded(went, {}, "python -m tools.train_family", counted="laps"))

# %% [markdown]
# ## Try it
#
# `make bench` times your own machine, in a quarter of an hour to half an hour, and `make notebook N=a2_speed` draws
# what it found.
#
# **Exercise.** Guidance asks the network twice. Suppose that the second question cost no time: which share of the
# matrix-multiply rate would sampling seem to reach, if both were still counted?
#
# Others, with answers: [46 to 48](a4_exercises.ipynb).
