# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises
#
# Every chapter has three or more exercises here, from easy (●) to hard (●●●); most ask one more at their end. You can
# answer all of them from this book, its recorded rows and `ldm/`. The [glossary](../book/glossary.md) explains words
# and letters. The solutions are folded beneath. They are code that runs whenever the book is built, so their numbers
# are those of the rows. Try first.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
asked_of = "laptop-eps"  # whose rows the exercises ask about

# %%
from functools import partial

import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from scipy.stats import norm

from ldm import metrics, profiles
from ldm.data.scenes.captions import caption
from ldm.data.scenes.dataset import Scenes
from ldm.diffusion import mixture
from ldm.diffusion.counting import passes
from ldm.diffusion.guidance_settings import Guidance
from ldm.diffusion.schedule import Schedule
from ldm.diffusion.solvers import ddim, dpmpp_2m, heun
from ldm.figures import laws, speed, tables
from ldm.figures.record import record
from ldm.metrics.catalogue import short
from ldm.networks import cost, dit_config, family, sizes
from ldm.networks.dit_cost import multiply_adds
from ldm.paths import ROOT
from ldm.statistics import bootstrap, comparisons, optimum, verdicts
from ldm.statistics.dreambooth import over_subjects
from ldm.statistics.sensitivity import changes
from ldm.study import confounders, findings, probes, recorded
from ldm.study.results import Store
from ldm.tasks.interpolation import lerp, scene_pairs, slerp
from ldm.tasks.pretrain import frozen_networks
from ldm.training import chips

chosen, store = profiles.get(asked_of), Store(ROOT)
before = profiles.downstream(chosen)  # whose models are finetuned for super-resolution
AS_WRITTEN = "laptop-eps"  # the profile whose rows the answers in words were written to
words = lambda text: display(Markdown(text if asked_of == AS_WRITTEN else "*Say it in words.*"))  # folds its lines
show = lambda frame: words(tables.table(frame))
shape = dict(size=chosen.latent_shape[0], tokens=chosen.tokens, context=chosen.context)
grid = recorded.whole_grid(store, chosen)
by_ddim = grid[grid["sampler"] == "ddim"]
FD, KID = findings.COUNTED[:2]
kid = by_ddim[by_ddim["metric"] == KID]
here = sorted({int(c) for c in kid["c"]})  # sizes that are trained

# %% [markdown]
# ## [The first page](00_answer.ipynb)
#
# **1** ● Drag the budget to its smallest value. Why are some sizes missing from the lower panel? What does that say
# about "at equal cost"?

# %% tags=["hide-cell"]
show(kid.groupby("c")["cost"].min().reset_index())
words(
    "A size appears once its cheapest setting, two steps, fits into the budget. A large model cannot use a small budget"
    " at all. So at the low end a smaller model wins without a contest. The interesting budgets are those that every"
    " size can use."
)

# %% [markdown]
# **2** ●● Two intervals overlap. May you say that the two settings are equally good? Find two settings of this book
# whose intervals overlap although their difference is sure.

# %% tags=["hide-cell"]
pair = kid[(kid["c"] == 16) & (kid["guidance"] == 2) & kid["steps"].isin([8, 12])].sort_values("steps")
drawn = bootstrap.replicates(pair, store.influences(pair, KID))
gap, se = pair["value"].diff().iloc[1], (drawn[1] - drawn[0]).std()
show(pair[["steps", "value", "lo", "hi"]])
words(
    f"The difference is {gap:.1f} [{gap - 1.96 * se:.1f}, {gap + 1.96 * se:.1f}]: the same captions and noise share"
    " their luck."
)

# %% [markdown]
# **3** ●●● The page says how likely a size is "truly the best" at a budget. What does that chance *not* cover? Name
# three things.

# %% tags=["hide-cell"]
words(
    "It covers other captions and other noise. It does not cover (1) another training run, since the chart shows the"
    " first of each size; (2) another metric, which may name another winner: choose one and see; (3) settings that were"
    " not tried. A"
    " size with more settings would have more luck, so all sizes have the same grid. It does not cover other real"
    " pictures either, an error that all settings share."
)

# %% [markdown]
# ## [The data](01_data.ipynb)
#
# **4** ● How many of the first 1,000 validation captions does a model meet more than once among them?

# %% tags=["hide-cell"]
val = Scenes(chosen.scenes, "val", 1_000)
captions = pd.Series([val.caption(i) for i in range(len(val))])
often = captions.value_counts()
words(f"{(often > 1).sum()} captions, on {often[often > 1].sum()} of the {len(captions):,} pictures.")

# %% [markdown]
# **5** ●● How many of these captions also occur in training? What, then, is held out?

# %% tags=["hide-cell"]
train = Scenes(chosen.scenes, "train", 20_000 if profile == "smoke" else chosen.data)
seen = {train.caption(i) for i in range(len(train))}
words(
    f"{captions.isin(seen).mean():.1%}. Not the captions, but pictures (a caption has many), and combinations of"
    " subject and style that training never shows: the split `heldout`."
)

# %% [markdown]
# **6** ●●● Picture *i* is a function of *i* alone. Write a test that would fail if it depended on which pictures were
# drawn before it.

# %% tags=["hide-cell"]
alone, among = val.images([7])[0], val.images(np.array([9, 7, 8]))[1]
assert np.array_equal(alone, among)
words("Ask for it alone, and in the middle of others, and compare all pixels. They agree.")

# %% [markdown]
# ## [The family](02_family.ipynb)
#
# **7** ● How many DDIM steps may each size take for the cost of 20 steps of c = 32?

# %% tags=["hide-cell"]
unit = {c: cost.norm_cost(c, **shape) for c in chosen.family}
show(pd.DataFrame([{"c": c, "steps": int(20 * unit[32] / unit[c])} for c in here]))

# %% [markdown]
# **8** ●● The book counts $P(c, d) = 8202 c^2 + (78 d + 1459) c + 4$ parameters. Check it for your own $c$ and $d$; and
# find the $d$ for which the paper's 866M is 866M.

# %% tags=["hide-cell"]
formula = lambda c, d: 8202 * c**2 + (78 * d + 1459) * c + 4
assert all(cost.unet_params(c, d) == formula(c, d) for c in (8, 64, 320) for d in (128, 768, 1024))
print({d: f"{formula(320, d) / 1e6:.1f}M" for d in (768, 1024)})
words(
    "The count agrees for every c and d tried. The 866M are those of d = 1024, with 768 it would have been called 859M"
    " or 860M."
)

# %% [markdown]
# **9** ●● Table 1 prints 25.3 GFLOPS for the 39M model. Find reasons to doubt it that use only the table.

# %% tags=["hide-cell"]
words(family.erratum())

# %% [markdown]
# ## [Pretraining](03_pretraining.ipynb)
#
# **10** ● After how many training images is the largest model as good, by KID, as the second size ever becomes here?

