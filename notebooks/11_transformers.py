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
profile = "laptop-eps"  # of the study; what is compared here are `families`, whichever it is
families = ["laptop-eps", "laptop-dit"]  # two profiles, whose sizes are partners at the same place
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
drawn = pd.concat([part for by in rows.values() for part in by.values()])
Markdown(protocol.folded(drawn, {}, "python -m tools.evaluate_family"))

# %% [markdown]
# ## UNet or transformer, at every budget
#
# Above zero the UNets are better. The band holds at all budgets together with 95 % certainty, over the luck of the
# pictures; where a size was trained several times, over that of its training, too.

# %% tags=["remove-input"]
display(*charts.along(compared[metric], pair))

# %% [markdown]
# By the other metrics:

# %% tags=["remove-input"]
display(*(part for name in also for part in charts.along(compared[name], pair)))

# %% [markdown]
# ## Does a smaller one win in both families?
#
# F3, the question of the paper, in each family: at small budgets, is the best smaller network better than the largest?
# The number is its mean advantage. The last column asks of all budgets from four steps of the largest on whether both
# families answer alike: *holds* means that they surely do over more than half of the doublings ([the
# rules](../book/protocol.md)).

# %% tags=["remove-input"]
charts.finding(rows, pair, store.influences)

# %% [markdown]
# At every budget:

# %% tags=["remove-input"]
display(*charts.smaller_or_largest(rows[metric], pair, metric, store.influences))

# %% [markdown]
# ## Every setting
#
# Choose the networks and drag the budget: the best setting of each size, and which one wins then. Points are of the
# first training of each size.

# %% tags=["remove-input"]
charts.explore(rows, store)

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("families", {name: {level: one.shares for level, one in by.items()} for name, by in compared.items()})

# %% [markdown]
# ## Limits
#
# Small networks on simple pictures, of which a transformer's few parameters may suit some better than others. The rate
# of learning was swept on short trainings alone. FLOPs are not seconds: on two cores a transformer's are quicker than a
# UNet's, or slower, by what [the chapter about speed](a2_speed.ipynb) measures.
#
# ## Try it
#
# `make notebook N=04_sampling PROFILE=laptop-dit` asks every question of the chapter about sampling of the
# transformers.
#
# **Exercise.** Why does the transformer of equal cost have so many fewer parameters? Count the multiply-adds that one
# parameter takes part in, in a layer of each.
