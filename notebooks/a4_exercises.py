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
# About three a chapter, from easy (●) to hard (●●●), beside the one at each chapter's end. All can be answered from this
# book, its recorded rows and `ldm/`; words and letters are in the [glossary](../book/glossary.md). The solutions are folded
# beneath; they are code, and run whenever the book is built, so their numbers are those of the rows. Try first.

# %% tags=["parameters"]
profile = "laptop"      # smoke | laptop | gpu | tpu
asked_of = "laptop"     # whose rows the exercises ask about

# %%
import numpy as np
import pandas as pd
from scipy.stats import norm

from ldm import chips, comparisons, cost, frontier, laws, optimum
from ldm.notebook import ROOT, record
from ldm.profiles import profile as named
from ldm.results import Store
from ldm.scenes import Scenes
from ldm.schedule import Schedule
from ldm.solvers import ddim, dpmpp_2m, heun

scale, store = named(asked_of), Store(ROOT)
shape = dict(size=scale.latent_shape[0], tokens=scale.tokens, context=scale.context)
sampling = store.rows(study="sampling", profile=asked_of, n=scale.n, images_seen=scale.length, seed=0)
by_ddim = sampling[sampling["sampler"] == "ddim"]
kid = by_ddim[by_ddim["metric"] == "kid_effnet"]

# %% [markdown]
# ## The first page
#
# **1** ● Drag the budget to its smallest value. Why are some sizes missing from the lower panel? What does that say about
# "at equal cost"?

# %% tags=["hide-cell"]
print(kid.groupby("c")["cost"].min().to_string())
print(
    "\nA size appears once its cheapest setting fits: one step. A large model cannot spend a small budget at all, so at the "
    "low end smaller models win by forfeit; the interesting budgets are those that every size can spend."
)

# %% [markdown]
# **2** ●● Two intervals overlap. May you say that the two settings are equally good? Find two settings of this book whose
# intervals overlap although their difference is sure.

# %% tags=["hide-cell"]
pair = kid[(kid["c"] == 16) & (kid["guidance"] == 2) & kid["steps"].isin([4, 8])].sort_values("steps")
drawn = frontier.worlds(pair, store.influences(pair, "kid_effnet"))
gap, se = pair["value"].diff().iloc[1], (drawn[1] - drawn[0]).std()
print(pair[["steps", "value", "lo", "hi"]].round(1).to_string(index=False))
print(f"\nThe difference is {gap:.1f} [{gap - 1.96 * se:.1f}, {gap + 1.96 * se:.1f}]: the same captions and noise share their luck.")

# %% [markdown]
# **3** ●●● The page says how likely a size is "truly the best" at a budget. What does that chance *not* cover? Name three
# things.

# %% tags=["hide-cell"]
print(
    "It covers other captions and other noise. It does not cover (1) another training run of the same size: one seed a size; "
    "(2) another metric, which may name another winner: choose one and see; (3) settings that were not tried: a size with more "
    "of them would have more luck, so all have the same grid. Nor other real pictures, an error that all settings share."
)

# %% [markdown]
# ## The data
#
# **4** ● How many of the first 1,000 validation captions does a model meet more than once among them?

# %% tags=["hide-cell"]
val = Scenes(scale.scenes, "val", 1_000)
words = pd.Series([val.caption(i) for i in range(len(val))])
print(f"{words.duplicated(keep=False).sum()} of {len(words)}; {words.nunique()} different ones.")

# %% [markdown]
# **5** ●● How many of these captions also occur among the first 10,000 of training? What, then, is held out?

# %% tags=["hide-cell"]
train = Scenes(scale.scenes, "train", 10_000)
seen = {train.caption(i) for i in range(len(train))}
print(
    f"{words.isin(seen).mean():.1%}. Not the captions, but pictures (a caption has many), and combinations of subject and style "
    "that training never shows: the split `heldout`."
)

# %% [markdown]
# **6** ●●● Picture *i* is a function of *i* alone. Write a test that would fail if it depended on which pictures were drawn
# before it.

# %% tags=["hide-cell"]
alone, among = val.images([7])[0], val.images(np.array([9, 7, 8]))[1]
assert np.array_equal(alone, among)
print("Ask for it alone, and in the middle of others, and compare all pixels. They agree.")