# %% tags=["hide-cell"]
trained = recorded.pretrained(store, chosen)
trained = trained[trained["metric"] == KID]
curves = trained.pivot_table(index="images_seen", columns="c", values="value")
show(curves)
ahead = curves.index[curves[32] <= curves[16].min()].min()
words(f"Between {int(curves.index[curves.index < ahead].max()):,} and {int(ahead):,}: no length between was drawn.")

# %% [markdown]
# **11** ●● You may spend the training compute of the second size at full length. Is it better spent on that size, or on
# a shorter training of a larger one?

# %% tags=["hide-cell"]
compute = (trained["cost"] / trained["steps"] * trained["images_seen"]).astype(float)
limit = compute[(trained["c"] == 16)].max()
affordable = trained[compute <= limit * 1.01]
spent = affordable.loc[affordable.groupby("c")["value"].idxmin()]
show(spent[["c", "images_seen", "value", "lo", "hi"]])
drawn = bootstrap.replicates(spent, store.influences(spent, KID))
for i, c in enumerate(spent["c"]):
    if c > 16:
        gap, se = spent["value"].iloc[i] - spent["value"].iloc[1], (drawn[i] - drawn[1]).std()
        print(f"c = {c} minus c = 16: {gap:+.1f} [{gap - 1.96 * se:+.1f}, {gap + 1.96 * se:+.1f}]")
words(
    "The lines above are the answer for these rows. Below zero a larger size is the better choice, above zero the worse"
    " one. If an interval contains zero, these pictures cannot tell the two apart. Only lengths that were drawn are"
    " compared: a longer training that still fits may be better."
)

# %% [markdown]
# **12** ●●● Fit a power law of KID in training compute to all models. Does it have a floor, and what could that
# floor be?

# %% tags=["hide-cell"]
points = laws.training_points(trained, KID)
words(laws.in_words(laws.fit(points), "KID"))
words(
    "A fitted floor of 0 is left out of the formula. A floor is what no compute removes. The autoencoder is none here,"
    " since the real scenes went through it, too. What could be one are the sampler, whose fifty steps are the same for"
    " all, and guidance, which draws other pictures than those of the captions on purpose."
)

# %% [markdown]
# ## [Sampling](04_sampling.ipynb)
#
# **13** ● Does the guidance that is best at 32 steps stay best at two?

# %% tags=["hide-cell"]
at_best = optimum.best_guidance(by_ddim, KID, store.influences(by_ddim, KID))
show(at_best[at_best["steps"].isin([2, 8, 32])][["c", "steps", "guidance", "tied"]])
best_at = at_best.pivot_table(index="steps", columns="c", values="guidance")
moved = [f"{best_at.loc[32, c]:g} to {best_at.loc[2, c]:g} for c = {c}" for c in here]
words(
    f"Not always. From 32 steps to two it goes from {', '.join(moved)}. But look at the last column, the values that"
    " may be the best: where there are several, two sizes whose best values differ need not truly differ."
)

# %% [markdown]
# **14** ●● Sample one size with 16 steps or the next smaller one for the same cost: which is better, and by how much?

# %% tags=["hide-cell"]
best = kid.loc[kid.groupby(["c", "steps"])["value"].idxmin()]
for small, large in zip(here, here[1:], strict=False):
    budget = 16 * unit[large]
    of = {
        c: best[(best["c"] == c) & (best["cost"] <= budget * 1.0001)].nsmallest(1, "value").iloc[0]
        for c in (small, large)
    }
    print(
        f"cost {budget:.3f}: c = {small} {of[small]['value']:.1f} with {of[small]['steps']} steps, "
        f"c = {large} {of[large]['value']:.1f} with {of[large]['steps']}: "
        f"the larger is better by {of[small]['value'] - of[large]['value']:.1f}"
    )
words(
    "Within the budget the best number of steps need not be the largest: a size may be better with fewer than it can"
    " afford."
)

# %% [markdown]
# **15** ●●● How many pictures would it take to tell 12 steps of the largest model from 16, at guidance 3, by an
# interval that excludes zero?

# %% tags=["hide-cell"]
pair = kid[(kid["c"] == 32) & (kid["guidance"] == 3) & kid["steps"].isin([12, 16])].sort_values("steps")
drawn = bootstrap.replicates(pair, store.influences(pair, KID))
gap, se = abs(pair["value"].diff().iloc[1]), (drawn[1] - drawn[0]).std()
needed = int(chosen.n * (1.96 * se / gap) ** 2) + 1
words(
    f"The gap is {gap:.2f}, and its standard error {se:.2f} with {chosen.n} pictures. Errors fall as 1 / sqrt(n), so it"
    f" takes n = {needed:,}, {'fewer' if needed < chosen.n else 'more'} than were drawn, for an even chance: at that n"
    " the gap is 1.96 standard errors, and half of all repetitions lie below. For four times in five it takes"
    f" {int(needed * ((1.96 + norm.ppf(0.8)) / 1.96) ** 2):,}. Without pairs, from the two intervals alone, it would"
    f" take {int(chosen.n * (np.hypot(*(pair['hi'] - pair['lo'])) / 2 / gap) ** 2) + 1:,}."
)

# %% [markdown]
# ## [Samplers](05_samplers.ipynb)
#
# **16** ● DPM-Solver++(2M) is of second order but for its first and last step. Which share of its steps is, at 4 and at
# 20?

# %% tags=["hide-cell"]
for steps in (4, 20):
    table = dpmpp_2m(Schedule.sd(), steps)
    second = int((table.x0_prev != 0).sum())
    print(f"{steps} steps: {second} use the estimate before, {second / steps:.0%}")
words("The others are DDIM's: the fewer the steps, the less the sampler can differ from it.")

# %% [markdown]
# **17** ●● Heun asks the network twice a step. At the cost of 8 steps of DDIM, how many steps of Heun are there?

# %% tags=["hide-cell"]
print(
    {steps: int(heun(Schedule.sd(), steps).n) for steps in (3, 4, 5)},
    "evaluations: 4 steps take 7, the last being of order one.",
)

# %% [markdown]
# **18** ●●● With one step, trailing spacing and no guidance, what does DDIM compute? Show it from the table of
# coefficients.

# %% tags=["hide-cell"]
table = ddim(Schedule.sd(), 1)
words(
    f"x <- {float(table.x[0]):g} x + {float(table.x0[0]):g} x0: the network's guess at t = {int(table.t[0])}, the mean"
    " of all that fits the caption."
)

# %% [markdown]
# ## [Super-resolution](06_super_resolution.ipynb)
#
# **19** ● Of pictures that were degraded as published, which ways beat bicubic enlargement by PSNR, and which by LPIPS?
# Why not the same?

