# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The paper's own sizes, on TPUs

# %% [markdown] tags=["recorded"]
# **In short.** Every size of Table 1 can be trained in the paper's batch on 256 chips of v5e, the largest if the batch
# goes through it in parts. That is what the compiler says; nobody has run it on a TPU.

# %% [markdown]
# **The question.** The paper trained [eleven models](../book/errata.md) on TPUs, Google's accelerators, for 500,000
# steps at a batch of 2,048. What would it take to do that again with this code?
#
# **What the paper says.** TPUv5, the batch and the steps. It does not say which of the two kinds of v5, how many chips,
# or how long.
#
# **What we run.** The compiler for TPUs, but no TPU. The compiler takes the description of a *slice*, which is a number
# of chips wired together (v5e:16x16 is 256 chips). It refuses a program that does not fit into their memory. So we know
# to the byte what a chip would hold and send. The times are bounds from the chips' data sheet, not measurements.

# %% tags=["parameters"]
profile = "laptop-eps"  # not used: these sizes are those of Table 1
sizes = []  # of Table 1, for instance 866M; none: all that have been compiled
topologies = ["v5e:16x16", "v5p:4x4x4", "v6e:8x8"]
batch = 2048
share = [0.2, 0.6]  # of a chip's peak that a training reaches, from and to

# %% tags=["remove-cell"]
from IPython.display import Markdown

from ldm.figures import laws, protocol, speed, tables
from ldm.figures import roofline as roofline_figures
from ldm.figures.record import record
from ldm.paths import ROOT
from ldm.study import roofline, tpu_plan
from ldm.study.results import Store

trainings = [
    tpu_plan.TpuTraining(size=s, topology=t, batch=batch, accumulate=micro_batches)
    for t in topologies
    for s in sizes or tpu_plan.SIZES
    for micro_batches in ((1,) if sizes else (1, 2, 4))
]
rows = tpu_plan.run(trainings) if sizes else tpu_plan.recorded(trainings, Store(ROOT))
found = roofline.roofline(rows)

# %% [markdown]
# ## Does it fit?
#
# We compile the training step of `ldm/training/loop.py` with the layout of `ldm/training/parallel.py`. Weights, their
# average and Adam's two moments are in float32, and the arithmetic is in bfloat16. The inside of every block is
# computed again on the way back. So many chips share this state that it fills at most a tenth of their memory. (*data x
# fsdp* is the number of groups of chips, and of chips that share.) A batch that is too large goes through the network
# in *micro-batches*, a loop. Of a loop the compiler counts one turn, so there we know only the arithmetic, and a step
# takes that long *or more*. Each line is a program that has been compiled, at the compiler's lowest effort.

# %% tags=["remove-input"]
Markdown(tables.table(roofline_figures.roofline_table(found), what="Compiled training steps"))

# %% [markdown]
# The times assume the full rates of the data sheet. The first time is the arithmetic (counted layer by layer, with the
# second forward pass of the blocks) or the messages between chips, whichever takes longer. No step is shorter. The
# second time is the traffic between a chip's memory and its cores, as the compiler counts it: every operand of every
# operation, even one that is still on the chip. At full rates the true time lies between the two. The chart shows all
# three parts:

# %% tags=["remove-input"]
roofline_figures.chart(found)

# %% tags=["remove-input"]
made = f"python -m ldm plan --topology {topologies[0]} --size ... --accumulate ..."
Markdown(protocol.folded(rows, {}, made, counted="programs"))

# %% [markdown]
# ## What do the chips tell each other?
#
# The table gives the gigabytes that a chip receives in one step, by the kind of message. An *all-gather* collects the
# weights from the chips that share a state, once on the way through the network and once on the way back. An
# *all-reduce* sums the gradients of all chips. Both send bfloat16, two bytes a number. Pictures stay where they are.
# The compiler has to be told so (`Layout.gather`): left to itself it moved the pictures to the weights, which is far
# more traffic.

# %% tags=["remove-input"]
Markdown(tables.table(roofline_figures.collectives(rows), what="What chips receive"))

# %% [markdown]
# ## Transformers of about as many parameters
#
# The diffusion transformers DiT-L/2 and DiT-XL/2 (Peebles and Xie 2023), told text by cross-attention, have about as
# many parameters as the UNets 558M and 866M. Their tokens are squares of 2 x 2 latents. The same step, batch and
# layout:

# %% tags=["remove-input"]
beside = [
    tpu_plan.TpuTraining(size=s, topology=topologies[0], batch=batch) for s in ("558M", "866M", *tpu_plan.PUBLISHED)
]
known = tpu_plan.compiled(beside, Store(ROOT))
shown = roofline_figures.beside(known) if len(known) else None
made = " ".join(f"--size {s}" for s in tpu_plan.PUBLISHED)
Markdown(
    f"`python -m ldm plan {made} --topology {topologies[0]}` compiles them."
    if shown is None
    else tables.table(shown, what="UNets and transformers")
)

