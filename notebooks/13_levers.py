# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Levers: what else a budget can buy

# %% [markdown] tags=["recorded"]
# **In short.** At small budgets students gain most. Beyond them a guide from the family does: a smaller size, or a
# model that was trained less (autoguidance), with which captions are followed less. Where the caption says some, a
# student at small budgets and autoguidance from four steps on lose 10 % [4, 12] in the mean to the best of all levers
# by FD, and 19 % [16, 21] by KID; with plain sampling in place of the guide it is 103 and 97 %. Formulas that tame
# strong guidance, negative prompts and a search among noises gain nothing in the mean.

# %% [markdown]
# **The question.** Size, steps and guidance are not all that one can choose. Beside these, other ways to spend or to
# save evaluations are in use. Which of them is worth something at equal cost, on one family of models, and
# how does that compare with the choice of a size?
#
# **Why we ask.** Each of them was shown by its authors on one or two large models, mostly at one step count. Here all
# are on one axis with size and steps, each compared with the best that plain sampling gives for the same cost.
#
# **What we run.** The levers, each at c = 8, 16, 24 and 32 in 4, 8 and 16 steps, 1,024 pictures a setting, from the
# same noise. A search takes 4 and 8 steps, students 1, 2, 4 and 8, and guides up to eight counts from 2 to 32. c = 24
# came last: it has neither a student nor autoguidance, guides nobody and takes over from nobody. Captions say some;
# where they say everything, all levers but students and autoguidance were asked, too. Each model was trained once:
#
# | lever | what it does | from |
# |---|---|---|
# | guidance in an interval | guides at some noise levels only; others cost one evaluation | Kynkäänniemi et al. 2024 |
# | autoguidance | guides away from a less trained or smaller member of the family | Karras et al. 2024 |
# | a smaller guide | the answer to the empty caption is a smaller size's | our own combination |
# | a size for each noise level | one size draws the first steps, another one the rest | Pan et al. 2025 |
# | features kept between steps | computes the UNet's deep levels at every second or third step | Ma et al. 2024 |
# | solvers of higher order | DPM-Solver++(2M) and (3M), its stochastic form, UniPC | Lu et al. 2022, Zhao et al. 2023 |
# | other noise levels | DPM-Solver++(2M) on Karras' noise levels, or on evenly parted ones | Karras et al. 2022 |
# | fresh noise in each step | DDPM in place of DDIM | Ho et al. 2020 |
# | rescaled guidance | the guided estimate keeps its spread | Lin et al. 2024 |
# | CFG++ | noise is added back from the unguided estimate | Chung et al. 2024 |
# | projected guidance | the push of guidance is shortened and turned | Sadat et al. 2024 |
# | negative prompts | guides away from another caption, not from the empty one | after Liu et al. 2022 |
# | search among noises | draws several pictures, and a small CLIP keeps one | Ma et al. 2025 |
# | students | [distilled](08_distillation.ipynb) by CoDi or LCM, asked once a step | Mei et al. 2024, Luo et al. 2023 |
# | weights in fewer bits | half precision, or one byte a weight | common practice |
#
# The rule stood before any lever was compared with plain sampling; what was added after a first part of the rows is
# listed there ([the rules](../book/protocol.md)).

# %% tags=["parameters"]
profile = "laptop-eps"  # of the study
levels = ["some", "all"]  # of captions; those without rows are left out
metrics = []  # names in ldm.metrics.catalogue.METRICS; none: those that verdicts count
budget = 0.5  # GFLOPs a picture, of the pictures shown

# %% tags=["remove-cell"]
import pandas as pd
from IPython.display import Markdown, display

from ldm import profiles
from ldm.data.scenes.dataset import Scenes
from ldm.figures import diversity, guides, lever_bits, lever_frontier, protocol, search
from ldm.figures import levers as charts
from ldm.figures.levels import title
from ldm.figures.record import record
from ldm.metrics.catalogue import brief
from ldm.paths import ROOT
from ldm.study import findings, lever_record, levers
from ldm.study.lever_cells import Handover
from ldm.study.results import Store

