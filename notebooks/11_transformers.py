# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Transformers: is it the UNet's finding?

# %% [markdown] tags=["recorded"]
# **In short.** At equal sampling cost KID surely prefers the UNets, whatever the caption says. By FD and alignment it
# is undecided, though the transformers follow full captions better. At equal training compute the UNets surely predict
# the noise of new pictures better, at more than half of the budgets. Where captions say nothing a smaller network
# surely wins at small budgets in both families, by FD. F1 holds for the UNets and fails for the transformers, which
# gain by pictures seen rather than by compute.

# %% [markdown]
# **The question.** The paper asks everything of one kind of network, Stable Diffusion's UNet. Does a smaller
# *transformer* beat a larger one at a small budget, too? And at equal budget, which kind draws better?
#
# **Why we ask.** The authors leave it for later. What is known points both ways. Of diffusion transformers Peebles
# and Xie (2023) report that more steps of a small one do not make up for its size; Pan et al. (2025) let a small one
# draw the first two fifths of a large one's steps without loss ([what others found](../book/since.md)). Esser et al.
# (2024) find that larger transformers need fewer steps, and Ma et al. (2025) that a small one with a search among
# noises can beat a larger one at equal budget.
#
# **What we run.** Transformers in which each of the 64 latents is a token, with the caption in cross-attention. Widths
# 48, 72, 96 and 120 (two, three, three and four layers) are partners of the UNets c = 8, 16, 24 and 32: a pass costs 10
# to 18 % more, that of 96 3 % less. Latents, captions, prediction, times and images seen are the UNets'; the
# transformers have a learning rate of their own ([the log](../book/log.md)). A point is 1,024 pictures. Two of the
# widths are trained on a straight path as well, and one with larger patches.

# %% tags=["parameters"]
profile = "laptop-eps"  # not used: this page compares `families`
families = ["laptop-eps", "laptop-dit"]  # two profiles, of UNets and of transformers
levels = ["some", "nothing", "all"]  # of captions; those without rows of both are left out
metric = "fd_scene_decoded"  # a name in ldm.metrics.catalogue.METRICS
also = ["kid_effnet_decoded", "alignment"]  # others
few = 8  # steps of the largest partner, whose cost every network spends on the pictures shown
straight = ["laptop-flow", "laptop-flow-half", "laptop-flow-3"]  # transformers on a straight path, by shift of times
widths = [48, 72]  # of them
patched = ["laptop-dit", "laptop-dit-2"]  # profiles whose patches are of one latent and of four
patched_widths = [72, 120]  # of them, which cost alike

# %% tags=["remove-cell"]
import pandas as pd
from IPython.display import Markdown, display

from ldm import profiles
from ldm.figures import families as charts
from ldm.figures import family_pictures, isoflop, kinds, protocol, samples, tables, ways
from ldm.figures import family_training as training
from ldm.figures import settings as in_settings
from ldm.figures.record import record
from ldm.metrics.catalogue import brief
from ldm.paths import ROOT
from ldm.statistics import verdicts
from ldm.study import findings, recorded
from ldm.study.results import Store

store, pair = Store(ROOT), [profiles.get(name) for name in families]
found = {name: recorded.beside_real(store, recorded.by_level(store, profiles.get(name), levels)) for name in families}
metrics, both = list(dict.fromkeys([metric, *also])), charts.names(pair)
rows = {name: charts.together(found, levels, name) for name in metrics}
compared = {name: kinds.compared(rows[name], both, name, store.influences) for name in metrics}
alone = {name: charts.alone(rows[name], name, store.influences) for name in metrics}
losses = training.together({one.name: recorded.held_out(store, one) for one in pair}, pair)
by_training = training.compared(losses, both, store.influences)

# %% [markdown]
# ## The answer
#
# Which family is better at more than half of all budgets, each at the best setting that it can afford?

# %% tags=["remove-input"]
kinds.answer(compared, both)

