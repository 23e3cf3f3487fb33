# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Bigger is not always better
#
# Given a budget for a picture, is it better spent on **few steps of a large network** or on **many steps of a small
# one**?

# %% tags=["parameters", "remove-cell"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py: whose rows are drawn
levels = ["some", "all", "subject", "nothing"]  # of captions; those without rows are left out
metric = ""  # a name in ldm.metrics.catalogue.METRICS; none: the first that verdicts count
few = 2  # steps of the largest model, whose cost every size spends on the first pictures

# %% tags=["remove-cell"]
import pandas as pd
from IPython.display import Markdown

from ldm import profiles
from ldm.figures import advice, contest, explorer, protocol, race, samples, speed
from ldm.figures import findings as findings_figures
from ldm.figures.record import record
from ldm.metrics.catalogue import brief
from ldm.paths import ROOT
from ldm.statistics import budget, optimum
from ldm.study import findings, recorded
from ldm.study.results import Store
from ldm.study.sampling import SamplingEvaluator

chosen, store = profiles.get(profile), Store(ROOT)
evaluator, counted = SamplingEvaluator(chosen), findings.COUNTED
metric = metric or counted[0]
shown = list(dict.fromkeys([metric, *counted, "subject"]))
answers = findings.ask(chosen, store=store, evaluator=evaluator)
grid = recorded.whole_grid(store, chosen)
trained = recorded.by_level(store, chosen, levels, chosen.n)
said = trained[(trained["seed"] == 0) & ~trained["key"].isin(grid["key"])]
larger = [recorded.whole_grid(store, profiles.get(name)) for name in ("gpu-eps", "tpu") if name != chosen.name]
every = pd.concat([grid, said, *larger])  # of larger profiles there may be rows: one can choose them in the explorer
every = every[every["sampler"] == "ddim"]
asked = every[every["profile"] == chosen.name]
rules = advice.rules(asked, counted, store.influences, trained[trained["seed"] > 0])
usual = asked[asked["key"].isin(grid["key"])]
step = budget.step_of_the_largest(usual)
seconds = speed.seconds_of(store, chosen)
seen = samples.captions(chosen, [chosen.level], range(4))[chosen.level]

# %% tags=["remove-input"]
Markdown(
    f"{advice.in_words(rules)}\n\nSo with a small budget take a small network; how sure that is, see below."
    f" Here are the first {len(seen)} captions of our list, none chosen, which say some of what is in the picture. Each"
    f" size gets the same budget, the cost of **{few} steps of the largest network**, and uses its best setting within"
    f" it, by {brief(metric)}:"
)

# %% tags=["remove-input"]
samples.at_one_budget(store, optimum.within(usual, metric, [few * step]), seen)

# %% [markdown]
# Or let them race in your browser. Each size draws the same caption from the same noise. Its steps and guidance are
# those that scored best for it within the budget, on captions with about as much detail. A small size may not use up
# the budget.

# %% tags=["remove-input"]
race.race(
    asked if chosen.name == profiles.DEFAULT else asked[:0],  # browsers draw with the models of that profile
    metric,
    (2, 3, 4, 6, 8, 12, 16),
    samples.captions(chosen, levels, range(6)),
    speed.megabytes_in_a_browser(chosen),
)

# %% [markdown]
# A text-to-image model draws a picture in steps, and each step costs one pass through a network, or two with guidance.
# [Mei et al. (2024)](https://arxiv.org/abs/2404.01367) trained eleven sizes of Stable Diffusion's network, from 39
# million to 5 billion parameters, and found that the small ones often win. This book runs their study again, on a
# family small enough for your own machine, with an interval on every point and every verdict.
#
# Our networks draw [little scenes](01_data.ipynb). Their width is *c*, and [the family](02_family.ipynb) says how many
# parameters each has. A caption can say everything about a scene (subject, style, place, background, colours), some of
# it, its subject alone, or nothing. *FD-scene* is a distance from real scenes, measured by a network that has learnt to
# read scenes; lower is better. *KID-EfficientNet* is a second one, by a network that has never seen a scene. Each is
# blind to some faults, so trust most where both agree ([why](a1_metrics.ipynb)).
#
# ## What to do with a budget

# %% tags=["remove-input"]
Markdown(
    f"{advice.prices(usual, seconds)} {advice.example(rules, metric, usual, 0.5)}"
    " A table below has the number of steps by each metric."
)

# %% [markdown]
# Drag the budget, which begins at that of the pictures above, to see which size wins, how sure that is, and what it
# draws. (Captions that say the subject alone, or nothing, are [a page of their own](14_left_open.ipynb).)

# %% tags=["remove-input"]
explorer.budget_explorer(
    every[~every["level"].isin(["subject", "nothing"])],  # the page stays light
    shown,
    store.influences,
    pictures=lambda key: samples.thumbnail(store, key),
    captions=samples.captions(chosen, levels),
    seconds=seconds,
    axes=("flops", "cost", "ms"),
    start=few * 2 * usual.loc[usual["c"] == usual["c"].max(), "gflops"].max(),
)