# %% [markdown]
# ## The family
#
# **7** ● How many DDIM steps may each size take for the cost of 20 steps of the largest?

# %% tags=["hide-cell"]
unit = {c: cost.norm_cost(c, **shape) for c in scale.family}
print({c: int(20 * unit[max(unit)] / each) for c, each in unit.items()})

# %% [markdown]
# **8** ●● The book counts $P(c, d) = 8202 c^2 + (78 d + 1459) c + 4$ parameters. Check it for your own $c$ and $d$; and find
# the $d$ for which the paper's 866M is 866M.

# %% tags=["hide-cell"]
formula = lambda c, d: 8202 * c**2 + (78 * d + 1459) * c + 4
assert all(cost.unet_params(c, d) == formula(c, d) for c in (8, 64, 320) for d in (128, 768, 1024))
print({d: f"{formula(320, d) / 1e6:.1f}M" for d in (768, 1024)})

# %% [markdown]
# **9** ●● Table 1 prints 25.3 GFLOPS for the 39M model. Find reasons to doubt it that use only the table.

# %% tags=["hide-cell"]
print(cost.erratum())

# %% [markdown]
# ## Pretraining
#
# **10** ● After how many images is the largest model as good as the second size ever gets here, by KID?

# %% tags=["hide-cell"]
trained = store.rows(study="pretraining", profile=asked_of, metric="kid_effnet", n=scale.n, seed=0)
curves = trained.pivot_table(index="images_seen", columns="c", values="value")
print(curves.round(0).to_string())
print(f"\nAfter {int(curves.index[curves[32] <= curves[16].min()].min()):,}.")

# %% [markdown]
# **11** ●● You may train for the compute of the second size at full length. Is it better spent on that size, or on the largest
# for less long?

# %% tags=["hide-cell"]
compute = (trained["cost"] / trained["steps"] * trained["images_seen"]).astype(float)
limit = compute[(trained["c"] == 16)].max()
affordable = trained[compute <= limit * 1.01]
print(affordable.loc[affordable.groupby("c")["value"].idxmin()][["c", "images_seen", "value", "lo", "hi"]].round(1).to_string(index=False))

# %% [markdown]
# **12** ●●● Fit a power law of KID in training compute to the best of all models at each compute. Does it have a floor, and
# what could that floor be?

# %% tags=["hide-cell"]
points = laws.training_points(trained, "kid_effnet")
print(laws.in_words(laws.fit(points)))
print(
    "\nA fitted floor of 0 is left out of the formula. A floor is what no compute removes: here the autoencoder, through which "
    "the judge sees every picture. The first chapter measures what it alone costs."
)

# %% [markdown]
# ## Sampling
#
# **13** ● Does the guidance that is best at 50 steps stay best at one?

# %% tags=["hide-cell"]
chosen = optimum.best_guidance(by_ddim, "kid_effnet", store.influences(by_ddim, "kid_effnet"))
print(chosen[chosen["steps"].isin([1, 4, 50])][["c", "steps", "guidance", "tied"]].to_string(index=False))

# %% [markdown]
# **14** ●● Sample one size with 20 steps or the next smaller one for the same cost: which is better, and by how much?

# %% tags=["hide-cell"]
best = kid.loc[kid.groupby(["c", "steps"])["value"].idxmin()]
for small, large in zip(scale.family, scale.family[1:], strict=False):
    budget = 20 * unit[large]
    of = {c: best[(best["c"] == c) & (best["cost"] <= budget * 1.0001)].nsmallest(1, "value").iloc[0] for c in (small, large)}
    print(
        f"cost {budget:.3f}: c = {small} {of[small]['value']:.1f} with {of[small]['steps']} steps, "
        f"c = {large} {of[large]['value']:.1f} with {of[large]['steps']}"
    )

# %% [markdown]
# **15** ●●● How many pictures would it take to tell 4 steps of the largest model from 5, at guidance 2, by an interval that
# excludes zero?

