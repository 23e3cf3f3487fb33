# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Pretraining: does quality follow compute?

# %% [markdown] tags=["recorded"]
# **In short.** Held-out loss follows training compute: this explains it surely better than the number of images does
# (F1 holds; by 0.09 [0.06, 0.14] of Somers' D). Of pictures that is sure by alignment alone (0.10 [0.01, 0.13]), and by
# FD-scene and KID undecided, because trainings of one size scatter. By one training a size FD had been sure, too.

# %% [markdown]
# **The question.** Train every size on the same data with the same recipe. Does a picture's quality depend on the
# *compute* spent in training, whatever the size?
#
# **What the paper saw** (section 3.1, Fig. 3). As training compute grows, FID falls and CLIP score rises, with one
# curve for each size. Larger models are better at the end. Each trained for 500,000 steps of batch 2,048. The pictures
# are drawn by DDIM in 50 steps.
#
# **What we run.** The family in the paper's own setting, on two cores, on emoji scenes with open captions.
# Learning rate and weight average need no end that is fixed beforehand, so one run gives a finished model at every
# length. We ask two things of each: how well it guesses the noise of pictures that it has never seen, and how far the
# pictures that it draws are from [real scenes](../book/metrics.md).

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
sizes = []  # base filter counts c; none: those of the profile's family that are trained
lengths = []  # training lengths, in images seen; none: all whose models or rows are here
steps = 50  # DDIM steps, as in the paper
guidance = 2.0  # the paper: 7.5; see the next chapter
n = 0  # pictures a point; 0: the profile's number
level = ""  # how much captions say: all | some | subject | nothing; none: the profile's
metric = ""  # a name in ldm.metrics.catalogue.METRICS; none: the first that verdicts count
live_size = 8  # a model to train while you look on
live_images = -1  # for so many images; -1: the profile's number, 0: none
recompute = -1  # recorded cells to run again and compare; -1: the profile's number, 0: none

# %% tags=["remove-cell"]
from IPython.display import Markdown, display

from ldm import profiles
from ldm.figures import ask, averages, isoflop, laws, paper_sizes, plots, protocol, samples, training
from ldm.figures import findings as findings_figures
from ldm.figures.record import record, record_best, record_verdicts
from ldm.paths import ROOT
from ldm.statistics import verdicts
from ldm.study import findings, recorded, sampling
from ldm.study.recompute import agreement
from ldm.study.results import Store
from ldm.study.run import at_hand, run
from ldm.tasks import register

chosen, store = profiles.get(profile), Store(ROOT)
sizes, n = sizes or list(register.trained_sizes(chosen)), n or chosen.n
level, counted = level or chosen.level, findings.COUNTED
metric = metric or counted[0]
evaluator = sampling.SamplingEvaluator(chosen)
cells = sampling.pretraining_grid(chosen, sizes, lengths, steps=steps, guidance=[guidance], n=n, level=level)
cells = cells if lengths else at_hand(cells, store=store, evaluator=evaluator)
losses = store.rows(study="denoising", profile=chosen.name, task="denoise", c=sizes, seed=0)
held_out = losses[losses["metric"] == "denoising"]
longest = losses[(losses["metric"] == "denoising_at") & (losses["images_seen"] == chosen.length)]
by_share = store.rows(study="denoising", profile=chosen.name, task="average", c=sizes, seed=0)

# %% tags=["remove-cell"]
rows = recorded.beside_real(store, run(cells, store=store, evaluator=evaluator, title="pretraining"))
found, text = findings.asked(verdicts.f1, recorded.with_trainings(store, rows), store, counted)
every_training = recorded.with_trainings(store, held_out)
by_loss, text_by_loss = findings.asked(verdicts.f1, every_training, store, ["denoising"])

# %% [markdown]
# ## The answer
#
# Does training compute explain quality beyond the number of images?

# %% tags=["remove-input"]
answers = {"Of the pictures": found, "Of the held-out loss": by_loss}
Markdown("\n".join(f"- {what}: {findings_figures.answer(given)}" for what, given in answers.items()))

# %% [markdown]
# How well does a network guess the noise in pictures that it has never seen? This measure needs no sampler, no
# guidance, no autoencoder and no judge, so its intervals are small:

# %% tags=["remove-input"]
plots.quality_vs_compute(held_out, "denoising") if len(held_out) else Markdown(training.no_losses(chosen))

# %% [markdown]
# ## Training, live
#
# This model starts from nothing and learns while the notebook runs. The loss is the mean squared error of what the
# network predicts. Much of it cannot be predicted by any model, so the curve flattens early while the pictures go on
# improving.

# %% tags=["remove-input"]
training.pretrain(chosen, live_size, images=chosen.live if live_images < 0 else live_images)

# %% [markdown]
# ## The pictures, by length and size

# %% tags=["remove-input"]
plots.quality_vs_compute(rows, metric)

# %% tags=["remove-input"]
Markdown(
    protocol.folded(
        rows[rows["metric"] == metric], evaluator.metrics.protocols, f"make notebook N=03_pretraining PROFILE={profile}"
    )
)

# %% [markdown]
# Each point is one model at one length. The bars are 95 % intervals over pictures. They do not cover training seeds:
# one training a size is shown, so a difference between neighbouring sizes also holds the luck of a seed. If compute
# alone decided, all sizes would lie on one curve.
#
# The next chart fits one power law in the compute to all sizes. The lower panel shows how far each model lies from it:

