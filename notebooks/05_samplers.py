# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Samplers: does another one change the trend?

# %% [markdown] tags=["recorded"]
# **In short.** Which sampler draws best follows from how much the caption leaves open. Where it says nothing, the
# paper's order holds by FD: DDIM is worse than DPM-Solver++ by 58 % [54, 62], and DDPM worse than DDIM by 43 % [34,
# 52]. Where it says everything, DDPM is the best by all three metrics (its KID is 26 % [20, 31] below DDIM's), and
# DPM-Solver++ the worst by KID and alignment. Where it says some, FD and KID disagree. Which *size* wins was nowhere
# surely changed by the sampler: F4 holds by KID under DPM-Solver++, and is undecided in the other five answers.

# %% [markdown]
# **The question.** [The chapter before](04_sampling.ipynb) drew every picture with DDIM. Would another sampler name
# another size as the best at a budget? We ask DDPM, which adds new noise in each step, and DPM-Solver++, which is of
# second order.
#
# **What the paper saw** (section 3.4, Fig. 11). With few steps DDPM is worse than DDIM, and DPM-Solver++ is better, at
# every size. The relation of quality to size and cost stays the same. The paper runs DPM-Solver++ with at most 20
# steps.
#
# **What we run.** The same models, captions and noise, with DDPM on respaced steps and with DPM-Solver++(2M). All three
# samplers visit the same times, those of DDIM. A sampler is a table of coefficients
# (`ldm/diffusion/solvers.py`), and one compiled loop runs them all.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
samplers = [
    "ddim",
    "ddpm",
    "dpm++",
]  # names in ldm.diffusion.solvers.Sampler; the first is what the others are compared with
sizes = []  # base filter counts c; none: those of the profile's family that are trained
steps = []  # none: those of the paper that the profile has, up to 20
guidance = []  # none: the profile's
n = 0  # pictures a point; 0: the profile's number
level = ""  # how much captions say: all | some | subject | nothing; none: the profile's
metric = ""  # a name in ldm.metrics.catalogue.METRICS; none: the first that verdicts count
recompute = -1  # recorded cells to run again and compare; -1: the profile's number, 0: none

# %% tags=["remove-cell"]
from IPython.display import Markdown, display

from ldm import profiles
from ldm.figures import ask, charts, paper_sizes, plots, protocol, samples, tables
from ldm.figures import findings as findings_figures
from ldm.figures import samplers as by_sampler
from ldm.figures.record import record, record_best, record_verdicts
from ldm.paths import ROOT
from ldm.statistics import comparisons, optimum, verdicts
from ldm.study import findings, recorded, sampling
from ldm.study.recompute import agreement
from ldm.study.results import Store
from ldm.study.run import run
from ldm.tasks import register

chosen = profiles.get(profile)
sizes, guidance, n = sizes or list(register.trained_sizes(chosen)), guidance or list(chosen.guidance), n or chosen.n
steps, level, counted = steps or findings.few_steps(chosen), level or chosen.level, findings.COUNTED
metric = metric or counted[0]
cells = [
    cell
    for name in samplers
    for cell in sampling.sampling_grid(chosen, sizes, steps, guidance, n=n, sampler=name, level=level)
]
store, evaluator = Store(ROOT), sampling.SamplingEvaluator(chosen)

# %% tags=["remove-cell"]
rows = recorded.beside_real(store, run(cells, store=store, evaluator=evaluator, title="samplers"))
influences = store.influences(rows, metric)
trained = recorded.with_trainings(store, rows)
found = {
    other: findings.asked(verdicts.f4, trained, store, counted, sampler=other, usual=samplers[0])
    for other in samplers[1:]
}

# %% [markdown]
# ## The answer
#
# Is the comparison of sizes the same under another sampler?

# %% tags=["remove-input"]
names = {"ddim": "DDIM", "ddpm": "DDPM", "dpm++": "DPM-Solver++"}
found_by = {names.get(other, other): findings_figures.answer(answers) for other, (answers, _) in found.items()}
Markdown("\n".join(f"- By {other}: {words}" for other, words in found_by.items()))

# %% [markdown] tags=["recorded"]
# Which sampler draws better is another question. In the mean from 4 to 16 steps DPM-Solver++ is better than DDIM by
# 15 % [11, 19] by FD, though at four steps for c = 8 alone; it is worse by 19 % [17, 21] by KID and by 12 % [11, 13] by
# alignment. DDPM is better than DDIM by 14 % [9, 19] by KID and by 2 % [1, 3] by alignment, and cannot be told from it
# by FD (below).

# %% [markdown]
# ## Quality against sampling cost, by sampler
#
# Each size is shown at its best guidance, chosen anew for each sampler. Do the curves of the sizes lie and cross in the
# same way in each panel?

# %% tags=["remove-input"]
plots.quality_by_sampler(rows, metric)

# %% tags=["remove-input"]
Markdown(
    protocol.folded(
        rows[rows["metric"] == metric], evaluator.metrics.protocols, f"make notebook N=05_samplers PROFILE={profile}"
    )
)

# %% [markdown]
# ## Which sampler, at which step count?
#
# The table says how much worse each sampler is than the first one, by one metric; below zero it is better. The brackets
# hold the 95 % interval of the difference, and a star marks an interval that leaves out zero. All samplers draw the
# same captions from the same starting noise, and the interval uses that. Other metrics may say the opposite: see the
# order of the samplers below.

# %% tags=["remove-input"]
Markdown(tables.side_by_side(comparisons.beside(rows, metric, samplers[0], influences)))

