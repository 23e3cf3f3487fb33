# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Confounders: is it the size, or something else?
#
# **The question.** At a small sampling budget a smaller model can beat the largest (F3, [sampling](04_sampling.ipynb)).
# Is this about *size*? Four other explanations are possible: models that were not trained long enough, guidance, the
# place of the steps in time, and the number of pictures behind a distance.
#
# **What the paper says.** All sizes are trained for 500,000 steps and compared there. Guidance is swept. The spacing of
# the steps is not stated. FID is measured on 30,000 captions.
#
# **What we run.** F3 again, by [its rule](../book/protocol.md), with one thing changed at a time. An effect is the mean
# advantage of the best smaller model over the largest at small budgets, as a share of the largest one's value. *Fewest
# steps* is the lowest step count that a setting may have. [KID](../book/metrics.md) takes the place of FID.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
lengths = []  # training lengths, in images; none: every second one of the profile
steps = []  # step counts, where training lengths are compared; none: some of the profile's
spaced = []  # step counts, where spacings are compared; none: some of the profile's
counts = []  # pictures a point; none: a quarter of the profile's number to sixteen times it, or 4,096
metrics = []  # names in ldm.metrics.catalogue.METRICS; none: those that verdicts count

# %% tags=["remove-cell"]
import pandas as pd
from IPython.display import Markdown, display

from ldm import profiles
from ldm.figures import confounders as confounders_figures
from ldm.figures import protocol, tables
from ldm.figures.record import record
from ldm.metrics.catalogue import metric_of
from ldm.paths import ROOT
from ldm.study import confounders, findings, sampling
from ldm.study.results import Store
from ldm.study.run import run
from ldm.tasks import models

chosen = profiles.get(profile)
sizes, metrics = models.trained_sizes(chosen), metrics or list(findings.metrics_of(chosen))
store, evaluator = Store(ROOT), sampling.SamplingEvaluator(chosen)

# %% [markdown]
# ## Undertraining
#
# If F3 came from large models that are not trained yet, it would fade as training goes on.

# %% tags=["remove-input"]
trained = confounders.f3_in(
    confounders.trainings(chosen, sizes, lengths, steps), metrics, store=store, evaluator=evaluator
)
Markdown(tables.table(trained))

# %% [markdown]
# If undertraining were the reason for F3, a smaller model would lead early and lose its lead later.

# %% [markdown] tags=["recorded"]
# The shipped rows show the opposite. By KID-EfficientNet the smaller models are behind after the shortest training, and
# a tenth ahead after longer ones, but never over more than half of the small budgets. A small model must have learnt
# enough before its extra steps are worth anything.

# %% [markdown]
# ## Guidance
#
# Every size has its own best guidance. Does F3 depend on that choice?

# %% tags=["remove-input"]
guided = confounders.f3_in(confounders.guidances(chosen, sizes), metrics, store=store, evaluator=evaluator)
Markdown(tables.table(guided))

# %% [markdown]
# Without guidance only the number of steps is chosen, so the result is about size and steps alone.

# %% [markdown] tags=["recorded"]
# On the shipped rows F3 does depend on guidance. With one step allowed and a guidance of 4 for every size, F3 holds by
# all four metrics, because a single strongly guided step of the largest model gives the worst picture of all. Without
# guidance, or with the best guidance of each size, F3 is undecided. From four steps on F3 fails by KID-EfficientNet,
# whatever the guidance.

# %% [markdown]
# ## Where the steps lie
#
# *Trailing* steps start at the last time, where only noise is left. *Leading* steps, with which Stable Diffusion was
# released, leave out the end: with four steps the first is at time 751, although the sample that goes in is pure noise.
# This mistake is larger the fewer the steps (Lin et al. 2024). It makes small step counts worse than necessary, for
# every size.

# %% tags=["remove-input"]
spacing = confounders.f3_in(confounders.spacings(chosen, sizes, spaced), metrics, store=store, evaluator=evaluator)
Markdown(tables.table(spacing))

# %% [markdown] tags=["recorded"]
# On the shipped rows the spacing changes the answer of one metric in four. With two steps and more, on trailing times,
# the smaller models are a tenth behind by KID-EfficientNet, and F3 fails. On leading times, with the same weights and
# the same noise, they are ahead, and F3 is undecided. With four steps and more, F3 holds by no metric.

# %% [markdown]
# The paper does not state its spacing. If its spacing was leading, its results with few steps carry this penalty. Then
# budgets that buy only a few steps of the largest model look worse for it than they are, and a smaller model with more
# steps gains.
#
# ## The number of pictures
#
# A Fréchet distance (FID, FD) of n pictures is too large by about b/n, where b depends on the pictures. So a bias may
# decide how models rank. A kernel distance (KID) has no such bias. The charts show the same setting, scored on more and
# more pictures:

# %% tags=["remove-input"]
rows = run(confounders.counts(chosen, sizes, counts), store=store, evaluator=evaluator)
distances = [name for name in metrics if metric_of(name).better == "lower"]
display(*(confounders_figures.n_chart(rows, name, least=chosen.n) for name in distances))

# %% [markdown]
# How the sizes rank by each metric, best first:

# %% tags=["remove-input"]
Markdown(tables.table(confounders.order_by_n(rows, metrics)))

# %% tags=["remove-input"]
suspects = (
    confounders.trainings(chosen, sizes, lengths, steps),
    confounders.guidances(chosen, sizes),
    confounders.spacings(chosen, sizes, spaced),
)
asked = run(
    dict.fromkeys(cell for grid in suspects for cells in grid.values() for cell in cells),
    store=store,
    evaluator=evaluator,
)
behind = pd.concat([asked, rows], ignore_index=True).drop_duplicates(["key", "metric"])
behind = behind[behind["metric"].isin(metrics)]
Markdown(protocol.folded(behind, evaluator.metrics.protocols, f"make notebook N=a3_confounders PROFILE={profile}"))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("F3 without guidance", guided.iloc[0].to_dict())

# %% [markdown] tags=["recorded"]
# On the shipped rows the lines of the Fréchet distance are steep. At the left end, where n is infinite, every model is
# better than it looks. The lines are nearly parallel, so from some hundreds of pictures on the order at equal n stays
# the same. Comparing two models at different n gives wrong results. KID moves only within its intervals.

# %% [markdown]
# ## Limits
#
# Each size was trained once. We change one thing at a time, and do not ask what two of them do together.
#
# ## Try it
#
# `make notebook N=a3_confounders ARGS="-p lengths 160000,640000 -p spaced 2,3,4,8"`: only what is new is run.
#
# **Exercise.** Sample with leading steps from one of the models at 2, 4 and 8 steps (`-p spaced`), and look at the
# pictures of the cells. What does the missing start do to a background of one colour, and why to that most of all?
#
# Others, with answers: [31 to 33](a4_exercises.ipynb).
