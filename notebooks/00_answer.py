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
# A text-to-image model draws a picture in steps, and each step costs one pass through a network.
# Given a budget for a picture, is it better spent on **few steps of a large network** or on
# **many steps of a small one**? [Mei et al. (2024)](https://arxiv.org/abs/2404.01367) trained
# eleven sizes of Stable Diffusion's network, from 39 million to 5 billion parameters, and found
# that the small ones often win. This book runs their study again, on a family small enough for
# your own machine, with an interval on every number.

# %% tags=["parameters", "remove-cell"]
profile = "laptop"  # smoke | laptop | gpu-eps | tpu, or another of ldm/profiles.py: whose rows are drawn
metric = "kid_effnet"  # a name in ldm.metrics.catalogue.METRICS

# %% tags=["remove-cell"]
import pandas as pd
from IPython.display import Markdown

from ldm import profiles
from ldm.figures import charts, explorer, protocol, samples, speed
from ldm.figures import findings as findings_figures
from ldm.figures.record import record
from ldm.metrics import catalogue
from ldm.paths import ROOT
from ldm.statistics import frontier
from ldm.study import findings
from ldm.study.results import Store
from ldm.study.sampling import SamplingEvaluator

chosen, store = profiles.get(profile), Store(ROOT)
evaluator, shown = SamplingEvaluator(chosen), list(dict.fromkeys([metric, "kid_effnet", "kid_scene", "subject"]))
answers = findings.ask(chosen, store=store, evaluator=evaluator)
larger = dict.fromkeys([chosen.name, "gpu-eps", "tpu"])  # whose rows, if there are any, one can choose in the explorer
every = pd.concat([findings.whole_grid(store, profiles.get(name)) for name in larger])
rows = every[(every["profile"] == chosen.name) & (every["metric"] == metric) & (every["sampler"] == "ddim")]
influences = store.influences(rows, metric)
best = charts.best(charts.pick(rows, metric), ["c", "steps"])
sign = 1 if catalogue.metric_of(metric).better == "lower" else -1
ends = pd.DataFrame({"lo": sign * best["lo"], "hi": sign * best["hi"]})
losses = best.assign(size=best["model"], value=best["loss"], lo=ends.min(axis=1), hi=ends.max(axis=1))
winners = frontier.frontier(losses, influences=influences)
budgets = [
    winners["budget"].min() * (winners["budget"].max() / winners["budget"].min()) ** share
    for share in (0, 0.25, 0.5, 0.75, 1)
]
answer = pd.DataFrame([winners[winners["budget"] <= budget * 1.0001].iloc[-1] for budget in budgets])
answer = answer.assign(budget=[f"{budget:.3g}" for budget in budgets])

# %% tags=["remove-input"]
all_steps, from_four = ([v for v in answers["F3"] if v.turn == turn] for turn in findings.FINDINGS["F3"].turns)
few, usual = all_steps[0], from_four[0].answer
said = {
    "holds": "Here, too, a smaller network with more steps is better at small budgets.",
    "fails": "Here a smaller network with more steps is not better at small budgets.",
    "undecided": "Whether a smaller network with more steps is better at small budgets is undecided here.",
}
then = {"holds": "the smaller network is better, too", "fails": "it is not better", "undecided": "it is undecided, too"}
told = [
    f"**{row.size}** in {row.setting} (chance to be the best: {explorer.in_words(row.chance)})"
    for row in answer.itertuples()
]
Markdown(
    f"**{said[few.answer]}** That is the answer by {catalogue.short(few.metric)}. The answers of"
    f" all metrics: {findings_figures.counted([v.answer for v in all_steps])}. "
    f"If every picture must have {findings.FEWEST} steps or more, as in the paper, {then[usual]}.\n\n"
    f"- Budget {answer['budget'].iloc[1]}: choose {told[1]}.\n"
    f"- Budget {answer['budget'].iloc[-1]}: choose {told[-1]}.\n\n"
    "Drag the budget to see which size wins in between, how sure that is, and what it draws."
)

# %% tags=["remove-input"]
explorer.budget_explorer(
    every,
    shown,
    lambda name: store.influences(every[every["metric"] == name], name),
    pictures=lambda key: samples.thumbnail(store, key),
    seconds=speed.seconds_a_picture(store.rows(study="benchmark", profile=chosen.name)),
)

# %% [markdown]
# The upper chart shows every size (*c*, its base filter count) at its best guidance, with few steps on the left and
# many on the right. *KID* is the distance of drawn pictures from real ones; lower is better. The lower chart shows the
# best that each size can do within the budget. *Best: 87%* is the chance that a size is truly the best one, given the
# intervals. Hover over a point for its interval, its setting and its number of pictures. The pictures at the bottom are
# drawn with these settings, from the same captions and the same noise. See [how each number is
# made](../book/protocol.md) and [the glossary](../book/glossary.md).

# %% tags=["remove-input"]
Markdown(
    protocol.folded(
        every[every["metric"].isin(shown)], evaluator.metrics.protocols, f"make notebook N=00_answer PROFILE={profile}"
    )
)

# %% [markdown]
# ## How sure is that?

# %% tags=["remove-input"]
Markdown(
    f"| budget | best size | its setting | {catalogue.short(metric)} | chance to be best |\n"
    "|---:|---|---|---:|---:|\n"
    + "\n".join(
        f"| {row.budget} | {row.size} | {row.setting} | {sign * row.value:.3g} "
        f"[{min(sign * row.lo, sign * row.hi):.3g}, {max(sign * row.lo, sign * row.hi):.3g}] "
        f"| {explorer.in_words(row.chance)} |"
        for row in answer.itertuples()
    )
)

# %% tags=["remove-cell"]
record(
    "winners",
    {row.budget: {"size": row.size, "setting": row.setting, "value": row.value} for row in answer.itertuples()},
)

# %% [markdown]
# A budget counts in the paper's unit: the cost of one pass through the network, as a share of one pass of the 866M
# model, times the number of steps. The brackets hold the 95 % interval over pictures.
#
# ## Six findings, six verdicts

# %% tags=["remove-input"]
Markdown(findings_figures.summary(answers))

# %% [markdown]
# Each finding is asked by four metrics, because metrics can disagree. F3 is the question of this page.
# [Sampling](04_sampling.ipynb) explains why its answer depends on the steps. [The verdicts](12_verdicts.ipynb) give
# every effect with its interval.
#
# ## Four ways on
#
# - **Read.** [How latent diffusion works](a0_primer.ipynb), then [the data](01_data.ipynb), [the
#   family](02_family.ipynb), [training](03_pretraining.ipynb), [sampling](04_sampling.ipynb); [what is real here
#   and what is scaled down](../book/scaled-down.md).
# - **Run.** One command from a fresh clone, `make study`, makes this book on two cores. Then
#   change a number: `make notebook N=04_sampling ARGS="-p steps 4,8,16 -p guidance 2,4"`.
# - **Try.** [Draw pictures in your browser](../book/playground.md), with the models of this book.
# - **Learn.** [One pass through the code](../book/how-it-works.md), and
#   [exercises](a4_exercises.ipynb) with folded answers that run.
