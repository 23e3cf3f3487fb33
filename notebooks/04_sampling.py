# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sampling: which size, how many steps, which guidance?
#
# **The question.** A budget for one picture is given. Is it better spent on a few steps of a large model or on
# many steps of a small one?
#
# **What the paper saw** (section 3.3, Figs. 7 to 10). The best guidance depends on the number of steps. With
# every model at its best guidance, smaller models often win at small budgets: at cost 3 the 83M model is the
# best of all. Larger ones win when the budget is relaxed.
#
# **What is run here.** Steps as in the paper, and fewer; guidance scales $w$ as in the paper, and $w = 1$, which is
# none; on the mini family, with DDIM, quality by [KID](../book/metrics.md); the same noise and captions for every
# point.

# %% tags=["parameters"]
profile = "laptop"  # smoke | laptop | gpu-eps | tpu, or another of ldm/profiles.py
sizes = []  # base filter counts c; none: the profile's family
steps = []  # DDIM steps; none: the profile's
guidance = []  # guidance values; none: the profile's
n = 0  # pictures a point; 0: the profile's number
metric = "kid_effnet"  # a name in ldm.metrics.catalogue.METRICS
raced = [1, 2, 4, 8, 16, 50]  # of these, the step counts at which the guidance values race
recompute = -1  # recorded cells to run again and compare; -1: the profile's number, 0: none

# %% tags=["remove-cell"]
import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from ldm import profiles
from ldm.figures import charts, contest, explorer, laws, paper_sizes, plots, protocol, samples, speed
from ldm.figures.record import record, record_best, record_verdicts
from ldm.paths import ROOT
from ldm.statistics import comparisons, optimum, verdicts
from ldm.study import findings, racing, sampling
from ldm.study.recompute import agreement
from ldm.study.results import Store
from ldm.study.run import run

chosen = profiles.get(profile)
sizes, steps = sizes or list(chosen.family), steps or list(chosen.steps)
guidance, n = guidance or list(chosen.guidance), n or chosen.n
raced = [s for s in raced if s in steps] or steps
cells = sampling.sampling_grid(chosen, sizes, steps, guidance, n=n)
store, evaluator = Store(ROOT), sampling.SamplingEvaluator(chosen)

# %% tags=["remove-cell"]
rows = run(cells, store=store, evaluator=evaluator, title="sampling")
influences = store.influences(rows, metric)

# %% [markdown]
# ## Guidance
#
# [Guidance](a0_primer.ipynb) pushes the picture towards its caption and away from the average picture (Ho and Salimans
# 2022). Too little and the caption is lost, too much and everything looks alike. Choose a step count, and see the
# lowest points move:

# %% tags=["remove-input"]
plots.guidance_curves(rows, metric)

# %% [markdown]
# What guidance does to the pictures of the largest model (the paper's Fig. 7): rows are step counts, columns
# guidance, always the same two captions from the same noise.

# %% tags=["remove-input"]
swept = [cell for cell in cells if cell.c == max(sizes) and cell.steps in raced]
samples.sample_table(store, evaluator, swept, "steps", "guidance")

# %% [markdown]
# ## The best guidance for each size and step count
#
# Not one number: below the best one stands the range of those that may be the best, a confidence set (Hansen, Lunde
# and Nason 2011) that holds the truly best of the grid with 95 % certainty.

# %% tags=["remove-input"]
plots.optimum_guidance(rows, metric, influences)

# %% [markdown]
# ### Racing
#
# The grid spends as many pictures on a hopeless guidance as on the best. A race spends them where the answer is
# open: few pictures for every value, then more for those that may still be the best (`ldm/study/racing.py`;
# `python -m ldm race`). What it saved, and whether it agrees:

# %% tags=["remove-input"]
contenders = [cell for cell in cells if cell.steps in raced]
races = racing.races(contenders, metric, store=store, evaluator=evaluator, stages=racing.stages(n))
Markdown(racing.summary(races, optimum.best_guidance(rows, metric, influences)))

# %% tags=["remove-input", "hide-output"]
races.assign(tied=[", ".join(f"{g:g}" for g in tied) for tied in races["tied"]])

# %% [markdown]
# ## Quality against sampling cost
#
# Each size at its best guidance. The cost is the paper's: normalised cost times steps, guided or not. (Without
# guidance a step asks the network once instead of twice; each row's `nfe`, network evaluations, counts that.) The
# dashed line is the best that any size reaches within a budget: where the points on it change colour, another size
# takes over.

# %% tags=["remove-input"]
plots.quality_vs_cost(rows, metric)

# %% [markdown]
# The frontier alone, the settings that no cheaper one beats, with a power law through them and what it misses:

# %% tags=["remove-input"]
display(*laws.shown(laws.frontier_points(rows, metric), metric, "sampling cost (normalised cost x steps)"))

# %% [markdown]
# These points are the best of many and share their pictures, so they flatter each other, and the exponent's interval
# is too narrow; the curve is a way to read the chart, not a measurement.
#
# The same by whether the captioned objects are there:

# %% tags=["remove-input"]
plots.quality_vs_cost(rows, "subject")