# %% [markdown] tags=["recorded"]
# **Between the families.** KID prefers the UNets at every level of caption, by 36 to 46 % of the transformers' value in
# the mean. Where captions say some, in 32 steps, it is 13 for c = 32 and 48 for width 120, 17 to 20 for c = 24 and 63
# for 96, 39 to 42 for c = 16 and 73 to 83 for 72; the smallest are about alike, 135 to 150 and 127 to 146.
#
# FD and alignment leave it undecided. Over a part of the small budgets both surely prefer the smallest transformer,
# which has a quarter of the parameters: where captions say some its FD in 32 steps is 15 to 24, that of c = 8 is 45 to
# 49. The others end near each other, 6.7 to 11 (UNets) and 7.9 to 11 (transformers). One training of width 48 has an FD
# worse than the other two by half, one of width 72 an FD better by a fifth, and with so much luck in training FD
# decides little.
#
# **Transformers follow full captions better.** Where captions say everything, alignment in 32 steps is .86 for width
# 120 and .73 for c = 32, .59 for 72 and .47 to .48 for c = 16, .39 for 48 and .02 to .04 for c = 8. At this level each
# transformer was trained once. The verdict is open all the same, since it takes one scatter of trainings for all
# networks, as a share of the value, and c = 8's are far apart in shares of so little.
#
# **At equal training compute** the transformers learn faster at first, and the UNets lead in the end, surely so over
# more than half of the budgets: after 640,000 pictures the held-out loss is .063 to .064 for c = 32 and .083 for width
# 120.
#
# **Does a smaller one win in both?** F3 holds by FD where captions say nothing, in both families: a smaller one is
# surely better at all small budgets. Where captions say everything it holds by all three metrics for the transformers,
# each trained once there, so that intervals leave out the scatter of trainings; it is undecided for the UNets, each
# trained three times. All else is undecided. From four steps of the largest on both surely answer alike by KID where
# captions say everything. So nothing says that it is the UNet's finding alone.

# %% [markdown]
# The first captions, none chosen, from the same noise. Each network draws at its best setting by FD that costs no
# more than a few steps of the most expensive network here. A network that takes fewer steps than it affords is better
# by FD in fewer:

# %% tags=["remove-input"]
family_pictures.pictures(store, rows[metric], pair, metric, few)

# %% [markdown]
# ## The partners
#
# A transformer looks at all 64 latents in each layer and multiplies matrices of one width. A UNet works on maps of
# four sizes, 8 x 8 to 1 x 1, with most of its parameters where the maps are small. So of two networks that cost the
# same, the transformer has far fewer parameters.

# %% tags=["remove-input"]
charts.costs(pair, rows[metric])

# %% [markdown]
# ## Quality against cost
#
# The first training of each network, at its best guidance; where captions say nothing there is none to choose. Solid
# lines are UNets, dashed ones transformers; partners have one colour. Bars are 95 % intervals over pictures.

# %% tags=["remove-input"]
charts.curves(rows[metric], pair, metric)

# %% tags=["remove-input"]
parts = [part for by in rows.values() for part in by.values()] + [losses] * bool(len(losses))
made = "python -m tools.evaluate_family --settings laptop-eps laptop-dit"
Markdown(protocol.folded(pd.concat(parts), {}, made) if parts else charts.MISSING)

# %% [markdown]
# ## UNet or transformer, at every budget
#
# Above zero the UNets are better, by a share of the transformers' value; the chart is cut at 100 %. *Alike* means
# within 5 %. The band holds at all budgets together with 95 % certainty.

# %% tags=["remove-input"]
display(*kinds.along(compared[metric], both))

# %% [markdown]
# The band covers the luck of the pictures, and of training where that is known. How far trainings scatter by FD was
# learnt from the networks named here, and is taken for all of them. The fewer the degrees of freedom, the wider the
# band:

# %% tags=["remove-input"]
charts.luck(rows[metric], pair, metric)

# %% tags=["remove-input"]
display(*(part for name in also for part in (Markdown(f"By {brief(name)}:"), *kinds.along(compared[name], both))))

# %% [markdown]
# ## At equal training compute
#
# Which family learns more from the same training FLOPs? Asked by the held-out loss, with which no sampler and no
# autoencoder interferes: how well a network predicts the noise in pictures that it has not seen. Lines are first
# trainings, a point a length.

# %% tags=["remove-input"]
training.curves(losses, pair)

# %% tags=["remove-input"]
training.answer(by_training, both)

# %% [markdown]
# At every budget each family uses the best model that it buys ([the rule](../book/protocol.md)):