chosen, store = profiles.get(profile), Store(ROOT)
evaluator, metrics = levers.LeverEvaluator(chosen), metrics or list(findings.COUNTED)
rows, settings = lever_record.recorded(store, evaluator, levels)
rows = rows.assign(clock=rows["key"].map(lever_record.seconds(store, chosen, settings)))  # a picture, in the networks
found = charts.evidence(rows, levels, metrics, store.influences)
sizes = sorted(set(rows["c"].astype(int)))
shown_level = next(iter(found), levels[0])
captions = Scenes(chosen.scenes, "val", chosen.n, level=shown_level).captions(range(4))

# %% [markdown]
# ## The answer
#
# What each lever gains over the best plain setting of the same cost, as a share of its value, in the mean over several
# costs: those at which the lever's best setting becomes another. Above zero is better, by each metric. Then, at how
# many of the costs that is sure. Between two step counts that were measured, plain sampling is given the steps
# between.

# %% tags=["remove-input"]
display(*charts.answer(found))

# %% [markdown] tags=["recorded"]
# What the results of this book say, of captions that say some, in the mean over a lever's costs:
#
# - **Students** gain most at small budgets: they are asked once a step, and need few. By FD they are surely better up
#   to 0.13 GFLOPs, by 47 to 84 %, not told apart at 0.26, and surely worse at 0.85; in the mean it falls by 39 %
#   [32, 45]. By KID they are surely better at all eight costs, by 30 to 57 %. Alignment gains most at the smallest
#   budgets, where plain sampling cannot afford guidance; at 0.21 GFLOPs it still gains 19 %, at 0.43 6 %. Students have
#   to be trained first, for a tenth of what their teachers took.
# - **Another member of the family as the guide** gains most beyond. By both distances it is surely better than plain
#   sampling at every cost: a smaller guide that is not told the caption lowers FD by 52 % [41, 62] and KID by 36 %
#   [29, 45]; autoguidance, by a guide that is told it and was trained less, lowers FD by 46 % [33, 59] and KID by 39 %
#   [33, 47]. Plain sampling by c = 24 in eight steps has an FD of 8.5. Guided by a shorter trained c = 8, c = 16 has
#   8.1 in four steps, for a sixth of the FLOPs. By KID it is far from that.
# - **The caption pays for autoguidance.** Alignment is surely worse at six of seven costs, in the mean by 14 %. With a
#   smaller guide it gains 5 % in the mean, most of it at the smallest cost; at the two largest it is surely worse.
# - **An interval** gains by all three (11, 16 and 4 %) and never surely loses. **Kept features** gain by all three in
#   the mean (5, 9 and 11 %), and by FD are surely worse at three of eight costs.
# - **A size for each noise level** gains by KID and alignment (9 and 6 %), and by FD at two of 17 costs alone. If c =
#   24 draws the first two of eight steps of c = 32, FD is 7.5 in place of 8.7, which is not sure; if c = 16 does, 9.8;
#   if c = 8 does, 14.5.
# - **Solvers of higher order** gain by FD, not surely in the mean (11 % [-1, 21]), and lose by the others. **Other
#   noise levels** for their steps lose by all three, 21, 86 and 24 %. **Fresh noise in each step**, DDPM, gains by KID
#   (18 % [12, 24]; surely at five of nine costs) and loses by FD in the mean (14 % [4, 25]), surely at one cost of ten.
#   **Rescaled guidance, CFG++ and projected guidance** gain by none. They are made against strong guidance, which plain
#   sampling need not use.
# - **Negative prompts** lose by KID and alignment, 21 and 26 %; by FD the loss is not sure (7 % [-3, 14]). A caption
#   with one thing changed has most in common with the right one, and leading away from it does more harm than leading
#   away from another scene's, by FD and alignment at every setting.
# - **A search among noises** loses by all three in the mean. A look at one more picture, decoded, costs as much as
#   nearly three passes of c = 32. At its last cost alone it is surely better by alignment (4 %).
#
# Where captions say everything, **a smaller guide** gains most, 32 % by FD [24, 42] and 35 % by KID [28, 42]. **Kept
# features**, **an interval** and **a size for each noise level** gain by all three in the mean, 9 to 47 %, though each
# is surely worse at some cost. All else loses in the mean by KID and alignment. By FD two of these gain at some
# budgets: **solvers of higher order** have the best one from 1 to 4 GFLOPs, and **a search** gains 23 to 29 % from 2.5
# GFLOPs on, and has the best one at 9.

