# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sampling: which size, how many steps, which guidance?

# %% [markdown] tags=["recorded"]
# **In short.** At the cost of two steps of the largest model a smaller one is [surely better](../book/glossary.md) by
# all three metrics, and by KID at three, too. Beyond, nothing is sure by FD-scene or alignment; by KID the largest
# surely wins from six steps on. At equal steps c = 24, in the mean of its trainings, is not told from c = 32 by
# FD-scene (from 6 % better to 1 % worse), although c = 32 costs 1.7 times as much; by KID and alignment it is clearly
# behind.

# %% [markdown]
# **The question.** A budget for one picture is given. Is it better spent on a few steps of a large model or on
# many steps of a small one?
#
# **What the paper saw** (section 3.3, Figs. 7 to 10). The best guidance depends on the number of steps. With every
# model at its best guidance, smaller models often win at small budgets: at cost 3 the 83M model is the best of all.
# Larger models win at larger budgets.
#
# **What we run.** The family in the paper's own setting: networks that predict the noise, DDIM on Stable Diffusion's
# own times, captions that say some of the picture and leave the rest open. Guidance scales $w$ go from 1 (no guidance)
# to 6. Quality is a [distance to real scenes](../book/metrics.md) that went through the same autoencoder. A perfect
# model would have a KID near 0, and an FD a little above it, which is what real scenes get with so many pictures ([the
# data](01_data.ipynb)). Every point has the same noise and captions.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
sizes = []  # base filter counts c; none: those of the profile's family that are trained
steps = []  # DDIM steps; none: the profile's
guidance = []  # guidance values; none: the profile's
n = 0  # pictures a point; 0: the profile's number
level = ""  # how much captions say: all | some | subject | nothing; none: the profile's
metric = ""  # a name in ldm.metrics.catalogue.METRICS; none: the first that verdicts count
recompute = -1  # recorded cells to run again and compare; -1: the profile's number, 0: none

# %% tags=["remove-cell"]
import numpy as np
from IPython.display import Markdown, display

from ldm import profiles
from ldm.figures import ask, charts, contest, explorer, laws, paper_sizes, plots, protocol, samples, speed, tables
from ldm.figures.record import record, record_best, record_verdicts
from ldm.paths import ROOT
from ldm.statistics import comparisons, optimum, verdicts
from ldm.study import findings, recorded, sampling
from ldm.study.recompute import agreement
from ldm.study.results import Store
from ldm.study.run import run
from ldm.tasks import register

chosen = profiles.get(profile)
sizes, steps = sizes or list(register.trained_sizes(chosen)), steps or list(chosen.steps)
guidance, n = guidance or list(chosen.guidance), n or chosen.n
level, counted = level or chosen.level, findings.COUNTED
metric = metric or counted[0]
cells = sampling.sampling_grid(chosen, sizes, steps, guidance, n=n, level=level)
store, evaluator = Store(ROOT), sampling.SamplingEvaluator(chosen)

# %% tags=["remove-cell"]
rows = recorded.beside_real(store, run(cells, store=store, evaluator=evaluator, title="sampling"))
trained = recorded.with_trainings(store, rows)  # verdicts pool the trainings of a size; charts show the first
influences = store.influences(rows, metric)
contested = list(dict.fromkeys([metric, *counted]))

# %% [markdown]
# ## The answer
#
# Each size at the best setting that the budget affords. Budgets are counted in steps of the largest model:

# %% tags=["remove-input"]
contest.answer(trained, contested, store.influences)

# %% [markdown]
# Each size is shown at its best guidance. The cost is the paper's, normalised cost times steps; it counts a guided step
# once, although guidance asks the network twice. The stepped line is the best that any size reaches within a budget.
# Where the points on it change colour, another size takes over. The dotted line, here and in other charts, is what
# [real scenes](01_data.ipynb) score after the autoencoder, the best that these models can be expected to draw.

# %% tags=["remove-input"]
plots.quality_vs_cost(rows, metric)