# %% tags=["remove-input"]
display(*training.along(by_training, both))

# %% [markdown]
# Which size is the best at each training budget, within a family? A ring marks it; all trainings are pooled. And is F1
# true of both, that quality follows training compute beyond the number of images?

# %% tags=["remove-input"]
for name, one in zip(both, pair, strict=True):
    every = recorded.held_out(store, one)
    every = recorded.with_trainings(store, every[every["seed"] == 0])
    display(Markdown(f"### {name}"), *isoflop.shown(every, training.LOSS, store.influences(every, training.LOSS)))
    display(Markdown(findings.asked(verdicts.f1, every, store, [training.LOSS])[1]))

# %% [markdown] tags=["recorded"]
# In the results of this book the UNets' best size grows from c = 8 to 24 over their budgets, with parameters as the
# budget to the power 0.60 [0.36, 0.80]. The best transformer is width 48 up to the largest budgets, where it is 72;
# too few sizes take turns for a law. F1 holds for the UNets by the loss, and fails for the transformers: of two models
# the one that has seen more pictures is the better one more often than the one that took more compute (an effect of
# -0.11 [-0.21, -0.05]). After 40,000 pictures the widest transformer has a loss lower by a twentieth than the
# narrowest, the widest UNet by a quarter.

# %% [markdown]
# ## Does a smaller one win in both families?
#
# F3, the question of the paper: is a smaller network better than the largest one here, at budgets from two steps of the
# largest up to four times that? F3 holds where it surely is over more than half of these doublings, and fails where it
# surely is not over more than half; both shares stand beside the answer. Then follows the mean advantage of the smaller
# ones, as a share of the largest one's value. Its interval is linear, so that its end may pass 100 %. A family of which
# each network was trained once has intervals that do not cover training again.

# %% tags=["remove-input"]
charts.finding(alone, pair)

# %% [markdown]
# And at the budgets that buy four steps of the largest or more, do both families answer alike? They agree (or differ)
# if they surely do over more than half of the doublings ([the rules](../book/protocol.md)).

# %% tags=["remove-input"]
charts.alike(alone)

# %% [markdown]
# At every budget, by the first metric:

# %% tags=["remove-input"]
display(*charts.smaller_or_largest(alone[metric], pair))

# %% [markdown]
# ## Under other samplers, and distilled
#
# F4: do the two families answer F3 as before when another sampler draws? F6: is the largest one, taught by CoDi to draw
# in four steps, no better than a smaller one of equal cost, or of up to 7/4 of it? Both are asked where captions say
# some, of the partners above ([the rules](../book/protocol.md)); F6 of one training each.

# %% tags=["remove-input"]
called = dict(zip([one.name for one in pair], both, strict=True))
Markdown(tables.table(in_settings.answers(store, pair, metrics, ("F4", "F6"), called.get), unfolded=12))

# %% [markdown] tags=["recorded"]
# In the results of this book F4 is undecided for the transformers by all metrics, and holds for the UNets by KID under
# DPM-Solver++ alone. F6 holds by FD and alignment in both families: a smaller undistilled network of equal cost is at
# least as good as the largest that was distilled. By KID it fails for the transformers: width 120, distilled, has a KID
# of 54 in four steps, and smaller ones have 64 to 69 for its cost or up to 7/4 of it.

# %% [markdown]
# ## On a straight path
#
# Rectified flow mixes picture and noise in proportion, and learns the direction from one to the other (Esser et al.
# 2024). The same transformers, trained so on the same pictures, beside those that predict the noise. Each draws in its
# own way, Euler's steps or DDIM's on leading times, at its best guidance:

# %% tags=["remove-input"]
noise, flow, *shifted = map(profiles.get, [families[1], *straight])
flows = ways.Way("noise predictors", noise, tuple(widths)), ways.Way("rectified flows", flow, tuple(widths))
by_path = ways.together(store, flows, metrics)
display(*ways.compared(by_path, flows, store))

# %% tags=["remove-input"]
panels = {f"width {c}": part[part["c"] == c] for part in by_path[metric].values() for c in widths}
ways.curves(panels, metric)

# %% [markdown]
# A *shift* moves the times that a sampler visits: above 1 it spends more of its steps where there is more noise. Heun's
# method asks the network twice in each step but the last. At the best guidance, by the first metric:

# %% tags=["remove-input"]
drawn = ways.straight(store, [flow, *shifted], widths, metric)
ways.solvers(drawn, metric)

# %% [markdown] tags=["recorded"]
# In the results of this book the straight path needs fewer steps. By KID rectified flows are surely better at more than
# half of the budgets: in two steps width 72 has a KID of 99 where those that predict the noise have 256 to 264, in
# eight 64 and 78 to 87, in 32 steps 67 and 73 to 83. By FD and alignment it is undecided, since trainings scatter: in
# 32 steps the FD of width 72 is 7.5 (8.6 to 10.8 with the noise), that of width 48 23 (15 to 24).
#
# We expected a shift below 1 to suit latents as small as these. At width 48, where shifts were asked, 1/2 is the worst
# in few steps, and 3 is no worse than none. Heun in seven evaluations and DPM-Solver++ in eight have a lower FD than
# Euler in eight, by a tenth at width 48 and a sixth at 72, within the intervals.

# %% [markdown]
# ## Larger patches
#
# With squares of four latents for tokens a transformer looks at 16 of them in place of 64, so for the same cost it can
# be wider and deeper: width 120 for the cost of 72.

# %% tags=["remove-input"]
cut = [
    ways.Way(f"patches of {latents}", profiles.get(name), (c,))
    for latents, name, c in zip(("one", "four"), patched, patched_widths, strict=True)
]
by_patch = ways.together(store, cut, metrics)
display(*ways.compared(by_patch, cut, store))

# %% tags=["remove-input"]
ways.curves({f"widths {' and '.join(map(str, patched_widths))}": part for part in by_patch[metric].values()}, metric)

# %% [markdown] tags=["recorded"]
# In the results of this book that is as good as single latents, as far as trainings tell: in 32 steps KID is 70 (single
# latents 73 to 83), FD 9.5 (8.6 to 10.8) and alignment .81 (.77 to .86). We had expected it to be worse.

# %% tags=["remove-input"]
used = [part for way in (by_path, by_patch) for by in way.values() for part in by.values()]
used += [drawn]
made = "python -m tools.evaluate_family --settings laptop-dit laptop-dit-2 laptop-flow laptop-flow-half laptop-flow-3"
used = pd.concat(used, ignore_index=True).drop_duplicates(["key", "metric"])
Markdown(protocol.folded(used, {}, made) if len(used) else "")

# %% [markdown]
# ## Every setting
#
# Choose a family and drag the budget: the best setting of each of its sizes, and which one wins. Points are of first
# trainings. Captions that say nothing are left out: they have no alignment.

# %% tags=["remove-input"]
charts.explore(rows, store, samples.captions(pair[0], levels))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("families", {name: {level: one.shares for level, one in by.items()} for name, by in compared.items()})

# %% [markdown]
# ## Limits
#
# Few sizes of each, on simple pictures of 8 x 8 latents; who wins at 64 x 64 latents, where a transformer looks at
# 4,096 tokens, may be another. The transformers' learning rate was swept at widths 48 and 72 over 24,000 images, the
# UNets' over 40,000 to 160,000. At both widths the highest rate tried was the best, and the rate used is a little
# lower, so the transformers may be worse trained than the UNets. For c = 8 in few steps the best guidance is the
# largest tried, 6; a larger one might narrow its gap to width 48 by FD and alignment.
#
# A transformer's pass costs a little more than its partner's. So between the cost of some steps of the UNet and of as
# many of the transformer, the UNet has taken its step and the transformer has not. These stretches are each under a
# fifth of a doubling, but together a third of the range: there the grid of step counts helps the UNets. FLOPs are not
# seconds: in one race on two cores ([how fast](a2_speed.ipynb)) the transformer of width 120 drew 49 pictures a second
# where c = 32 drew 42, and was trained on 518 a second where c = 32 was on 317, though its pass costs more.
#
# ## Try it
#
# `make notebook N=04_sampling PROFILE=laptop-dit` asks every question of the chapter about sampling of the
# transformers.
#
# **Exercise.** Why does the transformer of equal cost have so many fewer parameters? Count the multiply-adds that one
# parameter takes part in, in a layer of each. Others, with answers: [58 to 60](a4_exercises.ipynb).
