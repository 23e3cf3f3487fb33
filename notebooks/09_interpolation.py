# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Prompt interpolation: does a larger model walk more coherently?

# %% [markdown] tags=["recorded"]
# **In short.** It depends on what coherent means. At guidance 7.5, where captions say everything, 99 % of the largest
# model's pictures between two captions show the subject of one, or of both, and 55 % of the smallest one's. But it
# jumps: its largest step is a larger part of its way than the smallest one's is, in every setting.

# %% [markdown]
# **The question.** Between two captions there is a straight line of text embeddings. What does a model draw along it,
# and does that depend on its size?
#
# **What the paper saw** (supplement, Fig. 24). It mixes the embeddings of two prompts $A$ and $B$ as $a A + (1 - a) B$,
# with $a$ from 0 to 1, in 20 steps of DDIM at guidance 7.5. Larger models interpolate more coherently. The paper shows
# pictures and gives no number.
#
# **What we run.** Pairs of validation captions with one object each, and the same noise for all pictures of a pair.
# Captions say everything, or the subject alone. We use the paper's guidance, the one that suits our small models, and
# the paper's rescaled (Lin et al. 2024), which is made against colours that strong guidance burns. Besides the
# straight line (*lerp*) we follow the great circle (*slerp*), which keeps the length of the embeddings. Four numbers,
# defined below, describe the way.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
sizes = []  # base filter counts c; none: the profile's family
levels = ["all", "subject"]  # how much captions say
guidance = [2.0, 7.5]  # what suits small models, and the paper's
rescale = 0.7  # share of rescaled guidance, at the last of these; 0: not asked
steps = 20  # of DDIM
n = 0  # pairs of captions; 0: a sixteenth of the profile's pictures a point
frames = 0  # pictures on the way, both ends included; 0: 11, and 3 in the smoke profile
shown = 7.5  # guidance of the pictures below

# %% tags=["remove-cell"]
import numpy as np
from IPython.display import Markdown, display

from ldm import profiles
from ldm.data.scenes.dataset import Scenes
from ldm.figures import protocol, samples, scrubber, tables
from ldm.figures.charts import model_label
from ldm.figures.levels import title
from ldm.figures.record import record
from ldm.paths import ROOT
from ldm.study import interpolation as interpolation_study
from ldm.study.results import Store
from ldm.study.run import run
from ldm.tasks import interpolation, register

chosen = profiles.get(profile)
sizes, n = sizes or list(register.trained_sizes(chosen)), n or max(16, chosen.n // 16)
frames = frames or (3 if chosen.name == "smoke" else 11)
shown = shown if shown in guidance else guidance[-1]
asked = dict(steps=steps, n=n, frames=frames)
cells = [
    cell
    for level in levels
    for values, share in ((guidance, 0.0), (guidance[-1:] if rescale else [], rescale))
    for cell in interpolation_study.interpolation_grid(chosen, sizes, values, level=level, rescale=share, **asked)
]
store, evaluator = Store(ROOT), interpolation_study.InterpolationEvaluator(chosen)

# %% tags=["remove-cell"]
rows = run(cells, store=store, evaluator=evaluator, title="interpolation")
by_level = {level: part for level, part in rows.assign(level=rows["level"].fillna("all")).groupby("level", sort=False)}
measures = ["readable", "entropy", "detour", "largest_step"]

# %% [markdown]
# ## Drag from B to A
#
# These are the first pairs of validation captions, none chosen, on the straight line. Do the pictures in the middle
# still show an object?

# %% tags=["remove-input"]
params = rows.drop_duplicates("c").set_index("c")["params"]
pairs = interpolation.scene_pairs(Scenes(chosen.scenes, "val", 16 * n), interpolation_study.KEPT)
straight = [cell for cell in cells if (cell.path, cell.guidance, cell.level) == ("lerp", shown, levels[0])]
for share in dict.fromkeys(cell.rescale for cell in straight):
    kept = {cell.c: samples.kept(store, evaluator.key(cell)) for cell in straight if cell.rescale == share}
    display(
        Markdown(f"At guidance {shown:g}, {f'rescaled by {share:g}' if share else 'as the paper has it'}:"),
        scrubber.scrubber(
            {model_label(c, params[c]): np.stack(np.split(one, len(one) // frames)) for c, one in kept.items()},
            interpolation_study.captions(pairs, levels[0]),
            param=f"frame_{share:g}".replace(".", "_"),
        ),
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
for level, part in by_level.items():
    display(Markdown(f"Where {title(level)}:"), scrubber.measures(part, measures))

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
found = {level: scrubber.larger_against_smaller(part, measures, store) for level, part in by_level.items()}
Markdown("\n\n".join(f"Where {title(level)}:\n\n{tables.table(one)}" for level, one in found.items()))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record(
    "larger is",
    {
        f"{level}, {row.way} {row.guidance}": row.readable.split("**")[1]
        for level, one in found.items()
        for row in one.itertuples()
    },
)

# %% [markdown]
# A readable way needs a model that draws readable pictures at all. So *readable* and *entropy* are partly about the
# ends of the way.

# %% [markdown] tags=["recorded"]
# In the results of this book the largest model is surely ahead in both, at either level and at any guidance, as the
# paper's pictures suggest. At guidance 7.5, where captions say everything, 99 % of its pictures on the straight line
# are readable, and 55 % of the smallest one's.
#
# By the path itself it is behind. Everywhere its largest step is a larger part of the way, and in most settings that
# part is larger than steps of random length would give ([exercise 29](a4_exercises.ipynb)). Its way is the more direct
# one only at 7.5 where captions say everything (2.1 against 2.5). Where they say the subject alone it is the longer one
# (at 7.5 2.7 against 2.3).
#
# We can only guess why: a better model may keep to objects that exist and change quickly from one to the other, where a
# small one blends through shapes that are neither. Which of the two is more coherent? The paper does not define the
# word.

# %% [markdown]
# ## Does rescaled guidance help?
#
# The same difference, pair by pair, between rescaled guidance and plain guidance as strong. Above zero rescaled
# guidance is better.

# %% tags=["remove-input"]
calmed = {level: scrubber.rescaled_against_plain(part, measures, store) for level, part in by_level.items()}
Markdown(
    "\n\n".join(f"Where {title(level)}:\n\n{tables.table(one)}" for level, one in calmed.items() if len(one))
    or "No rescaled guidance is asked for."
)

# %% [markdown] tags=["recorded"]
# Little: as many pictures are readable, the detector is slightly less sure of what it sees in most settings, and where
# captions say everything the way of the smaller models gets a little more direct. The colours that strong guidance
# burns (look at the smallest model above) stay burnt.

# %% [markdown]
# ## Limits
#
# Each size was trained once. The one detector knows no mixed objects. The text tower knows some hundred words, so there
# may be less between two of its embeddings than between two of CLIP's, which the paper uses.
#
# ## Try it
#
# `make notebook N=09_interpolation ARGS="-p levels some -p guidance 1.5,3 -p frames 21 -p shown 3"`
#
# **Exercise.** Halfway between two captions, is there more often a mix or more often one of the two? Count it in the
# pictures above, then by *readable* at three frames (`-p frames 3`).
# Others, with answers: [28 to 30](a4_exercises.ipynb).
