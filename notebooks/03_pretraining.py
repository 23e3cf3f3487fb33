# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Pretraining: does quality follow compute?
#
# **The question.** Train every size on the same data with the same recipe. Does a picture's quality depend
# on the *compute* spent in training, whatever the size?
#
# **What the paper saw** (section 3.1, Fig. 3). With training compute FID falls and CLIP score rises, one
# curve a size; larger models are better at the end. 500,000 steps of batch 2048 each; pictures by 50-step DDIM.
#
# **What is run here.** The mini family, on emoji scenes, on two cores. Learning rate and weight average need no end
# that is fixed beforehand, so one run gives a finished model at every length; each of them is evaluated in the same
# way, by [KID](../book/metrics.md) in place of FID.

# %% tags=["parameters"]
profile = "laptop"  # smoke | laptop | gpu-eps | tpu, or another of ldm/profiles.py
sizes = []  # base filter counts c; none: the profile's family
lengths = []  # training lengths, in images seen; none: all that each size has
steps = 50  # DDIM steps, as in the paper
guidance = 2.0  # the paper: 7.5; see the next chapter
n = 0  # pictures a point; 0: the profile's number
metric = "kid_effnet"  # a name in ldm.metrics.catalogue.METRICS
average_size = 8  # a size of which a training with snapshots is here, for the weights' average
shares = [0.02, 0.05, 0.1, 0.15, 0.2, 0.25]  # of a training, to average its weights over
live_size = 8  # a model to train while you look on
live_images = -1  # for so many images; -1: the profile's number, 0: none
recompute = -1  # recorded cells to run again and compare; -1: the profile's number, 0: none
losses_of = "laptop-eps"  # the profile whose recorded held-out losses are shown

# %% tags=["remove-cell"]
from IPython.display import Markdown, display

from ldm import profiles
from ldm.figures import averages as averages_figures
from ldm.figures import isoflop, laws, paper_sizes, plots, protocol, samples, training
from ldm.figures.record import record, record_best, record_verdicts
from ldm.paths import ROOT
from ldm.statistics import verdicts
from ldm.study import averages, findings, sampling
from ldm.study.recompute import agreement
from ldm.study.results import Store
from ldm.study.run import run

chosen = profiles.get(profile)
sizes, n = sizes or list(chosen.family), n or chosen.n
cells = sampling.pretraining_grid(chosen, sizes, lengths, steps=steps, guidance=[guidance], n=n)
store, evaluator = Store(ROOT), sampling.SamplingEvaluator(chosen)

# %% [markdown]
# ## Training, live
#
# This model starts from nothing, on the same scenes, and learns while the notebook runs. The loss is the mean
# square error of the predicted $v$, a [mixture of noise and picture](../book/glossary.md); most of it nobody could
# predict, so the curve flattens early while the pictures go on improving.

# %% tags=["remove-input"]
training.pretrain(chosen, live_size, images=chosen.live if live_images < 0 else live_images)

# %% [markdown]
# ## Every length of every size

# %% tags=["remove-cell"]
rows = run(cells, store=store, evaluator=evaluator, title="pretraining")

# %% tags=["remove-input"]
plots.quality_vs_compute(rows, metric)

# %% tags=["remove-input"]
Markdown(
    protocol.folded(
        rows[rows["metric"] == metric], evaluator.metrics.protocols, f"make notebook N=03_pretraining PROFILE={profile}"
    )
)

# %% [markdown]
# One point is one model at one length; the bars are 95 % intervals over pictures (not over training seeds: one
# run each, so differences between neighbouring sizes carry a seed's luck as well). Where curves cross, compute decides,
# not size.
#
# A power law in the compute, whatever the size, and by how much every model lies off it:

# %% tags=["remove-input"]
display(*laws.shown(laws.training_points(rows, metric), metric, "training compute (cost x images seen)"))

# %% [markdown]
# Residuals (below) that lie on one side at the ends and on the other in the middle say that the law is not of this
# shape; residuals of one colour on one side would say that size matters beyond compute.

# %% [markdown] tags=["recorded"]
# On the shipped rows quality hardly moves until a model has learnt anything at all, and then fast.

# %% [markdown]
# ## The best size for a training budget
#
# A budget of training FLOPs buys many images for a small model or few for a large one. Each line is one budget, from
# little (dark) to much (light), read off the sizes' own curves above; the ring marks its best size (the isoFLOP
# profiles of [Hoffmann et al. 2022](https://arxiv.org/abs/2203.15556)).

# %% tags=["remove-input"]
display(*isoflop.shown(rows, metric, store.influences(rows, metric)))

# %% [markdown]
# Which size is best for how much training is the question that the paper, whose sizes all saw equally many images,
# leaves open. The longest-trained models by their parameters:

# %% tags=["remove-input"]
plots.quality_vs_params(rows, metric)

# %% [markdown]
# ## A sharper measure: the held-out loss
#
# How well does a network guess the noise in pictures that it has never seen? No sampler, no guidance, no autoencoder
# and no judge stands in between, so the intervals are small. These are the sizes of the second edition, whose captions
# [leave things open](14_left_open.ipynb) and whose networks predict the noise, as the paper's do:

# %% tags=["remove-cell"]
losses = store.rows(study="denoising", profile=losses_of, task="denoise", seed=0)
held_out = losses[losses["metric"] == "denoising"]
longest = losses[(losses["metric"] == "denoising_at") & (losses["images_seen"] == profiles.get(losses_of).length)]
influences = store.influences(held_out, "denoising")