# %% [markdown]
# ## What each lever is worth
#
# Above zero a lever gains; the chart is cut at 60 %, and tooltips say the rest. The bands hold at all costs of a lever
# together. One training a size is asked, so they do not cover training again.

# %% tags=["remove-input"]
display(*charts.by_level(found, charts.chart, metrics[:1]))

# %% [markdown]
# ## Which size draws which part?
#
# One size draws the first steps, another one the rest. Which plan is best at each cost, beside plain sampling of the
# same cost?

# %% tags=["remove-input"]
display(*charts.by_level(found, lambda one: charts.doses(one, Handover.name), metrics[:2]))

# %% [markdown] tags=["recorded"]
# When few steps are affordable, the larger of two sizes should draw the first ones. At 0.17 GFLOPs the best plan gives
# two of four steps to c = 16 and the others to c = 8. It is surely better than plain sampling: by 37 % by FD and 15 %
# by KID where the caption says some, by 63 and 29 % where it says everything. From 1.2 GFLOPs on, by both distances,
# the best plans begin with c = 24 and end with c = 32; the reverse was not asked, since c = 24 takes over from nobody.
# Their gain is sure at few costs. Of the pairs that were asked in both orders, c = 8 and 16 are better with the larger
# one first at every cost by FD; with c = 32 the metrics disagree from about 0.5 GFLOPs on: KID mostly favours a smaller
# one as the first, FD often the larger one. So the question of the size has an answer for each noise level, which
# depends on the budget and, at large ones, on the metric.

# %% [markdown]
# ## One frontier
#
# What is the best that any of them draws within a budget? Each point is a setting that no cheaper one beats, in the
# colour of its lever. The dashed line is plain sampling. A tooltip says the setting, and the chance that the best one
# within its cost has the same lever, given the pictures; a lever with more settings has more tries, and so a higher
# chance.

# %% tags=["remove-input"]
for name in metrics[:2]:
    display(Markdown(f"By {brief(name)}:"), lever_frontier.chart(found, name))

# %% [markdown]
# With each pass priced in seconds, as it was measured on [one machine](a2_speed.ipynb), by the first of these:

# %% tags=["remove-input"]
lever_frontier.chart(found, metrics[0], "clock")

# %% [markdown]
# The same as tables, by every metric:

# %% tags=["remove-input"]
display(*(lever_frontier.table(found, name) for name in metrics))

# %% [markdown]
# The paper counts a guided step as one pass. In its unit an interval of guidance would save nothing, a student's step
# would cost as much as a guided one, and two sizes have no rule. That is why levers are compared in FLOPs truly done.
#
# How likely is each lever to have the best setting within a budget (in GFLOPs)?

# %% tags=["remove-input"]
display(*charts.by_level(found, charts.likely))

# %% [markdown]
# ## A rule to follow
#
# The frontier is known only to those who have measured it. A rule names a lever and a number of steps: take the
# largest size that affords so many steps with the lever, in as many as it affords; where no size does, take students
# in the same way. We chose the numbers, and whether students stand in, on every second budget, and tested them on the
# others, from the smallest budget that buys a setting with a lever and one without up to the most expensive setting.
# How much worse is the picture than the best of all levers?

# %% tags=["remove-input"]
display(*charts.by_level(found, lever_frontier.rules))

# %% [markdown] tags=["recorded"]
# Where the caption says some, two levers are enough. Take the largest size that affords four steps with autoguidance,
# and where none does, the largest that affords a student: that loses 10 % by FD [4, 12] and 19 % by KID [16, 21]. A
# smaller guide in place of autoguidance loses 21 and 25 %, and less at worst (48 and 59 %, in place of 76 and 154 %).
# With plain sampling in its place the distance is twice the best one. By alignment students alone lose least, 4 %.
#
# Where it says everything, students and autoguidance were not asked, and no rule comes near the best. A smaller guide
# loses least, 26 % by FD [15, 32] and 33 % by KID [28, 34], an interval of guidance 34 and 50 %, plain sampling 61 and
# 62 %. By alignment kept features lose 9 %, plain sampling 21 %.

