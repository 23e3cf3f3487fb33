# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Transformers: is it the UNet's finding?
#
# **The question.** The paper asks everything of one kind of network, Stable Diffusion's UNet. Does a smaller
# *transformer* beat a larger one at a small budget, too? And at equal budget, which kind draws better?
#
# **Why we ask.** The authors name it as the first thing left to do. What is known points both ways. Of diffusion
# transformers Peebles and Xie (2023) report that more steps of a small one do not make up for its size; Pan et al.
# (2025) let a small one draw the first two fifths of a large one's steps without loss
# ([what others found](../book/since.md)).
#
# **What we run.** Transformers with the caption in cross-attention, a token a latent, in widths whose single pass costs
# nearly what one of our UNets does. Everything else is the UNets': latents, captions, prediction, times, images seen.
# The rate of learning is their own ([the log](../book/log.md)).

# %% tags=["parameters"]
profile = "laptop-eps"  # not used: this page compares `families`
families = ["laptop-eps", "laptop-dit"]  # two profiles, of UNets and of transformers
levels = ["some", "nothing", "all"]  # of captions; those without rows of both are left out
metric = "fd_scene_decoded"  # a name in ldm.metrics.catalogue.METRICS
also = ["kid_effnet_decoded", "alignment"]  # others
few = 8  # steps of the largest partner, whose cost every network spends on the pictures shown

# %% tags=["remove-cell"]
import pandas as pd
from IPython.display import Markdown, display

from ldm import profiles
from ldm.figures import families as charts
from ldm.figures import protocol
from ldm.figures.record import record
from ldm.paths import ROOT
from ldm.study import recorded
from ldm.study.results import Store

store, pair = Store(ROOT), [profiles.get(name) for name in families]
found = {name: recorded.by_level(store, profiles.get(name), levels) for name in families}
metrics = list(dict.fromkeys([metric, *also]))
rows = {name: charts.together(found, levels, name) for name in metrics}
compared = {name: charts.compared(rows[name], pair, name, store.influences) for name in metrics}

# %% [markdown]
# ## The answer
#
# Which family is better at more than half of all budgets, each at the best setting that it can afford?

# %% tags=["remove-input"]
charts.answer(compared, pair)

# %% [markdown] tags=["recorded"]
# On the shipped rows KID prefers the UNets, and the more surely the larger the budget: in 32 steps of the largest its
# value is 41 for c = 16 and 83 for width 72. FD sees no such gap: there both end at 10.8. Of the two small networks
# FD prefers the transformer after 32 steps, in each of its three trainings (15, 17 and 24, where the three of c = 8
# have 45, 46 and 49), with a quarter of the parameters; KID finds these two about equal. But one training of width 48
# is worse than the others by half, and with so much luck in training FD decides little. So which family is
# better depends on the metric. Whether a smaller transformer wins at small budgets (F3) is undecided by every metric.

# %% [markdown]
# The first captions, none chosen, from the same noise. Each network draws the best that it can for the cost of a few
# steps of the largest one:

# %% tags=["remove-input"]
charts.pictures(store, rows[metric], pair, metric, few)

# %% [markdown]
# ## The partners
#
# A transformer looks at all 64 latents in each layer and multiplies matrices of one width. A UNet works on maps of
# three sizes, with most of its parameters where the maps are small. So of two networks that cost the same, the
# transformer has far fewer parameters.

# %% tags=["remove-input"]
charts.costs(pair, rows[metric])

# %% [markdown]
# ## Quality against cost
#
# Each network at its best guidance. Solid lines are UNets, dashed ones transformers; partners have one colour.

# %% tags=["remove-input"]
charts.curves(rows[metric], pair, metric)

# %% tags=["remove-input"]
parts = [part for by in rows.values() for part in by.values()]
made = "python -m tools.evaluate_family --settings laptop-eps laptop-dit"
Markdown(protocol.folded(pd.concat(parts), {}, made) if parts else charts.MISSING)

# %% [markdown]
# ## UNet or transformer, at every budget
#
# Above zero the UNets are better, by a share of the transformers' value. The band holds at all budgets together with
# 95 % certainty.

# %% tags=["remove-input"]
display(*charts.along(compared[metric], pair))

# %% [markdown]
# The band covers the luck of the pictures, and of training where that is known. It was learnt from the networks named
# here; that all others scatter as much is an assumption:

# %% tags=["remove-input"]
charts.luck(rows[metric], pair, metric)

# %% [markdown]
# By the other metrics:

# %% tags=["remove-input"]
display(*(part for name in also for part in charts.along(compared[name], pair)))

# %% [markdown]
# ## Does a smaller one win in both families?
#
# F3, the question of the paper, in each family: is the best smaller network better than the largest that has a partner
# here, at budgets from its fewest steps on, over two doublings? F3 holds where a smaller one is surely better over more
# than half of the doublings, and fails where it surely is not.

# %% tags=["remove-input"]
charts.finding(rows, pair, store.influences)

# %% [markdown]
# And at the budgets that buy four steps of the largest or more, do both families answer alike? They agree (or differ)
# if they surely do over more than half of the doublings ([the rules](../book/protocol.md)).

# %% tags=["remove-input"]
charts.alike(rows, pair, store.influences)

# %% [markdown]
# At every budget:

# %% tags=["remove-input"]
display(*charts.smaller_or_largest(rows[metric], pair, metric, store.influences))

# %% [markdown]
# ## Every setting
#
# Choose the networks and drag the budget: the best setting of each size, and which one wins then. Points are of the
# first training of each size. Captions that say nothing are left out, since no picture can be wrong about them.

# %% tags=["remove-input"]
charts.explore(rows, store)

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("families", {name: {level: one.shares for level, one in by.items()} for name, by in compared.items()})

# %% [markdown]
# ## Limits
#
# Two sizes of each, on simple pictures of 8 x 8 latents; who wins at 64 x 64 latents, where a transformer looks at
# 4,096 tokens, may be another. The learning rate was swept on short trainings, for transformers and for UNets alike.
# Step counts are few, and a transformer's pass costs a little more than its partner's. So just below the cost of a
# step count the UNet already affords it and the transformer does not: short stretches there come from the grid of step
# counts, not from the networks. FLOPs are not seconds, and here nobody has timed the two side by side.
#
# ## Try it
#
# `make notebook N=04_sampling PROFILE=laptop-dit` asks every question of the chapter about sampling of the
# transformers.
#
# **Exercise.** Why does the transformer of equal cost have so many fewer parameters? Count the multiply-adds that one
# parameter takes part in, in a layer of each. Others, with answers: [58 to 60](a4_exercises.ipynb).