# %% [markdown]
# ## Guidance
#
# [Guidance](a0_primer.ipynb) pushes the picture towards its caption and away from the average picture (Ho and Salimans
# 2022). With too little, the caption is lost. With too much, everything looks alike. Choose a step count, and see how
# the lowest points move:

# %% tags=["remove-input"]
plots.guidance_curves(rows, metric)

# %% [markdown]
# What does guidance do to the pictures of the largest model (the paper's Fig. 7)? Rows are step counts, columns are
# guidance scales, always for the same two captions from the same noise.

# %% tags=["remove-input"]
swept = [cell for cell in cells if cell.c == max(sizes)]
samples.sample_table(store, evaluator, swept, "steps", "guidance")

# %% [markdown]
# ## The best guidance for each size and step count
#
# The large number is the best guidance that we measured. The small one below is the range of all values that may be the
# best: a confidence set (Hansen, Lunde and Nason 2011), which holds the truly best value of the grid with 95 %
# certainty.

# %% tags=["remove-input"]
plots.optimum_guidance(rows, metric, influences)

# %% [markdown]
# ## The frontier
#
# This chart shows the settings that no cheaper one beats. The curve is a power law fitted to them, and the lower panel
# shows how far each point lies from it.

# %% tags=["remove-input"]
display(*laws.shown(laws.frontier_points(rows, metric), metric, charts.COST))

# %% [markdown]
# Each of these points was chosen as the best of many, and they share their captions. So the exponent's interval is too
# narrow: use the curve to read the chart, not as a measurement.
#
# All sizes and steps again, by another metric, the share of pictures that show the object which the caption names:

# %% tags=["remove-input"]
plots.quality_vs_cost(rows, "subject")

# %% tags=["remove-input"]
drawn = rows[rows["metric"].isin([metric, "subject"])]
Markdown(protocol.folded(drawn, evaluator.metrics.protocols, f"make notebook N=04_sampling PROFILE={profile}"))

# %% [markdown]
# ## How many steps are enough?
#
# For each size the table gives the fewest steps that may be as good as its best step count (again a confidence set).
# There is no budget to keep to here. *Loss* is how much worse they look. With more steps than these a size gains little
# that so many pictures can show. With fewer, steps and size compete for the budget.

# %% tags=["remove-input"]
Markdown(tables.table(optimum.enough_steps(rows, metric, influences)))

# %% [markdown]
# ## Look at them
#
# Two captions, always from the same noise, at each size's best guidance.

# %% tags=["remove-input"]
best = charts.best(charts.pick(rows, metric), ["c", "steps"]).set_index(["c", "steps"])["guidance"]
samples.sample_table(
    store, evaluator, [cell for cell in cells if best[cell.c, cell.steps] == cell.guidance], "c", "steps"
)

# %% [markdown]
# The same at equal cost (the paper's Figs. 10 and 21 to 23): the best that each size draws within a budget. A grey
# field means that the fewest steps of this size cost more than the budget.

# %% tags=["remove-input"]
budgets = np.geomspace(rows["cost"].min(), rows["cost"].max() / 4, 5)
samples.at_equal_cost(store, optimum.within(rows, metric, budgets), budgets)

# %% [markdown]
# ## The winner at each budget
#
# Drag the budget. For each size the line shows its best setting that costs no more, and the pictures are drawn with it.
# The chance that a size is best counts the luck of the pictures alone, for one training of each size. The
# answer at the top counts the luck of training, too, and is therefore less sure.

# %% tags=["remove-input"]
explorer.budget_explorer(
    rows,
    list(dict.fromkeys([*contested, "subject"])),
    store.influences,
    pictures=lambda key: samples.thumbnail(store, key),
    captions=samples.captions(chosen, [chosen.level]),
    seconds=speed.seconds_of(store, chosen),
)

# %% [markdown]
# ## Smaller or largest, at every budget
#
# This chart compares the best smaller model with the largest at every budget, each at the best setting that it can
# afford. The advantage is a share of the largest model's value. The band holds at all budgets together with 95 %
# certainty; the chart is cut at 100 %. At the lowest budgets the largest model cannot afford its fewest steps; a
# smaller one then wins without a contest, which proves nothing.