# %% [markdown]
# ## Does a smaller model win, with a guide?
#
# The sizes that have all guides are compared again, as in [the chapter about sampling](04_sampling.ipynb), where every
# size may be guided by a member of the family. Solid lines join the settings that no cheaper one of the same size
# beats. Dashed lines are plain sampling.

# %% tags=["remove-input"]
guided = lever_record.with_guides(store, evaluator, chosen.level)
guides.curves(guided, metrics[0])

# %% [markdown]
# At every budget the best smaller model is compared with the largest, without guides and with them (cut at 100 %):

# %% tags=["remove-input"]
display(*guides.contests(guided, metrics, store.influences))

# %% [markdown]
# The paper's finding F3, that a smaller model wins at small budgets, asked both ways
# ([the rule](../book/protocol.md)), from the fewest steps of the largest and from four of its steps. A guided step
# counts as the two passes that it is, one training a size is asked, and c = 24, which has not all guides, is not. So
# the answers may differ from those of [the chapter about sampling](04_sampling.ipynb):

# %% tags=["remove-input"]
guides.verdicts(guided, metrics, store.influences)

# %% [markdown] tags=["recorded"]
# We expected guides to help small sizes most. Guides help every size, and the largest already at small budgets. A
# smaller model is surely better up to 0.47 GFLOPs by FD (plain: 0.64); two steps of c = 32 with plain guidance cost
# 0.43. The largest is surely better from 0.83 GFLOPs on, just under four such steps (plain: at eight, and from twelve
# on). From four steps on F3 fails by all three metrics; without guides it is undecided by two. The best FD of our grid
# is that of c = 32 in 12 steps, guided by a shorter trained c = 16: 3.8. Plain sampling reaches 7.3 in 16 steps and 6.7
# in 32.

# %% [markdown]
# ## What guidance does to diversity
#
# Guidance is said to make pictures more alike. *Precision* is the share of a model's pictures that lie among real ones,
# *recall* the share of real ones that lie among the model's (Kynkäänniemi et al. 2019). *Density* and *coverage* ask
# the same and mind outliers less (Naeem et al. 2020). Neighbours are sought in EfficientNet's features, among real
# scenes after the autoencoder. All settings take as many steps. The line is plain guidance, from none to the strongest;
# a lever above it is more diverse at equal precision. A cross marks other real scenes. No verdict counts these.

# %% tags=["remove-input"]
spread = lever_record.with_costs(store.rows(study="diversity", profile=chosen.name))
shares = ["alignment", *(f"{name}_decoded" for name in ("precision", "recall", "density", "coverage"))]
for level in levels:
    part = spread[spread["level"] == level]
    display(Markdown(f"### Where {title(level)}"), diversity.tradeoff(part))
    display(diversity.at_best(part, metrics[0], shares))

# %% [markdown] tags=["recorded"]
# In the results of this book, which are of c = 16 in eight steps, guidance up to 2 or 3 raises recall as well as
# precision: where captions say some, from .74 to .84 and from .32 to .42. Stronger guidance lowers both. So these
# models lose little diversity to guidance; without it their pictures are too poor to lie near real ones. A smaller
# guide has the highest precision, density and coverage at equal recall: coverage is .42 at guidance 2, plain guidance
# has .33 at best (.44 and .39 where captions say everything; real scenes .88). CFG++ at its full scale and an interval
# of high noise levels are as good as plain guidance at its best, rescaled and projected guidance are not. Autoguidance
# has not been drawn again.

# %% tags=["remove-input"]
Markdown(protocol.folded(spread, {}, "python -m tools.evaluate_family") if len(spread) else "")