# %% [markdown] tags=["recorded"]
# In the results of this book a transformer needs 1.6 times the arithmetic of the UNet beside it, and half to six tenths
# of its memory. Traffic, not arithmetic, may bound the UNets, so that the ranges of seconds overlap: which is quicker,
# only a TPU can say.

# %% [markdown]
# ## The whole paper
#
# This time follows from the count of operations alone, without a compiler:

# %% tags=["remove-input"]
flops, days = roofline.whole_paper(tuple(share))
Markdown(
    "Counted layer by layer (`ldm/networks/cost.py`), the eleven trainings together are"
    f" {laws.scientific(flops)} floating-point operations. A training step takes three forward passes an image, if"
    f" nothing is computed twice. At {share[0]:.0%} to {share[1]:.0%} of the peak of a v5e that is {days[0]:,.0f} to"
    f" {days[1]:,.0f} days of one chip, or {days[0] / 256:.1f} to {days[1] / 256:.0f} days of a pod of 256. The share"
    " is an assumption, and a parameter of this page."
)

# %% [markdown]
# ## Before that: one GPU, for minutes
#
# Between the laptop and a pod lies one large GPU. The profiles `gpu-eps` and `gpu-v` use the scenes, the autoencoder,
# the text tower and the judges of the laptop's second edition. Only the width goes on, from c = 64 to Table 1's 320, in
# bfloat16 and in larger batches; `gpu-dit` has transformers of those costs, at a rate that was swept on the laptop, and
# `gpu-dit-published` DiT-S, B and L themselves (`gpu-dit-published-64`: on scenes of twice the side, whose points stand
# apart). A queue orders the tasks for a machine that is lent for minutes: the task that adds most comes first, and rows
# and models are packed along the way.
#
# `make gpu-study ARGS="--plan --minutes 9"` measures the card and lists what fits into nine minutes. Without `--plan`
# it does these tasks, and packs their results into `runs/home`. Unpack these in a checkout (`tar xf`); `make compact`
# then makes them part of the study.
#
# ## What has been shown, and what has not
#
# - *Tests show,* with a small network: one, two and eight devices give the same losses over twenty steps, and so do two
#   processes of four devices. A run resumes on another number of devices. It survives SIGTERM, even if only one of two
#   processes receives it, and `kill -9` at three random moments, and ends the same to the bit.
# - *Benchmarks show,* in the tables below: a training that was killed twenty times ended the same to the bit. And a
#   training of the smallest UNet (c = 8) from fresh weights stays close on two devices to one on a single device.
# - *This page shows:* the programs compile for these slices, and whether they fit.
# - *Nothing shows* that the code runs on a TPU: nobody has run it on one. The times are computed. SkyPilot's and
#   Snakemake's parsers have read the files in `launch/`, and that is all. Autoencoder and text tower of the profile
#   `tpu` have not been trained; `launch/tpu-slice.yaml` says how to do it.

# %% tags=["remove-input"]
tried = Store(ROOT).rows(study="benchmark", task=["kills", "devices"])
Markdown(speed.kills(tried[tried["task"] == "kills"]))

# %% tags=["remove-input"]
Markdown(tables.table(speed.devices(tried[tried["task"] == "devices"])))

# %% tags=["remove-input"]
Markdown(protocol.folded(tried, {}, "python -m benchmarks.kills` and `python -m benchmarks.devices", counted="runs"))

# %% [markdown]
# *Weights apart* is the distance of the weights from those of one device, as a share of the way that the latter went.
# Sums of floats depend on their order, and every step carries the difference on.
#
# ## Try it
#
# ```
# make notebook N=10_tpu ARGS="-p share 0.3,0.5 -p topologies v5e:16x16"
# .venv/bin/pip install -r requirements-tpu.txt
# .venv/bin/python -m ldm plan --size 2B --topology v5p:4x4x4 --batch 2048
# ```
#
# The last two commands add a line to the tables above. With a TPU, `sky launch launch/tpu-vm.yaml --env
# BUCKET=gs://yours --env NOTEBOOK=04_sampling` executes a chapter, and `launch/tpu-slice.yaml` trains one size on a
# slice.
#
# **Exercise.** Without computing blocks again, up to which size would the step still fit on v5e? Guess from the column
# *GB a chip* first: the inside of a block is several times as large as what goes in and out of it. Then ask the
# compiler
# (`--no-remat`, minutes a size).
# Shorter ones, with answers: [34 to 36](a4_exercises.ipynb).

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record(
    "fits",
    {
        f"{row['size']} on {row['topology']}, {row['mesh']}, micro-batches: {row['micro_batches']}": bool(row["fits"])
        for _, row in found.iterrows()
    },
)