# %% tags=["hide-cell"]
enlarged = store.rows(study="superres", profile=before.name)
enlarged = enlarged[enlarged["level"] == "published"]
last = enlarged[enlarged["steps"].isna() | enlarged["steps"].isin([1, 50])]
longest = last.groupby("task")["images_seen"].transform("max")
last = last[longest.isna() | (last["images_seen"] == longest)]
last = last[last["metric"].isin(["psnr", "lpips_effnet"])].fillna({"c": 0})
ways = last.pivot_table(index=["task", "c"], columns="metric", values="value")
assert "superres-regression" in ways.index.get_level_values("task"), "the way that the question is about"
show(ways)
bicubic, named_so = (
    ways.loc["bicubic"].iloc[0],
    lambda ahead: ", ".join(f"{task} c = {c}" for task, c in ways.index[ahead]),
)
words(
    f"By PSNR: {named_so(ways['psnr'] > bicubic['psnr'])}.\nBy LPIPS:"
    f" {named_so(ways['lpips_effnet'] < bicubic['lpips_effnet'])}."
)
words(
    "PSNR rewards the mean of all pictures that are possible, which is a blur. A sharp guess that is a little off loses"
    " twice: where it draws an edge, and where the edge should be. The regression asks once for that mean."
)

# %% [markdown]
# **20** ●● How does the distance to the true picture (LPIPS) change from 4 to 100 steps, for each size? What might the
# sampler be adding?

# %% tags=["hide-cell"]
many = enlarged[(enlarged["task"] == "superres") & (enlarged["metric"] == "lpips_effnet")]
many = many[many["images_seen"] == many["images_seen"].max()]
by_steps = many.pivot_table(index="c", columns="steps", values="value")
show(by_steps)
show((by_steps[100] - by_steps[4]).rename("worse from 4 to 100 steps").reset_index())
words(
    "Probably few steps stay near the mean, and more of them commit to details. By this distance the smallest network,"
    " which guesses worst, pays most for it."
)

# %% [markdown]
# **21** ●●● The weights of the new input channels begin at zero. What would happen in the first steps of finetuning if
# they began at random? And why does the network learn to look at all, if its gradient goes through zeros?

# %% tags=["hide-cell"]
words(
    "At random the pretrained network would get a disturbance that it has never met, and finetuning would first have to"
    " unlearn it. The gradient of a weight is the output's gradient times the *input*, which is not zero: only what"
    " lies before a zero weight gets none, and before it is the picture itself. We tried it at c = 8: after 16,000"
    " pictures nothing of the difference is left."
)

# %% [markdown]
# ## [DreamBooth](07_dreambooth.ipynb)
#
# **22** ● The question at the chapter's end: without prior preservation, does the class turn into the subject, or into
# nothing?

# %% tags=["hide-cell"]
tuned = store.rows(study="dreambooth", profile=chosen.name)
longest = tuned[tuned["train_steps"].isin([0, tuned["train_steps"].max()]) & (tuned["task"] != "truth")]
means = longest[longest["metric"].isin(["class_leak", "class_kept"])].pivot_table(
    index=["task", "c"], columns="metric", values="value", sort=False
)
show(means)
lost, kept = means.loc["no prior"], means.loc["prior"]
words(
    "Into the subject, from c = 16 on in most pictures: asked for the class alone, a model draws something nearest to"
    f" the subject on {lost['class_leak'].min():.0%} of the pictures (c = {lost['class_leak'].idxmin()}) to"
    f" {lost['class_leak'].max():.0%} (c = {lost['class_leak'].idxmax()}); the detector names the class on"
    f" {lost['class_kept'].min():.0%} to {lost['class_kept'].max():.0%}, among them foxes that it calls cats. With"
    f" prior preservation the first is {kept['class_leak'].min():.0%} to {kept['class_leak'].max():.0%}, and the class"
    " is named about as often as before finetuning."
)

# %% [markdown]
# **23** ●● As pretrained, no model has ever seen a subject. Which size is recognised most often nevertheless, beside
# the one in seventeen of chance? What does that mean for comparing sizes by how often they are recognised afterwards?

# %% tags=["hide-cell"]
recognised = longest[longest["metric"] == "recognised_scene"]
over, _ = over_subjects(recognised, {key: key for key in recognised["key"]})  # a row is a subject's
over["share"] = [f"{r.value:.2f} [{r.lo:.2f}, {r.hi:.2f}]" for r in over.itertuples()]
show(over.pivot(index="c", columns="task", values="share")[["before", "prior", "no prior"]])
level = over.pivot(index="c", columns="task", values="value").astype(float)
gains = ", ".join(f"{gain:+.2f} (c = {c})" for c, gain in (level["no prior"] - level["before"]).items())
words(
    f"The smallest, and only because it is at chance, {1 / 17:.2f}: the others are surely below it. A model that draws"
    " the class well draws what is nearest to the class, hence seldom to the subject; a vague picture is near to"
    " anything. So sizes do not start from one level, and what was learnt is the gain: without prior preservation"
    f" {gains}. (An interval below zero is no share: Student's interval does not know that shares end there.)"
)

# %% [markdown]
# **24** ●●● With prior preservation alone few subjects are recognised. The chapter says that this is since the frozen
# text tower reads *a sks panda* almost as *a panda*. How could you have guessed it without training anything? Mind that
# a word more moves all those behind it by one place.

# %% tags=["hide-cell"]
text = frozen_networks(chosen)[1]
nouns = ["cat", "panda", "frog", "crab", "rose", "owl"]
say = lambda word, noun: text.encode(
    [" ".join(f"a {word} {noun} in the centre, flat style, on a plain blue background".split())]
)[0]
without = lambda word, noun: np.delete(
    say(word, noun), 1, axis=0
)  # the same words in the same order, without the new one
far = {
    name: np.mean(distances)
    for name, distances in {
        "sks in front": [np.linalg.norm(without("sks", noun) - say("", noun)[:-1]) for noun in nouns],
        "large in front": [np.linalg.norm(without("large", noun) - say("", noun)[:-1]) for noun in nouns],
        "another noun": [
            np.linalg.norm(say("", a)[:-1] - say("", b)[:-1]) for a, b in zip(nouns, nouns[1:], strict=False)
        ],
    }.items()
}
share = {name: value / far["another noun"] for name, value in far.items()}
print({name: f"{value:.1f}" for name, value in far.items()})
words(
    "Lay the two captions' vectors side by side, without the new word's own. *sks* moves the others"
    f" {share['sks in front']:.0%} as far as another noun would; *large*, which the tower knows, moves them"
    f" {share['large in front']:.0%} as far. (The chapter's fifth is of the places behind the last word alone.) So the"
    " captions are near, but not the same, and the network can still use the rare word's own vector. This does not show"
    " that nearness holds the learning back. That it helps to let the word's embedding learn beside the denoiser"
    " (*prior and word*), which leaves all other words as they are, is better evidence."
)

# %% [markdown]
# ## [Distillation](08_distillation.ipynb)
#
# **25** ● In the paper's cost a step of a student and one of its teacher count the same. How often does each ask the
# network for a picture in four steps under guidance?

