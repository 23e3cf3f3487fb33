# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Prompt interpolation: does a larger model walk more coherently?
#
# **The question.** Between two captions there is a straight line of text embeddings. What does a model draw along it,
# and does that depend on its size?
#
# **What the paper saw** (supplement, Fig. 24). It mixes the embeddings of two prompts $A$ and $B$ as $a A + (1 - a) B$,
# with $a$ from 0 to 1, in 20 steps of DDIM at guidance 7.5. Larger models interpolate more coherently. The paper shows
# pictures and gives no number.
#
# **What we run.** Pairs of validation captions with one object each, and the same noise for all pictures of a pair. We
# use the paper's setting, and the guidance that suits our small models. Besides the straight line (*lerp*) we follow
# the great circle (*slerp*), which keeps the length of the embeddings. Four numbers, defined below, describe the way.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
sizes = []  # base filter counts c; none: the profile's family
guidance = [1.5, 7.5]  # the profile's own optimum, and the paper's
steps = 20  # of DDIM
n = 0  # pairs of captions; 0: a quarter of the profile's pictures a point
frames = 0  # pictures on the way, both ends included; 0: 11, and 3 in the smoke profile
shown = 7.5  # guidance of the pictures below

# %% tags=["remove-cell"]
import numpy as np
from IPython.display import Markdown

from ldm import profiles
from ldm.data.scenes.captions import caption
from ldm.data.scenes.dataset import Scenes
from ldm.figures import protocol, samples, scrubber, tables
from ldm.figures.charts import model_label
from ldm.figures.record import record
from ldm.paths import ROOT
from ldm.study import interpolation as interpolation_study
from ldm.study.results import Store
from ldm.study.run import run
from ldm.tasks import interpolation

chosen = profiles.get(profile).downstream
sizes, n = sizes or list(chosen.family), n or max(16, chosen.n // 4)
frames = frames or (3 if chosen.name == "smoke" else 11)
shown = shown if shown in guidance else guidance[-1]
cells = interpolation_study.interpolation_grid(chosen, sizes, guidance, steps=steps, n=n, frames=frames)
store, evaluator = Store(ROOT), interpolation_study.InterpolationEvaluator(chosen)

# %% tags=["remove-cell"]
rows = run(cells, store=store, evaluator=evaluator, title="interpolation")
measures = ["readable", "entropy", "detour", "largest_step"]

# %% [markdown]
# ## Drag from B to A
#
# These are the first pairs of validation captions, none chosen, on the straight line. Do the pictures in the middle
# still show an object?

# %% tags=["remove-input"]
straight = {cell.c: cell for cell in cells if cell.path == "lerp" and cell.guidance == shown}
params = rows.drop_duplicates("c").set_index("c")["params"]
kept = {c: samples.kept(store, evaluator.key(cell)) for c, cell in straight.items()}
asked = interpolation.scene_pairs(Scenes(chosen.scenes, "val", 16 * n), interpolation_study.KEPT)
scrubber.scrubber(
    {model_label(c, params[c]): np.stack(np.split(pictures, len(pictures) // frames)) for c, pictures in kept.items()},
    [(caption(a), caption(b)) for a, b in asked],
)

# %% [markdown]
# ## Four numbers
#
# - *Readable*: the share of pictures on which the detector clearly sees the object of A, that of B, or both, and no
#   other. The rest show nothing, or something that nobody asked for.
# - *Entropy*: how unsure the detector is about the object, averaged over the way, in bits.
# - *Detour*: the length of the way in the space of the scene network, divided by the distance of its ends. 1 is
#   straight.
# - *Largest step*: the longest step from one picture to the next, as a share of the length. On an even way all steps
#   are alike. A model that flips from one picture to another has one large step.
#
# Each number by way and guidance, with intervals over pairs:

# %% tags=["remove-input"]
scrubber.measures(rows, measures)

# %% tags=["remove-input"]
Markdown(
    protocol.folded(
        rows[rows["metric"].isin(measures)], {}, f"make notebook N=09_interpolation PROFILE={profile}", counted="pairs"
    )
)

# %% [markdown]
# ## Is the largest model more coherent than the smallest?
#
# The table gives the difference pair by pair, so that a pair that is hard for both models counts against neither. Above
# zero the largest model is better.

# %% tags=["remove-input"]
found = scrubber.larger_against_smaller(rows, measures, store)
Markdown(tables.table(found))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("larger is", {f"{row.way} {row.guidance:g}": row.readable.split("**")[1] for row in found.itertuples()})

# %% [markdown]
# A readable way needs a model that draws readable pictures at all. So *readable* and *entropy* are partly about the
# ends of the way.

# %% [markdown] tags=["recorded"]
# In the results of this book the largest model is surely ahead in both, as the paper's pictures suggest.
#
# The two measures of the path itself disagree. At the paper's guidance the largest model takes the more direct way. But
# everywhere its largest step is a larger part of the way. The value alone does not prove a jump: of ten steps of random
# length, the largest is about as large a part ([exercise 29](a4_exercises.ipynb)). The difference between the sizes
# does stand.
#
# A possible explanation: a better model keeps to objects that exist, and changes from one to the other quickly. A small
# model blends through shapes that are neither. Which of the two is more coherent? The paper does not define the word.

# %% [markdown] tags=["recorded"]
# The models of this chapter are those of the first edition: they predict $v$, and their captions say everything.

# %% [markdown]
# ## Limits
#
# Each size was trained once. The one detector knows no mixed objects. The text tower knows some hundred words, so there
# may be less between two of its embeddings than between two of CLIP's, which the paper uses.
#
# ## Try it
#
# `make notebook N=09_interpolation ARGS="-p guidance 1.5,3 -p frames 21 -p shown 3"`
#
# **Exercise.** Halfway between two captions, is there more often a mix or more often one of the two? Count it in the
# pictures above, then by *readable* at three frames (`-p frames 3`).
# Others, with answers: [28 to 30](a4_exercises.ipynb).