# %% [markdown]
# The upper chart shows every size (*c*, its base filter count) at its best guidance, with few steps on the left and
# many on the right. The first quality is a distance of drawn pictures from real ones that went through the same
# autoencoder; lower is better. The lower chart shows the best that each size can do within the budget. *Best: 87%* is
# the chance that a size wins if only the pictures could have come out differently. With the luck of training,
# neighbouring sizes are often not told apart (below). Two intervals may overlap and one size still win: all draw the
# same captions from the same noise, so a difference is known better than each value. A tap or the mouse on a point
# shows its interval, its setting and its number of pictures. The pictures at the bottom are drawn with these settings.
# See [how each number is made](../book/protocol.md) and [the glossary](../book/glossary.md).

# %% tags=["remove-input"]
Markdown(
    protocol.folded(
        every[every["metric"].isin(shown)], evaluator.metrics.protocols, f"make notebook N=00_answer PROFILE={profile}"
    )
)

# %% [markdown] tags=["recorded"]
# ## What else helps
#
# - **Guidance** matters at every step count, and c = 8 wants more of it than the others ([sampling](04_sampling.ipynb)
#   has the best value for each size and step count).
# - **A smaller model as the guide**, in place of the empty caption, halves FD-scene at equal cost where the caption
#   says some of the picture. One that was trained less does nearly as well by FD, but captions are followed less, by
#   14 % ([levers](13_levers.ipynb)).
# - **Another sampler**, by what the caption says ([samplers](05_samplers.ipynb)). Where it says nothing, DPM-Solver++
#   in four steps nearly draws what DDIM does in eight. Where it says everything, DDPM has three quarters of DDIM's KID.
#   Where it says some, DPM-Solver++ is better by FD-scene, and DDPM by KID.
# - **A student**, [distilled](08_distillation.ipynb) with a tenth of the passes of its teacher's training, is far
#   ahead of it in two steps at c = 16 and 32, and loses by FD-scene and alignment where both draw in four or more
#   ([distillation](08_distillation.ipynb)). But its step costs half, and at small budgets nothing else gains as much
#   ([levers](13_levers.ipynb)).

# %% [markdown]
# ## What the rule loses
#
# How much worse are the pictures of those who follow the rule than the best that was measured within the same budget?
# Budgets run from the fewest steps of the largest model to its most. Below them the rule was not measured, and it can
# be far off. We chose the number of steps on every second budget and tested it on the others; the table gives the mean
# there. On other trainings the comparison is with the setting that was the best on the first ones; where another is
# better there, a loss can be below zero. The last column shows other numbers, on the budgets and the training that
# chose, so compare it with the others only roughly.

# %% tags=["remove-input"]
advice.regrets(rules)

# %% tags=["remove-input"]
Markdown(advice.by_the_clock(asked, rules, metric, store.influences, seconds))

# %% tags=["remove-cell"]
record("rule", {f"{level}, {by}": one.steps for (level, by), one in rules.items()})

# %% [markdown]
# A budget counts in the paper's unit: the cost of one pass through the network, as a share of one pass of the 866M
# model on latents of the same size, times the number of steps. Where every size was trained again, the rule was
# measured on those trainings, which had no part in choosing it, beside what was the best on the first ones, and the
# brackets hold what trainings differ by. Elsewhere they hold the 95 % interval over pictures alone, and the models and
# pictures are those that chose the rule.
#
# ## Does a smaller network win at small budgets?
#
# That is the paper's claim. By each of the metrics that we count, for captions as the models were trained on:

# %% tags=["remove-input"]
contest.answer(recorded.with_trainings(store, usual), counted, store.influences)

# %% [markdown]
# The finding F3 asks it of all small budgets at once, and holds where a smaller model is surely better over more than
# half of them; so it can be undecided although one is surely better at some.
# [How much is left open](14_left_open.ipynb) asks the same where captions say more, or less, and
# [Transformers](11_transformers.ipynb) ask it of another kind of network.
#
# ## Six findings, six verdicts

# %% tags=["remove-input"]
Markdown(findings_figures.summary(answers))

# %% [markdown]
# Each finding is asked by several metrics, because metrics can disagree. By one of those of F2, which asks how near a
# restored picture comes to the true one, F2 fails in the paper. F6 is tested on students distilled by
# CoDi; [the chapter](08_distillation.ipynb) tests others, too. F2 and F5 are asked of models that were trained on at
# twice the side, to predict *v*, and by other metrics. F3 is the question of this page. [The
# verdicts](12_verdicts.ipynb) give every effect with its interval.
#
# ## Four ways on
#
# - **Read.** [How latent diffusion works](a0_primer.ipynb), then [the data](01_data.ipynb), [the
#   family](02_family.ipynb), [training](03_pretraining.ipynb), [sampling](04_sampling.ipynb); [what is real here
#   and what is scaled down](../book/scaled-down.md).
# - **Run.** One command from a fresh clone, `make study`, makes this book on two cores. Then
#   change a number: `make notebook N=04_sampling ARGS="-p steps 5,10 -p guidance 2,4"`. It draws what is
#   new, and `make book` adds a page with it. `make pdf` prints all pages to one file.
# - **Try.** [Draw pictures in your browser](../book/playground.md), with the models of this book.
# - **Learn.** [One pass through the code](../book/how-it-works.md), and
#   [exercises](a4_exercises.ipynb) with folded answers that run.