# %% tags=["hide-cell"]
both = recorded.whole_grid(store, chosen), store.rows(study="distillation", profile=chosen.name, n=chosen.n)
both = pd.concat(both)
asked = both[(both["steps"] == 4) & (both["guidance"] == 2) & both["sampler"].isin(["ddim", "consistency"])]
show(asked.groupby("task")["nfe"].first().reset_index())
words("A student takes the guidance scale as an input; its teacher is asked with and without the caption.")

# %% [markdown]
# **26** ●● A student was trained on top of its teacher's training. Is it better for that reason? Which rows say so?

# %% tags=["hide-cell"]
few = both[(both["metric"] == KID) & both["steps"].isin([2, 4]) & both["sampler"].isin(["ddim", "consistency"])]
few = few[few["task"].isin(["pretrain", "continued", "codi"]) & few["guidance"].isin(chosen.distilled_guidance)]
show(few.pivot_table(index=["c", "steps"], columns="task", values="value", aggfunc="min").dropna())
words(
    "*continued* is the teacher, trained on for as many passes of a network as its student took and sampled as ever."
    " c = 8 gains a few per cent by that, c = 16 loses a few, and c = 32 more than a tenth. In two steps *codi* is far"
    " ahead of both: that was the distillation. In four it leads by about a tenth for c = 16 and 32, and not for c = 8."
    " Why larger ones lose we have not asked. One likely reason: weights are averaged over a tenth of a run, and this"
    " run is ten times shorter, so they keep more of the noise of training."
)

# %% [markdown]
# **27** ●●● Consistency models are built so that they answer a clean picture with itself, whatever the network says: at
# time 0 the picture is passed on by a skip connection, and the network's output is multiplied by 0. The students of
# this book are built like their teachers. Why does it hold nevertheless, and how exactly?

# %% tags=["hide-cell"]
first = Schedule.sd()
print(f"alpha = {float(first.alpha[0]):.4f}, sigma = {float(first.sigma[0]):.4f} at t = 0")
print(
    "They predict the noise, and x0 = (x - sigma eps) / alpha: 1 / alpha is the skip, sigma / alpha what multiplies the"
    " network. At t = 0 the answer is the picture up to sigma times what the network says: as exact as this schedule's"
    " first time is clean. In training the grid ends at alpha = 1 and sigma = 0, where the picture is kept as it is."
)

# %% [markdown]
# ## [Interpolation](09_interpolation.ipynb)
#
# **28** ● Is the detour longer on the straight line between two captions than on the great circle?

# %% tags=["hide-cell"]
ways = store.rows(study="interpolation", profile=chosen.name, level=recorded.of_levels(["all"]))
ways = ways[ways["strength"].isna()]
found = []
for guidance, part in ways[ways["metric"] == "detour"].groupby("guidance"):
    gaps = comparisons.beside(part, "detour", "slerp", store.influences(part, "detour"), by="task")
    found.append(gaps.assign(guidance=guidance, longer=comparisons.in_words(gaps), sure=gaps["lo"] > 0))
found = pd.concat(found)
show(found.pivot(index="c", columns="guidance", values="longer"))
words(
    "Pair by pair, the line minus the circle. A star marks an interval that leaves out zero. Surely longer in"
    f" {found['sure'].sum()} of {len(found)} cases:"
    f" {', '.join(f'c = {r.c} at {r.guidance:g}' for r in found[found['sure']].itertuples())}. It is a small part of"
    " detours of two and more."
)

# %% [markdown]
# **29** ●● Eleven pictures are ten steps. On an even way the largest of them is a tenth of the length, and the
# chapter's are about twice that or more. Does that show that models jump? What would it be on a way without any jump,
# whose steps are of chance lengths?

# %% tags=["hide-cell"]
steps_of = {
    name: draw(size=(100_000, 10))
    for name, draw in (
        ("uniform", np.random.default_rng(0).uniform),
        ("exponential", np.random.default_rng(1).exponential),
    )
}
chance = {name: (lengths.max(1) / lengths.sum(1)).mean() for name, lengths in steps_of.items()}
measured = ways[(ways["metric"] == "largest_step") & (ways["task"] == "lerp")].pivot_table(
    index="c", columns="guidance", values="value"
)
print({name: f"{value:.2f}" for name, value in chance.items()})
show(measured)
words(
    "The largest of ten is large because it was chosen. Lengths between zero and some end, all as likely, give"
    f" {chance['uniform']:.2f}, exponential ones {chance['exponential']:.2f}, and the models {measured.min().min():.2f}"
    f" to {measured.max().max():.2f}. Above both, and so more of a jump than chance makes, lie"
    f" {', '.join(f'c = {c}' for c in measured.index[(measured > chance['exponential']).all(axis=1)]) or 'none'}. That"
    " larger sizes have a larger one on the same captions and noise is a difference, and stands."
)

# %% [markdown]
# **30** ●●● The chapter walks from caption to caption on one noise. What if one walked from noise to noise, on a
# straight line? Where on the way is the network asked about something that it has never met, and what does a great
# circle change? Is it the same with captions?

# %% tags=["hide-cell"]
pair_of_noises = np.random.default_rng(0).normal(size=(2, 1000, np.prod(chosen.latent_shape)))
for a in (0, 0.25, 0.5):
    straight, circle = np.array([1 - a, a]), np.sin(np.array([1 - a, a]) * np.pi / 2)
    spreads = [np.tensordot(way, pair_of_noises, 1).std() for way in (straight, circle)]
    print(f"noise, a = {a:4g}: spread {spreads[0]:.2f} on the line, {spreads[1]:.2f} on the circle")
scenes = scene_pairs(Scenes(chosen.scenes, "val", 1024), 64)
tower = frozen_networks(chosen)[1]
first, second = (tower.encode([caption(pair[i]) for pair in scenes]) for i in (0, 1))
length = lambda vectors: np.linalg.norm(vectors, axis=-1)
words(
    f"Captions: vectors of length {length(first).min():.1f} to {length(first).max():.1f}; halfway "
    f"{length(lerp(0.5, first, second)).mean():.1f} on the line, "
    f"{length(slerp(0.5, first, second)).mean():.1f} on the circle."
)
words(
    "Two independent noises are nearly orthogonal. Halfway between them the line passes at 0.71 of the spread that"
    " every noise in training had; the circle keeps it. The tower's vectors are all of nearly one length, so captions"
    " lie on a sphere, and the line leaves it, too. There it costs little: the detours of exercise 28 hardly differ."
)

# %% [markdown]
# ## [Confounders](a3_confounders.ipynb)
#
# **31** ● At which time does each spacing ask first? How much signal is the network told to expect there, and how much
# does it get?

