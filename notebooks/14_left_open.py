# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How much is left open
#
# **The question.** A caption fixes some of a picture and leaves the rest to the model. Does it depend on how much is
# left open how many steps pay, and so which size wins at a small budget?
#
# **Why ask.** Where a caption pins the picture down, one or two steps find it, and more steps buy nothing: a smaller
# model has nothing to buy with the budget that it saves. Where much is left open, the first steps give an average over
# all that might be meant, and the model has to decide. The paper's captions, like most that people write, leave much
# open.
#
# **What is run here.** The second edition's family: each part of a caption was said or left out at random in training,
# so one model answers captions of every *level*. Networks predict the noise, on Stable Diffusion's own schedule, as the
# paper's do. A point is 1,024 pictures. The ranking distance is to real scenes that went through the same autoencoder,
# which is the best that any of these models could show ([the rules](../book/protocol.md)).

# %% tags=["parameters"]
profile = "laptop"  # of the study; the pictures here are of `settings`, whichever it is
settings = ["laptop-eps", "laptop-v"]  # profiles of the second edition; those without rows are left out
levels = ["all", "some", "subject", "nothing"]  # of captions
metric = "fd_scene_decoded"  # a name in ldm.metrics.catalogue.METRICS
also = "kid_effnet_decoded"  # another, by a network that was not trained on scenes

# %% tags=["remove-cell"]
import pandas as pd
from IPython.display import Markdown, display

from ldm import profiles
from ldm.figures import levels as charts
from ldm.figures import protocol
from ldm.figures.record import record
from ldm.paths import ROOT
from ldm.study import findings
from ldm.study.results import Store

store = Store(ROOT)
found = {name: findings.by_level(store, profiles.get(name), levels) for name in settings}

# %% [markdown]
# ## One caption, said more and less
#
# The largest model's pictures of the same two scenes, from the same noise: a line a level, a column a step count.

# %% tags=["remove-input"]
display(*charts.by_setting(found, lambda rows: [charts.pictures(store, rows, metric, levels)]))

# %% [markdown]
# ## Quality against cost, level by level
#
# Each size at its best guidance:

# %% tags=["remove-input"]
display(*charts.by_setting(found, lambda rows: [charts.curves(rows, metric, levels)]))

# %% [markdown]
# The same pictures, judged by features that were learnt on photographs:

# %% tags=["remove-input"]
display(*charts.by_setting(found, lambda rows: [charts.curves(rows, also, levels)]))

# %% tags=["remove-input"]
drawn = pd.concat([rows[rows["metric"].isin([metric, also])] for rows in found.values()])
Markdown(protocol.folded(drawn, {}, "python -m tools.evaluate_family"))

# %% [markdown]
# ## How many steps are enough?
#
# The fewest steps of each size that may be as good as its best step count:

# %% tags=["remove-input"]
display(*charts.by_setting(found, lambda rows: [charts.enough(rows, metric, levels, store.influences)]))

# %% tags=["remove-input"]
display(*charts.by_setting(found, lambda rows: [charts.enough(rows, also, levels, store.influences)]))

# %% [markdown]
# ## Smaller or largest, at every budget
#
# The best smaller model against the largest, each at the best setting that it can afford. The band holds at all budgets
# together with 95 % certainty; of one training a size it knows the luck of the pictures, and not that of the training.

# %% tags=["remove-input"]
display(*charts.by_setting(found, lambda rows: charts.contests(rows, metric, levels, store.influences)))

# %% [markdown]
# By the other distance:

# %% tags=["remove-input"]
display(*charts.by_setting(found, lambda rows: charts.contests(rows, also, levels, store.influences)))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("rows", {name: len(rows) for name, rows in found.items()})

# %% [markdown]
# ## Limits
#
# Twelve kinds of object in two styles, and networks a hundred times smaller than the paper's. How much a level leaves
# open is a property of these captions: in words of other people "some" may be more or less.
#
# ## Try it
#
# `make notebook N=14_left_open ARGS="-p levels all,some -p metric kid_scene_decoded"` asks of the recorded rows.
#
# **Exercise.** In which of the charts would you see that a model has learnt too little, rather than that its captions
# say too little? Others, with answers: [52 to 54](a4_exercises.ipynb).