# %% [markdown]
# ## Does a search please more than its verifier?
#
# A search keeps what its verifier likes. Whether the pictures are better, others have to say: the detector, which
# judges alignment, and the distances. The chart sets the best of several pictures beside a single one in
# the same four steps, whatever the search costs:

# %% tags=["remove-input"]
for level in found:
    display(
        Markdown(f"### Where {title(level)}"), search.chart(rows[rows["level"] == level], metrics, store.influences)
    )

# %% [markdown] tags=["recorded"]
# Up to eight pictures the verifier is not gamed: whoever did not choose agrees with it. In four steps of c = 32, the
# best of eight is better than one by 37 % by FD [22, 52], by 18 % by KID [6, 31] and by 11 % by alignment [8, 13].
# Small sizes, which draw more wrong pictures, gain most by alignment. Where the caption says everything, the same
# search gains 49, 27 and 26 %. But eight pictures cost more than eight times as much. Where the caption says some, as
# many steps are worth more up to 2 GFLOPs, and beyond nothing is sure by FD; where it says everything, the search is
# worth more by FD from 2.5 GFLOPs on.

# %% [markdown]
# ## By the clock
#
# FLOPs are not seconds: small networks and shallow passes take longer than their FLOPs say. The same comparison, with
# each pass priced at the time that it took on [one machine](a2_speed.ipynb):

# %% tags=["remove-input"]
display(*charts.by_level(found, charts.flips))

# %% [markdown] tags=["recorded"]
# A smaller guide is cheaper in FLOPs than in seconds: two networks are asked one after the other, and a network that is
# asked alone takes longer for a picture than one that is asked for two at once. By the clock its gain in alignment goes
# away, and where captions say everything its gain by KID as well. By FD it stays.

# %% [markdown]
# ## Every setting
#
# Choose a lever and drag the budget: the best setting of each size with it, and which size wins then.

# %% tags=["remove-input"]
charts.explore(rows, metrics, store)

# %% [markdown]
# ## Pictures at one budget
#
# The first four captions, none chosen, from the same noise. Each lever at its best setting within the budget, with what
# that setting scores:

# %% tags=["remove-input"]
display(charts.pictures(store, found, shown_level, budget, captions))

# %% [markdown]
# ## Weights in fewer bits
#
# Half precision and one byte a weight save memory, and no FLOPs. A pass is timed on
# [one machine](a2_speed.ipynb):

# %% tags=["remove-input"]
lever_bits.prices(store, chosen, sizes)

# %% [markdown]
# In eight steps, beside the same setting in float32:

# %% tags=["remove-input"]
display(*lever_bits.in_fewer_bits(rows, levels, metrics, store.influences))

# %% [markdown] tags=["recorded"]
# One byte a weight takes a quarter of the memory (9 MB in place of 35 for c = 32), half precision a half. Neither is
# quicker here: with half precision a pass takes 15 to 25 % longer, with one byte as long as before. What pictures lose
# is hardly to be seen: of 48 differences six are sure, all with one byte and of a few per cent, and three of them are
# gains.

# %% tags=["remove-input"]
shown = pd.concat([rows, guided], ignore_index=True).drop_duplicates(["key", "metric"])
shown = shown[shown["metric"].isin([*metrics, "similarity", "similarity_first"])]
Markdown(protocol.folded(shown, {}, "python -m tools.evaluate_family"))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("levers", {level: len(rows[rows["level"] == level]) for level in levels})

# %% [markdown]
# ## Limits
#
# Four sizes, one training of each, a hundred times smaller than the paper's, on latents of 8 x 8 pixels. The fourth, c
# = 24, came last, and its plain sampling is good for its cost: students and autoguidance, which it has not, are
# compared with it all the same, and may gain less than if it had them. Each lever has a handful of settings from its
# paper, which were found for other models; somebody who tunes it may find more. A lever that did nothing here can still
# be worth something at 512 x 512.
#
# ## Try it
#
# `make notebook N=13_levers ARGS="-p levels some -p budget 1.0"` draws the recorded rows again at another budget.
#
# **Exercise.** Two levers could be pulled at once. Which pair would you expect to add up, and which not, and why?
# Others, with answers: [55 to 57](a4_exercises.ipynb).
