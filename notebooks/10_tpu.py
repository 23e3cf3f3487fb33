# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The paper's own sizes, on TPUs
#
# **The question.** The paper trained [eleven models](../book/errata.md) on TPUs, Google's accelerators, 500,000 steps
# at a batch of 2,048. What would it take to do that again with this code?
#
# **What the paper says.** TPUv5, the batch and the steps. Not which of the two kinds of v5, how many chips, or how
# long.
#
# **What is run here.** The compiler for TPUs, and no TPU. It compiles for a *slice*, chips wired together, that is only
# described to it (v5e:16x16 is 256 chips), and refuses a program that does not fit into their memory. So what a chip
# would hold and send is known to the byte; what follows for the time are bounds by the chips' data sheet, no
# measurement.

# %% tags=["parameters"]
profile = "laptop"  # for form's sake: these sizes are those of Table 1
sizes = []  # of Table 1, for instance 866M; none: all that have been compiled
topologies = ["v5e:16x16", "v5p:4x4x4", "v6e:8x8"]
batch = 2048
share = [0.2, 0.6]  # of a chip's peak that a training reaches, from and to

# %% tags=["remove-cell"]
from IPython.display import Markdown

from launch.gpu import queue as gpu_queue
from launch.gpu import run as gpu_study
from ldm.figures import protocol, speed
from ldm.figures import roofline as roofline_figures
from ldm.figures.record import record
from ldm.paths import ROOT
from ldm.study import roofline, tpu_plan
from ldm.study.results import Store

plans = [
    tpu_plan.Plan(size=s, topology=t, batch=batch, accumulate=micro_batches)
    for t in topologies
    for s in sizes or tpu_plan.SIZES
    for micro_batches in ((1,) if sizes else (1, 2, 4))
]
rows = tpu_plan.run(plans) if sizes else tpu_plan.recorded(plans, Store(ROOT))
found = roofline.roofline(rows)

# %% [markdown]
# ## Does it fit?
#
# The training step of `ldm/training/loop.py` with the layout of `ldm/training/parallel.py`: weights, their average and
# Adam's two moments in float32, arithmetic in bfloat16, the inside of every block computed again on the way back. This
# state is shared by as many chips as it takes to fill at most a tenth of their memory (*data x fsdp*: groups of chips,
# and chips that share). A batch that is too much at once goes through the network in *micro-batches*, a loop, of which
# the compiler counts one turn: there only the arithmetic is known, and a step takes that long *or more*. Each line is a
# program that has been compiled, at the least effort of the compiler, which takes minutes; what is missing has not
# been.

# %% tags=["remove-input"]
Markdown(roofline_figures.roofline_table(found).to_markdown(index=False))

# %% [markdown]
# The times are those of the data sheet's full rates. The first is the arithmetic, counted layer by layer with the
# blocks' second forward pass, or what the chips send each other, whichever takes longer; no step is shorter. The second
# is the traffic between a chip's memory and its cores, as the compiler counts it: every operand of every operation,
# also those that are still on the chip. At full rates the truth lies between. All three:

# %% tags=["remove-input"]
roofline_figures.chart(found)

# %% tags=["remove-input"]
made = f"python -m ldm plan --topology {topologies[0]}` and the like (`--size`, `--accumulate"
Markdown(protocol.folded(rows, {}, made, counted="programs"))

# %% [markdown]
# ## What do the chips tell each other?
#
# Gigabytes that a chip receives in one step, by the kind of message. An *all-gather* brings the weights of those chips
# together that share a state, once on the way through the network and once on the way back; an *all-reduce* sums the
# gradients of all chips. Both travel in bfloat16, two bytes a number. Pictures stay where they are. That has to be said
# to the compiler (`Layout.gather`): left to itself it sent pictures to the weights' shares, which is far more.

# %% tags=["remove-input"]
Markdown(roofline_figures.collectives(rows).to_markdown(index=False))

# %% [markdown]
# ## The whole paper
#
# Without a compiler, from the count of operations alone:

# %% tags=["remove-input"]
flops, days = roofline.whole_paper(tuple(share))
Markdown(
    f"Counted layer by layer (`ldm/networks/cost.py`), the eleven trainings together are {flops:.2g} floating-point"
    f" operations: three forward passes a step and image, nothing computed twice. At {share[0]:.0%} to {share[1]:.0%}"
    f" of the peak of a v5e that is {days[0]:,.0f} to {days[1]:,.0f} days of one chip, or {days[0] / 256:.1f} to"
    f" {days[1] / 256:.0f} days of a pod of 256. The share is an assumption, and a parameter of this page."
)

# %% [markdown]
# ## Before that: one GPU, for minutes
#
# Between the laptop and a pod lies one large GPU. The profiles `gpu-eps` and `gpu-v` draw the same scenes as the
# laptop's second edition, with the same autoencoder, text tower and judges; only the width goes on, from c = 64 to
# Table 1's 320, in bfloat16 and in larger batches. They have a queue for a machine that is at hand for minutes and
# forgets: what adds most to the evidence comes first, and rows and models are packed along the way.

# %% tags=["remove-input"]
state = gpu_study.progress(gpu_queue.queue(), Store(ROOT))
Markdown(
    f"**{state['done'].sum()} of {state['tasks'].sum()} tasks have been done.** What they measure stands in the"
    " chapters, under *At the paper's own sizes*; other seeds are rows alone, and speed is [a page of its"
    " own](a2_speed.ipynb).\n\n" + state.to_markdown(index=False)
)

# %% [markdown]
# `make gpu-study ARGS="--plan --minutes 9"` measures the card and lists what fits into nine minutes; without `--plan`
# it does that and packs what is to be kept into `runs/home`. Unpacked in a checkout (`tar xf`), `make compact` makes it
# part of the study.
#
# ## What has been shown, and what has not
#
# - *Shown by tests,* with a small network: one, two and eight devices give the same losses over twenty steps, as do two
#   processes of four; a run resumes on another number of devices; it survives SIGTERM, even if only one of two
#   processes is told, and `kill -9` at three random moments, and ends the same to the bit.
# - *Shown by benchmarks,* in the tables below: a training killed more often; and how far the weights of the laptop's
#   smallest UNet (c = 8), the first steps of whose trainings are run on two devices, end from those of one.
# - *Shown on this page:* the programs compile for these slices, and fit or not.
# - *Not shown:* that anything runs on a TPU. Nobody has run this code on one. The times are computed, the files in
#   `launch/` have been read by SkyPilot's and Snakemake's own parsers, and no more. The parts that the profile `tpu`
#   stands on, its autoencoder and text tower, have not been trained; `launch/tpu-slice.yaml` says how.

# %% tags=["remove-input"]
tried = Store(ROOT).rows(study="benchmark", task=["kills", "devices"])
Markdown(speed.kills(tried[tried["task"] == "kills"]))

# %% tags=["remove-input"]
Markdown(speed.devices(tried[tried["task"] == "devices"]).to_markdown(index=False, disable_numparse=True))

# %% tags=["remove-input"]
Markdown(protocol.folded(tried, {}, "python -m benchmarks.kills` and `python -m benchmarks.devices", counted="runs"))

# %% [markdown]
# *Weights apart* is their distance from the weights of one device, as a share of the way that these went: sums of
# floats depend on their order, and every step carries that on.
#
# ## Try it
#
# ```
# make notebook N=10_tpu ARGS="-p share 0.3,0.5 -p topologies v5e:16x16"
# .venv/bin/pip install -r requirements-tpu.txt
# .venv/bin/python -m ldm plan --size 2B --topology v5p:4x4x4 --batch 2048
# ```
#
# The last two give the tables above a line more. With a TPU: `sky launch launch/tpu-vm.yaml --env BUCKET=gs://yours
# --env NOTEBOOK=04_sampling` executes a chapter, `launch/tpu-slice.yaml` trains one size on a slice.
#
# **Exercise.** Without computing blocks again, up to which size would the step still fit on v5e? Guess from the column
# *GB a chip* first: a block's inside is several times as large as what goes in and out of it. Then ask the compiler
# (`--no-remat`, minutes a size). Shorter ones, with answers: [34 to 36](a4_exercises.ipynb).

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record(
    "fits",
    {
        f"{row['size']} on {row['topology']}, {row['mesh']}, micro-batches: {row['micro_batches']}": bool(row["fits"])
        for _, row in found.iterrows()
    },
)