# %% tags=["remove-input"]
plots.quality_vs_compute(held_out, "denoising")

# %% [markdown]
# Read across, the lines give the best size for each budget of training FLOPs:

# %% tags=["remove-input"]
display(*isoflop.shown(held_out, "denoising", influences))

# %% tags=["remove-input"]
Markdown(findings.asked(verdicts.f1, held_out, store, ["denoising"])[1])

# %% [markdown]
# Where does a larger network help? At every noise level, after the longest training:

# %% tags=["remove-input"]
isoflop.by_time(longest)

# %% tags=["remove-input"]
Markdown(protocol.folded(held_out, {}, f"python -m ldm grid --study denoising --profile {losses_of}"))

# %% [markdown]
# ## What is averaged
#
# The paper does not say [which weights it evaluates](../book/unsaid.md). The models above are moving averages (EMA) of
# their trainings' weights: late ones count more, by a power of time that spans a tenth of the run (its spread, σ_rel,
# is 0.1 of it). Is a tenth right? It need not be chosen before: snapshots of two averages combine into any other
# afterwards ([Karras et al. 2024](https://arxiv.org/abs/2312.02696), section 3; `ldm/training/ema.py`). So one more
# training, of one size by another seed, kept 32 of them. What each share would have given, a curve for each length of
# training; the lowest point is the best share:

# %% tags=["remove-cell"]
wanted = averages.averages_grid(chosen, [average_size], [], shares, steps=steps, guidance=guidance, n=n)
averaged = averages.measure(wanted, store=store, evaluator=averages.AveragesEvaluator(chosen))

# %% tags=["remove-input"]
Markdown(averages_figures.MISSING) if averaged.empty else averages_figures.curves(averaged, metric)

# %% tags=["remove-input"]
Markdown(
    ""
    if averaged.empty
    else protocol.folded(
        averaged[averaged["metric"] == metric],
        evaluator.metrics.protocols,
        f"make notebook N=03_pretraining PROFILE={profile}",
    )
)

# %% [markdown]
# By how much each share is worse than a tenth, on the same captions from the same noise. Without a star, which marks
# intervals that leave out zero, these pictures cannot tell the two apart.

# %% tags=["remove-input"]
Markdown("" if averaged.empty else averages_figures.against_usual(averaged, metric, store.influences(averaged, metric)))

# %% [markdown]
# The same by the held-out loss, for every size of the second edition whose training kept snapshots:

# %% tags=["remove-cell"]
lengths_of = store.rows(study="denoising", profile=losses_of, task="average", seed=0)
paired = store.influences(lengths_of, "denoising")

# %% tags=["remove-input"]
averages_figures.by_size(lengths_of, "denoising", paired)

# %% tags=["remove-input"]
Markdown(averages_figures.best_shares(lengths_of, "denoising", paired))

# %% [markdown] tags=["recorded"]
# On the shipped rows half as long an average is never worse by KID, and better in all but the shortest training; a
# still shorter one gains little more at best, and after few pictures loses a lot. Longer ones are worse throughout. All
# models of this book span a tenth, so sizes are compared alike; their levels could be better.

# %% [markdown]
# ## Look at them
#
# First the largest model after its longest training, validation captions in order, none chosen:

# %% tags=["remove-input"]
samples.strip(store, evaluator, max(cells, key=lambda cell: (cell.c, cell.images)))

# %% [markdown]
# Two of these captions, from the same noise: rows are sizes, columns training lengths.

# %% tags=["remove-input"]
samples.sample_table(store, evaluator, cells, "c", "images")

# %% [markdown]
# ## The record, recomputed
#
# The rows above ship with the repository. A part of them is computed again, by the same code on this machine; within
# the interval it must come out the same.

# %% tags=["remove-input"]
Markdown(agreement(cells, recompute, store=store, evaluator=evaluator))

# %% [markdown]
# ## Verdict

# %% tags=["remove-input"]
found, text = findings.asked(verdicts.f1, rows, store)
Markdown(text)

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("F1", {v.metric: v.answer for v in found})
record_verdicts(found)
record_best(rows, metric)

# %% [markdown]
# F1 asks whether training compute explains quality beyond the number of images: whether the order of models by
# normalised cost x images predicts the order of their quality better than images alone do (Somers' D of the one, less
# that of the other). It holds where the interval of the difference lies above 0; where size were useless it would fail.
#
# ## At the paper's own sizes
#
# The same question to networks of Table 1's own widths, on larger scenes, as far as the minutes of a GPU have gone:

# %% tags=["remove-input"]
display(*paper_sizes.shown("F1", store, metric))

# %% [markdown]
# ## Limits
#
# One training run a size, few kinds of object, and models far smaller than the paper's.
# [What is scaled down](../book/scaled-down.md) lists the rest.

# %% [markdown] tags=["recorded"]
# By KID-EfficientNet the autoencoder's own distance, in [the data](01_data.ipynb), is a large part of the best models'
# on the shipped rows: that network minds faint texture, which no eye sees. The scene network hardly minds the
# autoencoder.

# %% [markdown]
# ## Try it
#
# `make notebook N=03_pretraining ARGS="-p sizes 16,32 -p guidance 4"` evaluates at another guidance; only cells
# that nobody has run are run. `python -m ldm pretrain --c 16` trains a size anew.
#
# **Exercise.** At which training compute does c = 16 reach what c = 8 reaches at its longest? Read it off the
# chart, then from `rows`. Is it the same by KID and by alignment?
# Others, with answers: [10 to 12](a4_exercises.ipynb).