# %% tags=["hide-cell"]
levels = Schedule.sd()
first = pd.DataFrame(
    [
        {"steps": steps, "spacing": spacing, "first time": levels.times(steps, spacing)[0]}
        for steps in (2, 4, 8, 50)
        for spacing in ("trailing", "leading")
    ]
)
first["signal"] = levels.alpha[first["first time"]].round(3)
show(first.pivot(index="steps", columns="spacing", values=["first time", "signal"]))
words(
    "It gets none: sampling starts from noise alone. Told to expect a share of signal, it finds one, in what is only"
    " noise. On trailing times that share is small and the same for every number of steps; on leading ones it is the"
    " larger the fewer the steps, so the spacing and the number of steps cannot be told apart in a study that names"
    " only the second."
)

# %% [markdown]
# **32** ●● Somebody reports FD of the largest model on 256 pictures and of the second largest on 4,096. Which seems
# better? Which is, at equal n, and what does KID say in the same unequal comparison?

# %% tags=["hide-cell"]
counted = store.rows(
    study="sampling",
    profile=chosen.name,
    images_seen=chosen.length,
    seed=0,
    sampler="ddim",
    steps=8,
    guidance=2.0,
    level=recorded.of_levels([chosen.level]),
    metric=[FD, KID],
    c=[24, 32],
    n=[256, 1024, 4096],
)
by_n = counted[counted["n"] != 1024].pivot_table(index=["metric", "c"], columns="n", values="value")
show(by_n)
bias = confounders.limits(counted, FD, least=256).set_index("c")
words(
    f"The second largest: {by_n.loc[(FD, 24), 4096]:.1f} against {by_n.loc[(FD, 32), 256]:.1f}. At equal n it is the"
    f" largest: {by_n.loc[(FD, 32), 4096]:.1f} against {by_n.loc[(FD, 24), 4096]:.1f} with 4,096. FD of n pictures is"
    f" too large by about b / n, with b = {bias.loc[32, 'slope']:,.0f} for the largest:"
    f" {bias.loc[32, 'slope'] / 256:.1f} at 256, more than the two differ by. KID has no such bias: it gives the"
    f" largest {by_n.loc[(KID, 32), 256]:.1f} by 256 pictures and {by_n.loc[(KID, 32), 4096]:.1f} by 4,096, and the"
    f" second largest {by_n.loc[(KID, 24), 4096]:.1f}."
)

# %% [markdown]
# **33** ●●● All sizes saw equally many pictures, so the larger of two was trained with more compute. Suppose it is
# compute that is scarce. Ask F3 of two sizes again, with the larger one's training cut short until both cost nearly the
# same.