# %% tags=["hide-cell"]
pair = kid[(kid["c"] == 32) & (kid["guidance"] == 2) & kid["steps"].isin([4, 5])].sort_values("steps")
drawn = frontier.worlds(pair, store.influences(pair, "kid_effnet"))
gap, se = abs(pair["value"].diff().iloc[1]), (drawn[1] - drawn[0]).std()
needed = int(scale.n * (1.96 * se / gap) ** 2) + 1
print(f"The gap is {gap:.2f}, its error {se:.2f} with {scale.n} pictures. Errors fall as 1 / sqrt(n): n = {needed:,}.")

# %% [markdown]
# ## Samplers
#
# **16** ● DPM-Solver++(2M) is of second order but for its first and last step. Which share of its steps is, at 4 and at 20?

# %% tags=["hide-cell"]
for steps in (4, 20):
    table = dpmpp_2m(Schedule.sd(), steps)
    print(f"{steps} steps: {(table.x0_prev != 0).sum()} use the estimate before")

# %% [markdown]
# **17** ●● Heun asks the network twice a step. At the cost of 8 steps of DDIM, how many steps of Heun are there?

# %% tags=["hide-cell"]
print({steps: int(heun(Schedule.sd(), steps).n) for steps in (3, 4, 5)}, "evaluations: 4 steps take 7, the last being of order one.")

# %% [markdown]
# **18** ●●● With one step, trailing spacing and no guidance, what does DDIM compute? Show it from the table of coefficients.

# %% tags=["hide-cell"]
table = ddim(Schedule.sd(), 1)
print(
    f"x <- {float(table.x[0]):g} x + {float(table.x0[0]):g} x0: the network's guess at t = {int(table.t[0])}, the mean of all "
    "that fits the caption."
)

# %% [markdown]
# ## Super-resolution
#
# **19** ● Which ways beat bicubic enlargement by PSNR, and which by LPIPS? Why not the same?

# %% tags=["hide-cell"]
enlarged = store.rows(study="superres", profile=asked_of)
last = enlarged[enlarged["steps"].isna() | enlarged["steps"].isin([1, 50])]
last = last[last["images_seen"].isna() | (last["images_seen"] == last["images_seen"].max())]
last = last[last["metric"].isin(["psnr", "lpips_effnet"])].fillna({"c": 0})
print(last.pivot_table(index=["task", "c"], columns="metric", values="value").round(2).to_string())
print("\nPSNR rewards the mean of all that may lie behind a picture, which is a blur; a sharp guess, a little off, pays twice.")

# %% [markdown]
# **20** ●● More steps make the picture worse by LPIPS. By how much from 4 to 100 steps, for each size? What might the sampler
# be adding?

# %% tags=["hide-cell"]
many = enlarged[(enlarged["task"] == "superres") & (enlarged["metric"] == "lpips_effnet")]
many = many[many["images_seen"] == many["images_seen"].max()]
print(many.pivot_table(index="c", columns="steps", values="value").round(3).to_string())
print("\nFew steps stay near the mean; more of them commit to details, which are right less often the weaker the network.")

# %% [markdown]
# **21** ●●● The weights of the new input channels begin at zero. What would happen in the first steps of finetuning if they
# began at random? And why does the network learn to look at all, if its gradient goes through zeros?

# %% tags=["hide-cell"]
print(
    "At random the pretrained network would get a disturbance that it has never met, and finetuning would first have to unlearn "
    "it. The gradient of a weight is the output's gradient times the *input*, which is not zero: only what lies before a zero "
    "weight gets none, and before it is the picture itself."
)

# %% [markdown]
# ## DreamBooth and interpolation
#
# **22** ● Without prior preservation, does the class turn into the subject, or into nothing?

# %% tags=["hide-cell"]
tuned = store.rows(study="dreambooth", profile=asked_of)
longest = tuned[tuned["train_steps"] == tuned["train_steps"].max()]
means = longest[longest["metric"].isin(["class_leak", "class_kept", "recognised_scene", "prompt"])]
print(means.pivot_table(index=["task", "c"], columns="metric", values="value").round(2).to_string())

# %% [markdown]
# **23** ●● Is the detour of the straight line between two captions longer than that of the great circle?

# %% tags=["hide-cell"]
ways = store.rows(study="interpolation", profile=asked_of, metric="detour")
print(ways.pivot_table(index="c", columns=["guidance", "task"], values="value").round(2).to_string())