# %% [markdown]
# In the paper, at few steps, DPM-Solver++ is better than DDIM, and DDIM better than DDPM. Such an order can show only
# where there are too few steps. This is how many steps are enough for DDIM, by size:

# %% tags=["remove-input"]
usual = rows[rows["sampler"] == samplers[0]]
Markdown(tables.table(optimum.enough_steps(usual, metric, influences)))

# %% [markdown]
# These are the step counts of this chapter only. Where the answer is the largest of them, more steps may still help
# ([sampling](04_sampling.ipynb)).

# %% [markdown]
# ## Look at them
#
# One caption, drawn by the largest model at the best guidance of each sampler and step count.

# %% tags=["remove-input"]
best = charts.best(charts.pick(rows, metric), ["sampler", "c", "steps"]).set_index(["sampler", "c", "steps"])[
    "guidance"
]
shown = [cell for cell in cells if cell.c == max(sizes) and best[cell.sampler, cell.c, cell.steps] == cell.guidance]
samples.sample_table(store, evaluator, shown, "sampler", "steps", shown=(1,))

# %% [markdown]
# ## Verdict
#
# F4 asks whether another sampler gives the same verdict about sizes. At each budget we compare the best smaller model
# with the largest, under each of two samplers. The finding *holds* if the two comparisons surely end alike over more
# than half of the range, in doublings of the budget. The effect is the difference of the two mean advantages.

# %% tags=["remove-input"]
Markdown("\n\n".join(f"### {names.get(other, other)}\n\n{text}" for other, (_, text) in found.items()))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("F4", {f"{v.metric} {other}": v.answer for other, (answers, _) in found.items() for v in answers})
record_verdicts(v for answers, _ in found.values() for v in answers)
record_best(usual, metric)

# %% [markdown]
# Next, F3 by each sampler, over the budgets that buy 4 to 16 steps of the largest model. (We do not ask fewer than four
# steps here; [the chapter before](04_sampling.ipynb) does.) After that follows the paper's order of the samplers, which
# is a question of its own:

# %% tags=["remove-input"]
Markdown(
    "\n\n".join(
        f"### {names.get(name, name)}\n\n{findings.asked(verdicts.f3, part, store, counted, fewest=verdicts.FEWEST)[1]}"
        for name, part in trained.groupby("sampler", sort=False)
    )
)

# %% tags=["remove-input"]
orders = [
    findings.asked(verdicts.order_of_samplers, trained, store, counted, better=better, worse=worse)[1]
    for better, worse in findings.ORDER
    if {better, worse} <= set(samplers)
]
Markdown("\n\n".join(orders) or "The samplers whose order the paper gives were not all run.")

# %% [markdown]
# ## Where captions say more, or less
#
# The same of captions that say everything, and of those that say nothing, at the step counts of this chapter. First F4:

# %% tags=["remove-input"]
drawn = {name: recorded.whole_grid(store, chosen, name) for name in ("all", "nothing") if name != level}
drawn = {name: part[part["steps"].isin(steps)] for name, part in drawn.items()}
by_level = {name: part for name, part in drawn.items() if part["sampler"].nunique() > 1}
by_level[level] = trained
Markdown(tables.table(by_sampler.f4_by_level(by_level, samplers[0], samplers[1:], counted, store.influences)))

# %% [markdown]
# Then the order of the samplers; above zero it is the paper's:

# %% tags=["remove-input"]
ordered = [pair for pair in findings.ORDER if set(pair) <= set(samplers)]
Markdown(tables.table(by_sampler.order_by_level(by_level, ordered, counted, store.influences)) if ordered else "")

# %% [markdown] tags=["recorded"]
# In the results of this book the order of the samplers turns round between the two ends. Where captions say nothing,
# c = 32 by DPM-Solver++ has an FD of 24 in four steps, DDIM 48 and DDPM 72; DDIM needs eight steps for 22. Where they
# say everything, DDPM has a KID of 5.0 in 16 steps, DDIM 8.4 and DPM-Solver++ 9.2, and in four 13, 16 and 39. One
# likely reason: what is left open is decided in the first steps, which a solver of second order takes better; what the
# caption fixes has to be drawn exactly, and fresh noise lets later steps correct the errors of earlier ones
# {cite}`karras2022elucidating`. One training a size was drawn so where captions say everything or nothing.
#
# Sizes are compared alike under all samplers as far as one can see: no answer surely differs at any level, and five of
# the 16 surely agree.

# %% tags=["remove-input"]
display(*paper_sizes.shown("F4", store, metric))

# %% [markdown]
# ## The record, recomputed

# %% tags=["remove-input"]
Markdown(agreement(cells, recompute, store=store, evaluator=evaluator))

# %% [markdown]
# ## Limits
#
# Charts, pictures and the table of samplers show one training a size; the verdicts pool three. Where captions say
# everything or nothing there is one. At some budgets both samplers leave the question open; such budgets count for
# neither answer.
#
# ## Try it

# %% tags=["remove-input"]
ask.cell("F4", rows, [metric, *counted], store.influences)

# %% [markdown]
# `make notebook N=05_samplers ARGS="-p samplers ddim,heun,euler -p sizes 16,32 -p steps 4,8,16"`. Heun asks the
# network twice a step, and its cost counts that.
#
# **Exercise.** DPM-Solver++(2M) is of second order, except for its first and its last step (`dpmpp_2m` in
# `ldm/diffusion/solvers.py` says why). Which share of its steps is of second order at 4 steps, and which at 20? What
# does that say about the step counts at which it can help?
# Others, with answers: [16 to 18](a4_exercises.ipynb).