# %% tags=["hide-cell"]
at_length = store.rows(
    study="sampling",
    profile=chosen.name,
    n=chosen.n,
    seed=0,
    sampler="ddim",
    level=recorded.of_levels([chosen.level]),
    guidance=list(confounders.SWEPT),
    steps=list(confounders.FEW_AND_MANY),
)
found = []
for small, large in ((8, 16), (16, 32)):
    for images in (chosen.length, chosen.length // 4):
        part = at_length[
            ((at_length["c"] == small) & (at_length["images_seen"] == chosen.length))
            | ((at_length["c"] == large) & (at_length["images_seen"] == images))
        ]
        compute = unit[large] * images / (unit[small] * chosen.length)
        line = {"c": f"{small}, {large}", "images of the larger": images, "its compute": f"x {compute:.2f}"}
        for name in findings.COUNTED:
            v = verdicts.f3(part, name, store.influences(part, name))
            line[name] = f"{v.answer} {v.effect.value:+.3g}"
        found.append(line)
show(pd.DataFrame(found))
words(
    "The effect is the smaller one's mean advantage at small budgets, as a share of the larger one's value. At nearly"
    " equal training compute it is larger, for both pairs and by every metric, as it must be when the larger is trained"
    " less. *Equally many pictures*, the way of the paper and of this book, is a choice, and of the two it is the one"
    " that favours the larger size. Asked by the other, F3 of c = 16 and c = 32 holds by all three metrics."
)

# %% [markdown]
# ## [The paper's own sizes](10_tpu.ipynb)
#
# **34** ● How many bytes are the weights of the 866M model, their average and Adam's two moments, in float32? Do they
# fit on one v5e chip?

# %% tags=["hide-cell"]
size = family.table1().set_index("name").loc["866M"]
state = 4 * 4 * size["params"] / 1e9
words(
    f"{state:.1f} GB of {chips.V5E.memory}: they fit, and leave {chips.V5E.memory - state:.1f} GB. But the gradients"
    f" take another {4 * size['params'] / 1e9:.1f} GB in float32, half of that in bfloat16, and activations come on"
    " top: training needs the state spread over several chips."
)

# %% [markdown]
# **35** ●● 256 chips share a batch of 2,048. Each has the whole state, and they add up their gradients, here in
# float32: in a ring each chip sends about twice their bytes, over all its links. (The chapter's program sends
# bfloat16.) Compared with the arithmetic, for which size do the messages matter most?

# %% tags=["hide-cell"]
printed = family.table1().set_index("name")
arithmetic = 4 * printed["gflops"] * 1e9 * 2048 / 256 / (chips.V5E.tflops * 1e12)
messages = 2 * 4 * printed["params"] / (chips.V5E.links / 2 * 1e9)
show(pd.DataFrame({"arithmetic, s": arithmetic, "messages, s": messages, "ratio": messages / arithmetic}))
words(
    "For the largest; but both grow nearly alike with the size, and the batch a chip, eight pictures, decides more"
    " than it."
)

# %% [markdown]
# **36** ●●● Blocks that are computed again for the backward pass cost one forward pass more: a training step is then
# four forward passes in place of three. Why three? And when is it cheaper to store what was computed?

# %% tags=["hide-cell"]
words(
    "A backward pass makes two products where the forward pass made one: the gradient of the weights, and that of what"
    " came in. One and two are three. What has been computed may be kept where it fits: the batch a chip, the size and"
    " the resolution decide, and a smaller batch on more chips buys the third back with messages."
)

# %% [markdown]
# ## [The verdicts](12_verdicts.ipynb)
#
# **37** ● Of twenty verdicts, each by a 95 % interval, how many would be wrong by chance, at most? Somebody publishes
# many pages of twenty verdicts each: how wide must the intervals be if at most one page in twenty may hold an error?

# %% tags=["hide-cell"]
verdicts_on_a_page = 20
print(f"About {verdicts_on_a_page * 0.05:.0f} of {verdicts_on_a_page}, if all effects are near zero; else fewer.")
print(
    f"By Bonferroni {norm.ppf(1 - 0.025 / verdicts_on_a_page):.2f} standard errors either way, where the book takes"
    " 1.96."
)

# %% [markdown]
# **38** ●● An effect of h / 2 is undecided at n pictures, its interval reaching h to either side. About how many
# pictures decide it, in half of all cases? Why may more training seeds do more?

# %% tags=["hide-cell"]
words(
    "The width falls with the root of n: 2 x 2 = 4 times as many, if the effect stays where it is. But the interval"
    " over pictures goes to zero with n while two trainings of one size go on differing; what they differ by no number"
    " of pictures shrinks."
)

# %% [markdown]
# **39** ●●● Suppose that each size had been trained once. How far would trainings by other seeds have to scatter, as a
# share of the value, for the difference between two neighbouring sizes to be luck? Compare with what [the
# verdicts](12_verdicts.ipynb) say of the scatter.

# %% tags=["hide-cell"]
once = trained[trained["images_seen"] == chosen.length].set_index("c")["value"].sort_index()
luck = pd.DataFrame(
    {
        "sizes": [f"{small} and {large}" for small, large in zip(once.index, once.index[1:], strict=False)],
        "difference": once.to_numpy()[:-1] - once.to_numpy()[1:],
        "scatter that would explain it": np.abs(np.diff(once)) / (1.96 * np.hypot(once[:-1], once[1:].to_numpy())),
    }
)
show(luck)
words(
    "The last column is a standard deviation of trainings, as a share of the value, at which 1.96 standard errors of"
    " the difference are the difference itself. Where it is small, the pair needs several trainings of each size, and"
    " their spread beside the difference. One training a size cannot say how large the scatter is; where a size has"
    " several, the verdict about F3 names it."
)

# %% [markdown]
# ## [How latent diffusion works](a0_primer.ipynb)
#
# **40** ● At which time do signal and noise have the same power? And at the last time, from which sampling starts, how
# much of the picture is left?

# %% tags=["hide-cell"]
snr = levels.alpha**2 / levels.sigma**2
print(
    f"SNR falls below 1 at t = {int((snr < 1).argmax())}; at t = 999 it is {snr[-1]:.4f}, alpha is"
    f" {levels.alpha[-1]:.3f}."
)
words(
    "Not nothing: a mean over many places, such as how bright a picture is, can be read even there, and in training the"
    " network learns to. Sampling starts from noise with nothing in it. The mistake is small and the same for all"
    " sizes; `Schedule.zero_terminal_snr` takes it away, for networks that were trained so."
)

# %% [markdown]
# **41** ●● In the chapter's world of two numbers the denoiser is exact. What does it answer at the last time, without
# the caption? Why does even a perfect denoiser not draw in one step?

# %% tags=["hide-cell"]
exact, plan = mixture.Mixture(levels), ddim(levels, 10)
x, none = np.random.default_rng(0).normal(size=(500, 1, 1, 2)).astype(np.float32), np.zeros((500, 1, 1), np.float32)
for k in range(10):
    guess = np.asarray(exact(x, np.full(500, plan.t[k]), none))
    apart = np.linalg.norm(mixture.MEANS - guess[:, 0, 0, None], axis=-1).min(1) / mixture.SPREAD
    print(
        f"t = {plan.t[k]}: {np.mean(apart < 2):.0%} of the guesses within two standard deviations of a cloud's centre"
    )
    x = plan.x[k] * x + plan.x0[k] * guess
middle = mixture.MEANS.mean(0)
words(
    f"At first it answers nearly the mean of all data, ({middle[0]:.1f}, {middle[1]:.1f}), whatever point it is shown:"
    " the best answer by the mean square error, and where hardly any data are. One step of DDIM ends there (exercise"
    " 18). With more steps each point decides for a cloud on its way; for that the network need not be better, only be"
    " asked again."
)

# %% [markdown]
# **42** ●●● Show that guidance on the predicted $x_0$ is the same as guidance on the predicted noise.

# %% tags=["hide-cell"]
rng = np.random.default_rng(0)
x, u, y, w, a, b = rng.normal(size=5), rng.normal(size=5), rng.normal(size=5), 3.0, 0.6, 0.8
x0 = lambda eps: (x - b * eps) / a
assert np.allclose(x0(u + w * (y - u)), x0(u) + w * (x0(y) - x0(u)))
words(
    "x0 is affine in the noise, and u + w (y - u) is an affine combination: its weights 1 - w and w sum to one. The two"
    " commute."
)

# %% [markdown]
# ## [Metrics](a1_metrics.ipynb)
#
# **43** ● From which blur on does each of these metrics notice anything, with the fewest pictures that were asked?

# %% tags=["hide-cell"]
names = ["kid_effnet", "kid_scene", "subject", "fd_effnet"]
fewest = min(probes.counts(chosen))
spoilt = store.rows(study="metrics", profile=chosen.name, task=["real", "blur"], metric=names, n=fewest)
moved = changes(spoilt)
moved["worse"] = [f"{r.value:.3g} [{r.lo:.3g}, {r.hi:.3g}]" for r in moved.itertuples()]
show(moved.pivot(index="strength", columns="metric", values="worse"))
noticed = moved[moved["lo"] > 0].groupby("metric")["strength"].min()
words(
    "How much worse than real pictures, with the interval. Surely: "
    + "; ".join(f"{short(name)} {f'from {noticed[name]:g} on' if name in noticed else 'never'}" for name in names)
    + ". The detector still names what one sees to be blurred; so few pictures leave the distance on its features"
    " unsure."
)

# %% [markdown]
# **44** ●● KID of real pictures against other real ones is below zero in some rows. May a distance be negative? And why
# is FD never?

# %% tags=["hide-cell"]
real = store.rows(study="metrics", profile=chosen.name, task="real", metric=["kid_effnet", "fd_effnet"])
show(real.pivot_table(index="n", columns="metric", values="value"))
rng, same = np.random.default_rng(0), {"kid": [], "fd": []}
for _ in range(200):  # two samples of one distribution
    one, other = rng.normal(size=(2, 64, 4))
    same["kid"].append(metrics.kid(one, metrics.Sample(features=other)).value)
    same["fd"].append(metrics.frechet(one, metrics.Gaussian.of(other)).value)
for name, values in same.items():
    mean, error, below = np.mean(values), np.std(values) / 200**0.5, np.mean(np.array(values) < 0)
    print(f"{name} of 200 such pairs: mean {mean:+.3f} with an error of {error:.3f}, below zero {below:.0%}")
words(
    "The true distance is not negative, its estimate may be: KID is built to be right on average, and where the truth"
    " is zero some estimates must lie below it. FD is the distance of two Gaussians, and those are never nearer than"
    " zero. So where the truth is zero its average lies above it, and elsewhere it is too large as well, by about as"
    " much as one over n. That is its bias. A KID below zero says: no difference to be seen at this n."
)

# %% [markdown]
# **45** ●●● FD compares means and covariances. Make features that differ from the real ones and have the same of both.
# Does KID see them, with its cubic kernel? Can it be fooled, too?

# %% tags=["hide-cell"]
rng = np.random.default_rng(0)
real, far = rng.normal(size=(2000, 4)), 0.95
made = {
    "the same": rng.normal(size=(2000, 4)),
    "skewed": rng.exponential(size=(2000, 4)) - 1,
    "two lumps": far * rng.choice([-1, 1], (2000, 4)) + (1 - far**2) ** 0.5 * rng.normal(size=(2000, 4)),
}  # each of mean 0 and variance 1
for name, features in made.items():
    sample = metrics.Sample(features=real)
    seen = {
        "FD": metrics.frechet(features, metrics.Gaussian.of(real)),
        "KID": metrics.kid(features, sample),
        "MMD, Gaussian kernel": metrics.mmd(features, sample, bandwidth=1.0),
    }
    print(f"{name}: " + ", ".join(f"{metric} {e.value:.3f} [{e.lo:.3f}, {e.hi:.3f}]" for metric, e in seen.items()))
words(
    "FD sees neither. A cubic kernel compares moments up to the third, so KID sees the skew, and not the lumps, whose"
    " odd moments are those of a normal: they differ from the fourth on. A Gaussian kernel has all moments in it and"
    " sees both. Whether the features of real networks differ in such ways is another question: ask the chapter's"
    " *Where rankings part*."
)

# %% [markdown]
# ## [How fast](a2_speed.ipynb)
#
# **46** ● How many milliseconds does a picture take under guidance, in 4 steps and in 50, on the machine of the rows?
# Which share of them is not the network's?

# %% tags=["hide-cell"]
seconds = speed.seconds_a_picture(store.rows(study="benchmark", profile=chosen.name))
table = pd.DataFrame(
    [
        {
            "c": c,
            "steps": steps,
            "ms": 1000 * (2 * steps * each + rest),
            "not the network's": rest / (2 * steps * each + rest),
        }
        for (_, c), (each, rest) in seconds.items()
        for steps in (4, 50)
    ]
)
show(table.pivot(index="c", columns="steps", values=["ms", "not the network's"]))
words(
    "Guidance asks twice a step. The rest, such as decoding, is paid once a picture and is nearly the same for all"
    " sizes. The paper's cost leaves it out. That favours few steps of a small model, which take more seconds than the"
    " cost says."
)

# %% [markdown]
# **47** ●● Seconds are not FLOPs. How many times more seconds does an evaluation of the smallest model take than its
# share of FLOPs says?

# %% tags=["hide-cell"]
each = pd.Series({c: each for (_, c), (each, _) in seconds.items()})
ratio = (each / each[32]) / pd.Series({c: unit[c] / unit[32] for c in each.index})
show(ratio.rename("times").rename_axis("c").reset_index())
words(
    f"{ratio[8]:.1f} times. What is no matrix product, such as normalisation, grows with c and not with its square, and"
    " small products do not fill a core. So on this machine a budget in seconds buys fewer steps of a small model than"
    " one in FLOPs."
)

# %% [markdown]
# **48** ●●● The chapter compares middle rounds. In which races is the package faster even by its slowest round, against
# the fastest of torch? And by how much could any code still be faster on this machine, at most?

# %% tags=["hide-cell"]
races = speed.races(store.rows(study="benchmark"))
ours, others = (races[(races["who"] == speed.OURS) == mine] for mine in (True, False))
ours, rivals = ours.set_index("race"), others.groupby("race")[["value", "hi"]].max()
table = pd.DataFrame(
    {"middle": ours["value"] / rivals["value"], "at the least": ours["lo"] / rivals["hi"], "bound": 1 / ours["share"]}
)
show(table.map("{:.3f}".format))
words(
    f"In {(table['at the least'] > 1).sum()} of {len(table)}. Rounds of one machine are no sample of machines, so this"
    " is a range and no interval. The bound is the rate of one large matrix product over what the network's products"
    " reach now: a code that did nothing else, and each at that rate, would be so many times faster. None will be."
)

# %% [markdown]
# ## [The first hour](a5_first_hour.ipynb)
#
# **49** ● DDIM draws in two steps. How much noise is there after the first? Read it off the solver's table.

# %% tags=["hide-cell"]
table = ddim(Schedule.sd(), 2)
left = float(table.x[0]) * float(Schedule.sd().sigma[int(table.t[0])])
print(f"x <- {table.x[0]:.2f} x + {table.x0[0]:.2f} x0; of the noise, {left:.2f} is left")
words(
    "What multiplies x multiplies the noise in it. The next step asks the network at t ="
    f" {int(table.t[1])}, where sigma is {float(Schedule.sd().sigma[int(table.t[1])]):.2f}: the same number."
)

# %% [markdown]
# **50** ●● All data are one point, 0.7. What is the best denoiser, and how many steps does DDIM need with it?

# %% tags=["hide-cell"]
always = lambda x, alpha, sigma: 0.7
print({steps: float(np.abs(mixture.drawn(always, steps) - 0.7).max().round(6)) for steps in (1, 4, 20)})
words(
    "It answers 0.7, whatever it sees. One step is enough: where nothing is left open, more steps have nothing to do."
)

# %% [markdown]
# **51** ●●● The data are two points, -1 and 1, equally often. The best denoiser is $\tanh(\alpha x / \sigma^2)$ (why?).
# Which share of what DDIM draws lies within 0.1 of a point, in 1, 2, 4, 8 and 50 steps?

# %% tags=["hide-cell"]
ends = {steps: np.abs(mixture.drawn(mixture.two_points, steps)) for steps in (1, 2, 4, 8, 50)}
print({steps: float(np.mean(np.abs(end - 1) < 0.1)) for steps, end in ends.items()})
words(
    "By Bayes' rule the two points are in the odds of exp(2 alpha x / sigma^2), and their mean is a tanh. In one step"
    " everything lies near 0, the mean of both, where no data are. Each step decides a little more. That is why steps"
    " pay where a caption leaves something open, and less where it does not."
)

# %% [markdown]
# ## [How much is left open](14_left_open.ipynb)
#
# **52** ● By which factor does the distance to real scenes fall from 4 steps to 16, for each size and level, at the
# best guidance? Does it fall more if the caption says less?

# %% tags=["hide-cell"]
opened = recorded.by_level(store, chosen, ["all", "some", "subject", "nothing"])
opened = opened[(opened["metric"] == "fd_scene_decoded") & (opened["seed"] == 0)]
lowest = opened.groupby(["level", "c", "steps"], sort=False)["value"].min().unstack()
show((lowest[4] / lowest[16]).unstack())
words(
    "Above 1 more steps make the distance smaller. At every size it falls more, the less the caption says. A level"
    " without recorded rows is missing."
)

# %% [markdown]
# **53** ●● A network that predicts the noise makes a small error. How large is then the error of the picture that
# follows from its answer, at the first of four steps, on leading times and on trailing times? How large is it if the
# network predicts v?

# %% tags=["hide-cell"]
sd = Schedule.sd()
first = {"leading, the first of four": 751, "trailing": 999}
factors = {name: {"noise": sd.sigma[t] / sd.alpha[t], "v": sd.sigma[t]} for name, t in first.items()}
show(pd.DataFrame(factors).T.rename_axis("first time"))
words(
    "The picture is (x - sigma noise) / alpha: an error of the noise comes back times sigma / alpha. With v it is"
    " alpha x - sigma v, and the error comes back times sigma, at most once. That is why a network that predicts the"
    " noise needs more steps: its first ones cannot be trusted far."
)

# %% [markdown]
# **54** ●●● Again two points, -1 and 1 (exercise 51), but a caption says which, with probability q. How many
# steps does it take until 95 % of what DDIM draws lies within 0.1 of a point, for q = 0.5, 0.9, 0.99 and 0.999?

# %% tags=["hide-cell"]
counts, enough = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 50, 100), {}
for q in (0.5, 0.9, 0.99, 0.999):
    told = partial(mixture.two_points, upper=q)
    near = (steps for steps in counts if np.mean(np.abs(np.abs(mixture.drawn(told, steps)) - 1) < 0.1) >= 0.95)
    enough[q] = next(near, "more than 100")