# %% [markdown]
# **24** ●●● The chapter walks from caption to caption on one noise. What if one walked from noise to noise, on a straight line?
# Where on the way is the network asked about something that it has never met, and what does a great circle change?

# %% tags=["hide-cell"]
pair_of_noises = np.random.default_rng(0).normal(size=(2, 1000, np.prod(scale.latent_shape)))
for a in (0, 0.25, 0.5):
    straight, circle = np.array([1 - a, a]), np.sin(np.array([1 - a, a]) * np.pi / 2)
    spreads = [np.tensordot(way, pair_of_noises, 1).std() for way in (straight, circle)]
    print(f"a = {a:4g}: spread {spreads[0]:.2f} on the line, {spreads[1]:.2f} on the circle")
print(
    "\nTwo independent noises are nearly orthogonal. Halfway between them the line passes at 0.71 of the spread that every noise "
    "in training had; the circle keeps it. Captions are not noise: their vectors are no sphere, and both ways may be walked."
)

# %% [markdown]
# ## Distillation
#
# **25** ● In the paper's cost a step of a student and one of its teacher count the same. How often does each ask the
# network for a picture in four steps under guidance?

# %% tags=["hide-cell"]
told = pd.concat([sampling, store.rows(study="distillation", profile=asked_of, n=scale.n)])
asked = told[(told["steps"] == 4) & (told["guidance"] == 2) & told["sampler"].isin(["ddim", "consistency"])]
print(asked.groupby("task")["nfe"].first().to_string())
print("\nA student takes the guidance scale as an input; its teacher is asked with and without the caption.")

# %% [markdown]
# **26** ●● A student has seen more pictures than its teacher. Is it better for that reason? Which rows say so?

# %% tags=["hide-cell"]
few = told[(told["metric"] == "kid_effnet") & (told["steps"] <= 4) & told["sampler"].isin(["ddim", "consistency"])]
few = few[few["task"].isin(["pretrain", "continued", "codi"])]
print(few.pivot_table(index=["c", "steps"], columns="task", values="value", aggfunc="min").round(1).dropna().to_string())
print(
    "\n*continued* is the teacher, trained on for as many pictures as its student and sampled as ever. Where it stays level with "
    "*pretrain* and *codi* does not, it was the distillation."
)

# %% [markdown]
# **27** ●●● Consistency models are built so that they answer a clean picture with itself, whatever the network says: at
# time 0 the picture is passed on by a skip connection, and the network's output is multiplied by 0. The students of
# this book are built like their teachers. Why does it hold nevertheless, and how exactly?

# %% tags=["hide-cell"]
first = Schedule.sd()
print(f"alpha = {float(first.alpha[0]):.4f}, sigma = {float(first.sigma[0]):.4f} at t = 0")
print(
    "They predict v, and x0 = alpha x - sigma v: alpha is the skip, sigma what multiplies the network. At t = 0 the answer is the "
    "picture up to sigma times what the network says: as exact as this schedule's first time is clean."
)

# %% [markdown]
# ## The paper's own sizes
#
# **28** ● How many bytes are the weights of the 866M model, their average and Adam's two moments, in float32? Do they
# fit on one v5e chip?

# %% tags=["hide-cell"]
size = cost.table1().set_index("name").loc["866M"]
state = 4 * 4 * size["params"] / 1e9
print(f"{state:.1f} GB of {chips.V5E.memory}: it fits, and leaves {chips.V5E.memory - state:.1f} GB for everything that is computed.")

# %% [markdown]
# **29** ●● 256 chips share a batch of 2,048. Each has the whole state and sends its gradients, in float32, once around a ring.
# Compared with the arithmetic, for which size do the messages matter most?

# %% tags=["hide-cell"]
sizes = cost.table1().set_index("name")
arithmetic = 4 * sizes["gflops"] * 1e9 * 2048 / 256 / (chips.V5E.tflops * 1e12)
messages = 2 * 4 * sizes["params"] / (chips.V5E.links / 2 * 1e9)
print(pd.DataFrame({"arithmetic, s": arithmetic, "messages, s": messages, "ratio": messages / arithmetic}).round(3).to_string())
print("\nFor the largest; but both grow nearly alike with the size, and the batch a chip, eight pictures, decides more than it.")