# %% tags=["remove-input"]
drawn = rows[rows["metric"].isin([metric, "subject"])]
Markdown(protocol.folded(drawn, evaluator.metrics.protocols, f"make notebook N=04_sampling PROFILE={profile}"))

# %% [markdown]
# ## How many steps are enough?
#
# The fewest steps of each size that may be as good as its best step count (again a confidence set), and by how much
# they are worse as far as one can see. Beyond them more steps buy little that these many pictures can show; below them
# steps and size compete for the budget. Twice the most steps of the grid are tried as well, in case it ends too early.

# %% tags=["remove-input"]
twice = sampling.sampling_grid(chosen, sizes, [2 * max(steps)], [g for g in guidance if g <= 2] or guidance, n=n)
further = pd.concat([rows, run(twice, store=store, evaluator=evaluator, title="twice the steps")])
enough = optimum.enough_steps(further, metric, store.influences(further, metric))
Markdown(enough.to_markdown(index=False, floatfmt=".3g"))

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
# And at equal cost (the paper's Figs. 10 and 21 to 23): what each size draws best for the same price.

# %% tags=["remove-input"]
budgets = np.geomspace(rows["cost"].min(), rows["cost"].max() / 4, 5)
samples.at_equal_cost(store, optimum.within(rows, metric, budgets), budgets)

# %% [markdown]
# ## The winner at each budget

# %% tags=["remove-input"]
explorer.budget_explorer(
    rows,
    list(dict.fromkeys([metric, "kid_scene", "subject"])),
    lambda name: store.influences(rows, name),
    pictures=lambda key: samples.thumbnail(store, key),
    seconds=speed.seconds_a_picture(store.rows(study="benchmark", profile=chosen.name)),
)

# %% [markdown]
# ## Smaller or largest, at every budget
#
# By how much the best smaller model is better than the largest, each at the best setting it can afford, as a share of
# the larger one's value. The band holds at all budgets together with 95 % certainty, so that a stretch of one colour
# can be read as one statement; where the largest cannot afford a step, the smaller ones win by forfeit, which proves
# nothing.

# %% tags=["remove-input"]
contested = list(dict.fromkeys([metric, "kid_scene", "alignment"]))
display(*contest.shown(rows, contested, lambda name: store.influences(rows, name)))

# %% [markdown]
# The same with every evaluation counted: a guided step asks the network twice, a step without guidance once.

# %% tags=["remove-input"]
display(*contest.shown(rows, contested, lambda name: store.influences(rows, name), unit="evaluated"))

# %% [markdown]
# The budget at which each next size takes over, for good, with its interval; *chance* is how likely it happens
# within the budgets measured. All sizes draw the same captions from the same noise, and the chances use that: a
# picture that is hard for one size is hard for all.

# %% tags=["remove-input"]
Markdown(comparisons.takeovers(rows, metric, influences).to_markdown(index=False, floatfmt=".3g"))

# %% [markdown]
# ## The record, recomputed

# %% tags=["remove-input"]
Markdown(agreement(cells, recompute, store=store, evaluator=evaluator))

# %% [markdown]
# ## Verdict

# %% tags=["remove-input"]
found, text = findings.asked(verdicts.f3, rows, store)
Markdown(text)

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("F3", {v.metric: v.answer for v in found})
record_best(rows, metric)

# %% [markdown]
# F3 says that at small budgets a smaller model, with more steps for the same cost, is better than the largest. Small
# budgets reach from one step of the largest model to four: two doublings. The finding holds where a smaller model is
# surely better over more than half of them, fails where it is surely not, and is undecided otherwise
# ([the rule](../book/protocol.md)). The paper's step counts begin at four; asked of those alone, over 4 to 16 steps of
# the largest:

# %% tags=["remove-input"]
from_four, text = findings.asked(verdicts.f3, rows, store, fewest=findings.FEWEST)
Markdown(text)

# %% tags=["remove-cell"]
record_verdicts([*found, *from_four])

# %% [markdown] tags=["recorded"]
# Where the two tables part, the reason stands under *How many steps are enough?*: F3 can hold only below that
# count. The paper's pictures need tens of steps, and its small budgets lie far below them; small scenes on small
# latents need a few, so here the finding has to be looked for below the paper's least step count. Whether something
# other than size is behind it, [confounders](a3_confounders.ipynb) asks.

# %% [markdown]
# ## At the paper's own sizes
#
# Table 1's own widths, on larger scenes, each at its best guidance:

# %% tags=["remove-input"]
display(*paper_sizes.shown("F3", store, metric))

# %% [markdown]
# ## Limits
#
# One training run a size: the intervals are over pictures. The cost counts evaluations of the UNet alone, as in
# the paper; text encoder and decoder cost the same for every size, and weigh more the smaller the UNet.
#
# ## Try it
#
# `make notebook N=04_sampling ARGS="-p sizes 16,32 -p steps 4,8,16 -p guidance 2,4"`: only what is new is run.
#
# **Exercise.** Take the chart of quality against cost and read off the best setting at a budget of 0.1. Would
# you change your answer if subjects, not KID, were what you cared about?
# Others, with answers: [13 to 15](a4_exercises.ipynb).