# %% tags=["remove-input"]
display(*laws.shown(laws.training_points(rows, metric), metric, "training compute (cost x images seen)"))

# %% [markdown]
# Look at the residuals in the lower panel. If they lie on one side at the ends and on the other in the middle, the law
# has the wrong shape. If all residuals of one colour lay on one side, size would matter beyond compute.

# %% [markdown]
# ## The best size for a training budget
#
# A budget of training FLOPs buys many images for a small model, or few for a large one. Each line is one budget, from
# small (dark) to large (light), read off the curves of the sizes above. The ring marks its best size. Such charts are
# the isoFLOP profiles of [Hoffmann et al. 2022](https://arxiv.org/abs/2203.15556).

# %% tags=["remove-input"]
display(*isoflop.shown(rows, metric, store.influences(rows, metric)))

# %% [markdown]
# Which size is best for how much training, the paper leaves open, because all its sizes saw equally many images. The
# next chart shows the longest-trained models by their number of parameters:

# %% tags=["remove-input"]
plots.quality_vs_params(rows, metric)

# %% [markdown]
# ## The same by the held-out loss
#
# From the losses at the top of this page, the best size for each budget of training FLOPs:

# %% tags=["remove-input"]
display(*isoflop.shown(held_out, "denoising", store.influences(held_out, "denoising")))

# %% [markdown]
# At which noise levels does a larger network help? After the longest training:

# %% tags=["remove-input"]
isoflop.by_time(longest) if len(longest) else Markdown(training.no_losses(chosen))

# %% tags=["remove-input"]
Markdown(protocol.folded(held_out, {}, f"python -m ldm grid --study denoising --profile {profile}"))

# %% [markdown]
# ## What is averaged
#
# The paper does not say [which weights it evaluates](../book/unsaid.md). Our models are moving averages (EMA) of the
# weights along a training. Late weights count more, and the average spans a tenth of the run (its spread σ_rel is 0.1
# of it). Is a tenth right? We can ask afterwards: snapshots of two averages combine into any other average ([Karras et
# al. 2024](https://arxiv.org/abs/2312.02696), section 3; `ldm/training/ema.py`). The chart
# shows the held-out loss that each share would have given, for each size whose training kept snapshots:

# %% tags=["remove-input"]
share_influences = store.influences(by_share, "denoising")
averages.by_size(by_share, "denoising", share_influences) if len(by_share) else Markdown(training.no_losses(chosen))

# %% tags=["remove-input"]
Markdown(averages.best_shares(by_share, "denoising", share_influences) if len(by_share) else "")

# %% [markdown] tags=["recorded"]
# In the results of this book a shorter average would be better for every size, by 0.4 to 1.4 % of its loss.
# That is little beside the 16 to 28 % between neighbouring sizes, so we kept a tenth for all.

# %% [markdown]
# ## Look at them
#
# First the largest model after its longest training, validation captions in order, none chosen:

# %% tags=["remove-input"]
samples.strip(store, evaluator, max(cells, key=lambda cell: (cell.c, cell.images)))

# %% [markdown]
# Two of these captions, from the same noise. Rows are sizes, columns are training lengths.

# %% tags=["remove-input"]
samples.sample_table(store, evaluator, cells, "c", "images")

# %% [markdown]
# ## The record, recomputed
#
# The rows above ship with the repository. This machine computes a part of them again with the same code. The values
# must agree within their intervals.

# %% tags=["remove-input"]
Markdown(agreement(cells, recompute, store=store, evaluator=evaluator))

# %% [markdown]
# ## Verdict

# %% tags=["remove-input"]
Markdown(f"{text}\n\nBy the held-out loss:\n\n{text_by_loss}")

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("F1", {v.metric: v.answer for v in found})
record_verdicts([*found, *by_loss])
record_best(rows, metric)

# %% [markdown]
# F1 asks whether training compute explains quality better than the number of images alone. We rank the models by
# compute (normalised cost x images) and by images, and ask which ranking predicts their quality better. The measure is
# Somers' D, a rank correlation; the effect is the difference of the two. F1 *holds* if its interval lies above 0. If
# size were useless, F1 would fail.

# %% tags=["remove-input"]
display(*paper_sizes.shown("F1", store, metric))

# %% [markdown]
# ## Limits
#
# Charts and pictures show one training a size; the verdicts pool all that are recorded. The law of
# the best size is of one training, too; with all of them its power is 0.60 [0.36, 0.80]
# ([transformers](11_transformers.ipynb)). There are few kinds of object, and the models are far smaller than the
# paper's. [What is scaled down](../book/scaled-down.md) lists the rest.

# %% [markdown]
# ## Try it

# %% tags=["remove-input"]
ask.cell("F1", rows, [metric, *counted], store.influences)

# %% [markdown]
# `make notebook N=03_pretraining ARGS="-p sizes 16,32 -p guidance 4"` evaluates at another guidance; only cells
# that nobody has run are run. `python -m ldm pretrain --c 16` trains a size anew.
#
# **Exercise.** At which training compute does c = 16 reach what c = 8 reaches at its longest? Read it off the
# chart, then from `rows`. Is it the same by each metric?
#
# Others, with answers: [10 to 12](a4_exercises.ipynb).