print(enough)
words(
    "The odds of the two points are the odds by the caption times the odds by what is seen. So the caption adds half of"
    " its log odds inside the tanh. From 0.5 to 0.9 that changes nothing here. At q = 0.99 one step gives the"
    " mean, which lies close to the likely point. The other point is then never drawn, though it should be drawn once"
    " in a hundred times; many distances hardly notice that."
)

# %% [markdown]
# ## [Levers](13_levers.ipynb)
#
# **55** ● Eight steps on leading times; guidance acts at noise levels from 1 to 20 alone. How many evaluations does a
# picture cost, and what share of the usual 16 is that?

# %% tags=["hide-cell"]
eight = profiles.get(AS_WRITTEN).plan("ddim", 8)
few = passes(eight, Guidance(3.0, interval=(1.0, 20.0)), null=True).nfe
show(pd.DataFrame({"time": eight.t[:8], "noise level": eight.sigma[:8] / eight.alpha[:8]}))
words(f"{few} of 16, which is {few / 16:.0%}: a step outside the interval asks the network once, the others twice.")

# %% [markdown]
# **56** ●● Deep features are kept for a step, and only the first skip connections of the UNet are computed anew, three
# of them or one. Which share of an evaluation is that, for c = 8 and for c = 320? How much does keeping features for
# two of three steps save?