# %% [markdown]
# **30** ●●● Blocks that are computed again for the backward pass cost one forward pass more: a training step is then four
# forward passes in place of three. Why three? And when is it cheaper to store what was computed?

# %% tags=["hide-cell"]
print(
    "A backward pass makes two products where the forward pass made one: the gradient of the weights, and that of what came in. "
    "One and two are three. What has been computed may be kept where it fits: the batch a chip, the size and the resolution "
    "decide, and a smaller batch on more chips buys the third back with messages."
)

# %% [markdown]
# ## The verdicts
#
# **31** ● Of twenty verdicts, each by a 95 % interval, how many would be wrong by chance? How wide would the intervals
# have to be for only one *page* of twenty verdicts in twenty to hold an error?

# %% tags=["hide-cell"]
verdicts_on_a_page = 20
print(f"{verdicts_on_a_page * 0.05:.0f} of {verdicts_on_a_page}.")
print(f"By Bonferroni {norm.ppf(1 - 0.025 / verdicts_on_a_page):.2f} standard errors either way, where the book takes 1.96.")

# %% [markdown]
# **32** ●● An effect of h / 2 is undecided at n pictures, its interval reaching h to either side. About how many pictures
# decide it? Why may more training seeds do more?

# %% tags=["hide-cell"]
print(
    "The width falls with the root of n: 2 x 2 = 4 times as many, if the effect stays where it is. But the interval over pictures "
    "goes to zero with n while two trainings of one size go on differing; what they differ by no number of pictures shrinks."
)

# %% [markdown]
# **33** ●●● Two trainings of the smallest size differ in nothing but their seed. How far apart are their pictures by each
# metric, and is that more than the interval over pictures admits? What would it take to say so of every size?

# %% tags=["hide-cell"]
twins = store.rows(study="pretraining", profile=asked_of, c=8, images_seen=scale.length, steps=50, guidance=2.0, n=scale.n)
twins = twins[(twins["seed"] == 0) | (twins["strength"] == 0.1)].sort_values("seed")
print(pd.concat([
    comparisons.beside(twins, name, 0, store.influences(twins, name), by="seed").assign(metric=name)
    for name in ("kid_effnet", "kid_scene", "alignment", "subject")
]).round(3).to_string(index=False))  # fmt: skip
print(
    "\nThe same captions and noise, so an interval that leaves out zero is the seed's doing. One pair says that seeds may matter, "
    "not how much: that takes several trainings of every size, and their spread beside the difference of two sizes."
)

# %% [markdown]
# ## Metrics and speed
#
# **34** ● From which blur on does each of these metrics notice anything, with 64 pictures? (By intervals:
# [the chapter](a1_metrics.ipynb), *How many pictures does it take?*)

# %% tags=["hide-cell"]
names = ["kid_effnet", "kid_scene", "subject", "fd_effnet"]
spoilt = store.rows(study="metrics", profile=asked_of, task="blur", metric=names, n=64)
print(spoilt.pivot_table(index="strength", columns="metric", values="value").round(2).to_string())

# %% [markdown]
# **35** ●● Seconds are not FLOPs. By how much is a picture of the smallest model dearer in seconds than its share of FLOPs says?

# %% tags=["hide-cell"]
measured = store.rows(study="benchmark", profile=asked_of, task="picture", metric="seconds an evaluation").set_index("c")["value"]
ratio = (measured / measured[32]) / pd.Series({c: unit[c] / unit[32] for c in measured.index})
print(ratio.round(2).to_string())

# %% [markdown]
# **36** ●●● Show that guidance on the predicted $x_0$ is the same as guidance on the predicted noise.

# %% tags=["hide-cell"]
rng = np.random.default_rng(0)
x, u, y, w, a, b = rng.normal(size=5), rng.normal(size=5), rng.normal(size=5), 3.0, 0.6, 0.8
x0 = lambda eps: (x - b * eps) / a
assert np.allclose(x0(u + w * (y - u)), x0(u) + w * (x0(y) - x0(u)))
print("x0 is affine in the noise, and u + w (y - u) is an affine combination: its weights 1 - w and w sum to one. The two commute.")

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("takeovers", len(comparisons.takeovers(by_ddim, "kid_effnet")))