# %% tags=["remove-input"]
display(*contest.shown(trained, contested, store.influences))

# %% [markdown]
# The next chart counts every evaluation: a guided step asks the network twice, a step without guidance once.

# %% tags=["remove-input"]
display(*contest.shown(trained, contested, store.influences, unit="evaluated"))

# %% [markdown]
# From which budget on is the next larger size the better one, for good? The table gives that budget with its 95 %
# interval. *Chance* is the probability that it happens within the budgets that we measured; a dash means that it does
# not happen within them. The last column counts the budget in steps of the largest size. All sizes draw the same
# captions from the same noise, and the chances use that.

# %% tags=["remove-input"]
Markdown(tables.table(comparisons.takeovers(rows, metric, influences)))

# %% [markdown]
# ## The record, recomputed

# %% tags=["remove-input"]
Markdown(agreement(cells, recompute, store=store, evaluator=evaluator))

# %% [markdown]
# ## Verdict

# %% tags=["remove-input"]
found, text = findings.asked(verdicts.f3, trained, store, counted)
Markdown(text)

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("F3", {v.metric: v.answer for v in found})
record_best(rows, metric)

# %% [markdown]
# F3 says that at small budgets a smaller model beats the largest, because it can afford more steps. Small budgets are
# the two doublings from the fewest steps of the largest model on. The finding *holds* where a smaller model is surely
# better over more than half of this range. It *fails* where it is surely not better over more than half. Otherwise it
# is *undecided* ([the rule](../book/protocol.md)).
#
# The paper's step counts begin at four. With those alone, the small budgets buy 4 to 16 steps of the largest model:

# %% tags=["remove-input"]
from_four, text = findings.asked(verdicts.f3, trained, store, counted, fewest=verdicts.FEWEST)
Markdown(text)

# %% tags=["remove-cell"]
record_verdicts([*found, *from_four])

# %% [markdown]
# The paper's cost does not count that a guided step asks the network twice. If it is counted, a step without guidance
# is half as dear, and small budgets begin earlier: where the largest affords its fewest steps, but cannot guide them.
# The same question, with the cost counted in three ways:

# %% tags=["remove-input"]
Markdown(tables.table(contest.by_count(trained, counted, store.influences)))

# %% [markdown] tags=["recorded"]
# In the results of this book the answer turns on where small budgets begin. From two steps without guidance on, F3
# holds by all three metrics: there the largest cannot afford guidance, and a smaller one can. From two guided steps on,
# it is as undecided as at the paper's cost, and from four guided steps it fails by KID alone. We asked this after the
# rows were there, so the verdict does not count it. ([Levers](13_levers.ipynb) count passes, too, of one training and
# without c = 24.)

# %% [markdown]
# The tables above differ in their budgets alone: the first begins at the fewest steps of the largest model. How the
# number of useful steps changes with what the caption says is asked in [how much is left open](14_left_open.ipynb).
# [Confounders](a3_confounders.ipynb) asks whether something other than size is behind it.

# %% tags=["remove-input"]
display(*paper_sizes.shown("F3", store, metric))

# %% [markdown]
# ## Limits
#
# Charts show the first training of each size, with intervals over pictures. The comparisons of the smaller with the
# largest, and the verdict, pool all trainings that are recorded. What the trainings of one
# size differ by is then part of the intervals, for all sizes. The cost counts the UNet alone, as in the paper. Text
# encoder and decoder cost the same for every size, so they weigh more for a small UNet.
#
# ## Try it

# %% tags=["remove-input"]
ask.cell("F3", trained, [*contested, "subject"], store.influences)

# %% [markdown]
# `make notebook N=04_sampling ARGS="-p sizes 16,32 -p steps 5,10 -p guidance 2,4"`: only what is new is run, here all
# eight settings, and `make book` adds a page with the result.
#
# **Exercise.** In the chart of quality against cost, read off the best setting at a budget of 0.1. Would you answer
# differently if you cared about subjects and not about the distance?
#
# Others, with answers: [13 to 15](a4_exercises.ipynb).