# %% tags=["hide-cell"]
shares = pd.DataFrame(
    {
        depth: {c: cost.shallow_gflops(c, depth, **shape) / cost.unet_gflops(c, **shape) for c in (8, 320)}
        for depth in (3, 1)
    }
)
show(shares.rename(columns={3: "three skip connections", 1: "one skip connection"}).rename_axis("c").reset_index())
left = (1 + 2 * shares.loc[320]) / 3
words(
    "The shares hardly depend on the size, because all levels grow alike. One whole step and two shallow ones cost"
    f" {left[3]:.0%} of three whole ones with three skip connections, and {left[1]:.0%} with one. What is saved is paid"
    " in quality: the deep features are those of another noise level."
)

# %% [markdown]
# **57** ●●● One hundred useless levers are each tried at nine costs, and called *better* if an interval lies above 0.
# About how many seem to be worth something at some cost, if the nine intervals are read one by one, and how many if a
# band holds at all nine together? Take the nine as independent.

# %% tags=["hide-cell"]
alone, together = 1 - (1 - 0.025) ** 9, 0.025
show(pd.DataFrame({"read": ["one by one", "as a band"], "useless levers of 100": [100 * alone, 100 * together]}))
words(
    "About 20 and about 2 or 3. The costs of one lever share their pictures and often their setting, so in truth they"
    " are not independent, and the first number is smaller. The band takes that into account."
)

# %% [markdown]
# ## [Transformers](11_transformers.ipynb)
#
# **58** ● In how many multiply-adds does the average parameter take part, in one pass of each network? Why does the
# transformer that costs as much as a UNet have so few parameters?

# %% tags=["hide-cell"]
pair = [profiles.get(name) for name in ("laptop-eps", "laptop-dit")]
counts = [
    {"network": kind, "size": c, "parameters": sizes.params(one.network, c, one.context)}
    | {"GFLOPs": sizes.gflops(one.network, c, one.latent_shape[0], one.tokens, one.context)}
    for kind, one in zip(("UNet", "transformer"), pair, strict=True)
    for c in one.family[:2]
]
per_pass = pd.DataFrame(counts)
per_pass["multiply-adds of a pass, per parameter"] = per_pass["GFLOPs"] * 1e9 / 2 / per_pass["parameters"]
show(per_pass.drop(columns="GFLOPs"))
words(
    "Most weights of a transformer's layer multiply each of the 64 tokens once (those of the modulation by time one"
    " vector, the caption's keys and values 24 words), and attention multiplies much without any weight. A weight of a"
    " UNet multiplies each place of its map: 64 on the largest, one on the smallest, and most weights lie where the"
    " maps are small. So a UNet holds more weights for the same FLOPs."
)

# %% [markdown]
# **59** ●● Our transformers make each of the 64 latents a token. Which share of the cost would be left with patches of
# 2 x 2 and 4 x 4, for widths 48 and 1152? Which part of the cost does not shrink with the number of tokens?

# %% tags=["hide-cell"]
cut = {
    width: {
        f"patch {p}": multiply_adds(dit_config.small(width, 128, p), 8, 24)
        / multiply_adds(dit_config.small(width, 128), 8, 24)
        for p in (2, 4)
    }
    for width in (48, 1152)
}
show(pd.DataFrame(cut).T.rename_axis("width").reset_index())
words(
    "More than a quarter and about twice a sixteenth are left: the keys and values of the caption's 24 words and the"
    " modulation by time cost the same however many tokens there are."
)

# %% [markdown]
# **60** ●●● Both families draw from the same noise and captions. Which share of its width is left to the interval of
# their difference by FD, for c = 8 and width 48 in eight steps, each at its best guidance?

# %% tags=["hide-cell"]
eighth = [
    recorded.by_level(store, one, ["some"])
    .query("metric == 'fd_scene_decoded' and steps == 8 and seed == 0 and c == @one.family[0]")
    .nsmallest(1, "value")
    for one in pair
]
known = bootstrap.of_all(pd.concat(eighth), store.influences(pd.concat(eighth), "fd_scene_decoded"))
apart, together = np.hypot(*known.std(axis=1)), np.std(known[0] - known[1])
words(
    f"It has {together / apart:.0%} of the width that it would have if each family had drawn other pictures. What one"
    f" picture moves in the one distance and in the other is correlated by {np.corrcoef(known)[0, 1]:.2f}: the same"
    " captions and the same noise move both."
)

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("takeovers", len(comparisons.takeovers(by_ddim, KID)))
