# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Six findings, six verdicts

# %% [markdown] tags=["recorded"]
# **In short.** F1 holds by one of three metrics, and by the held-out loss; the other two leave it undecided. F2 holds
# by two, asked of two sizes so far. F6 holds by two at equal cost, and by three at 7/4 of it. F3 fails by KID from four
# steps of the largest on, and is undecided otherwise. F4 is undecided in five of six answers, and holds in one. F5
# fails by two of three metrics: the larger size wins with few steps, too.

# %% [markdown]
# This page lists what the paper claims, and whether it holds here: *holds*, *fails* or *undecided*, by each of several
# metrics. The metrics need not agree. A verdict is computed from recorded rows (`verdicts.py`, `superres.py` and
# `student.py` in `ldm/statistics/`) by [a rule](../book/protocol.md); nothing was decided by eye. The family is small
# and its pictures are simple. What fails here need not fail at the paper's scale.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py: whose rows are asked

# %% tags=["remove-cell"]
from IPython.display import Markdown

from ldm import profiles
from ldm.figures import findings as findings_figures
from ldm.figures import protocol
from ldm.figures.record import record, record_verdicts
from ldm.paths import ROOT
from ldm.study import findings, findings_index
from ldm.study.results import Store
from ldm.study.sampling import SamplingEvaluator

chosen = profiles.get(profile)
store, evaluator = Store(ROOT), SamplingEvaluator(chosen)
answers = findings.ask(chosen, store=store, evaluator=evaluator)

# %% tags=["remove-input"]
Markdown(findings_figures.page(answers))

# %% tags=["remove-input"]
Markdown(
    protocol.folded(
        findings.evidence(store, chosen), evaluator.metrics.protocols, f"make notebook N=12_verdicts PROFILE={profile}"
    )
)

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("verdicts", {finding: [v.answer for v in found] for finding, found in answers.items()})
record_verdicts(v for found in answers.values() for v in found)
record("findings", findings_index.index(answers, store=store, profile=chosen))

# %% [markdown]
# ## How to read it
#
# *Somers' D* says how well one order foretells another, from -1 to 1 ([glossary](../book/glossary.md)). Brackets hold
# the 95 % interval of an effect over pictures. F1, F3 and F4 pool the trainings that are recorded of each size, and
# what they differ by is part of the interval; F6 has it in its margin, and F2 and F5 are asked of one training a size.
# An interval is paired, because all models draw the same captions from the same noise. *Undecided* means for F1 and F6
# that the interval reaches from one answer to the other. For F2 to F5 we count budgets: neither answer is sure at more
# than half of them, even if the mean effect looks clear. Each chapter shows the curves behind its verdict:
# [pretraining](03_pretraining.ipynb), [sampling](04_sampling.ipynb), [samplers](05_samplers.ipynb),
# [super-resolution](06_super_resolution.ipynb), [distillation](08_distillation.ipynb). In the paper F2 fails by the
# distance to the true picture: LPIPS follows the compute. About [DreamBooth](07_dreambooth.ipynb) and
# [interpolation](09_interpolation.ipynb) the paper shows pictures and no numbers.
#
# ## Limits

# %% tags=["remove-input"]
Markdown(findings_figures.facts(answers))

# %% [markdown]
# They are not so many witnesses. FD-scene and the alignment are both read off the scene network, and all metrics of F2
# and F5 off EfficientNet, so three metrics are two judges, or one.
#
# The intervals of F2 and F5 leave out what trainings of one size differ by. Each interval errs one time in
# twenty, and there are many of them ([exercise](a4_exercises.ipynb) 37).
#
# ## Try it
#
# `make notebook N=12_verdicts ARGS="-p profile smoke"` asks the same of the rows of another profile.
#
# **Exercise.** For which finding do the metrics disagree? Look at what each of them sees ([how metrics
# work](../book/metrics.md)) and say which one you would trust for that question.
#
# Others, with answers: [37 to 39](a4_exercises.ipynb).
