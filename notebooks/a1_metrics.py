# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why should I believe this number?
#
# **The question.** Every verdict of this book rests on a few numbers about sets of pictures. What do these numbers
# see, what do they miss, and how many pictures do they need?
#
# **What is known.** FID, a [Fréchet distance](../book/metrics.md) of Inception's features, grows with blur, noise and
# swirls (Heusel et al. 2017, Fig. 3), but also with fewer pictures, by a bias that depends on the generator (Chong and
# Forsyth 2020). Under some distortions FID falls while people see the pictures get worse, and CMMD, a kernel distance
# of CLIP features, does not (Jayasumana et al. 2024). Precision and recall, density and coverage tell bad pictures from
# missing ones (Kynkäänniemi et al. 2019, Naeem et al. 2020).
#
# **What is run here.** Real scenes are disturbed by known amounts and given to every metric as if a model had drawn
# them. The networks are those of this book, EfficientNet-Lite0 on ImageNet and the scene detector: Inception's and
# CLIP's published weights do not ship, so the distances are *like* FID and CMMD, on other features.

# %% tags=["parameters"]
profile = "laptop"  # smoke | laptop | gpu-eps | tpu, or another of ldm/profiles.py
disturbances = ["blur", "noise", "jpeg", "hue", "subject", "caption", "dropped", "repeated", "memorised"]
counts = []  # numbers of pictures, of 16 and more; none: a quarter of the profile's n to four times as many
metrics = ["kid_effnet", "fd_effnet", "fd_scene", "coverage", "alignment"]  # of ldm.metrics.catalogue.METRICS
picture = 3  # number of the scene that is shown

# %% tags=["remove-cell"]
from IPython.display import Markdown

from ldm import profiles
from ldm.data.scenes.disturbances import DISTURBANCES
from ldm.figures import protocol
from ldm.figures import sensitivity as sensitivity_charts
from ldm.figures.pictures import picture_grid
from ldm.figures.record import record
from ldm.paths import ROOT
from ldm.statistics import sensitivity
from ldm.study import probes
from ldm.study.results import Store
from ldm.study.run import run

chosen = profiles.get(profile)
cells = probes.probes_grid(chosen, disturbances, counts)
evaluator = probes.ProbeEvaluator(chosen)

# %% tags=["remove-cell"]
rows = run(cells, store=Store(ROOT), evaluator=evaluator, title="metrics")
moved = sensitivity.changes(rows)
most = int(rows["n"].max())

# %% [markdown]
# ## What is done to the pictures
#
# Pixels are blurred, made noisy, sent through JPEG, or turned in colour, from faint to ruined:

# %% tags=["remove-input"]
pixels = [name for name in disturbances if DISTURBANCES[name].pixels] or ["blur"]
picture_grid(
    probes.shown(chosen.scenes, pixels, picture),
    [DISTURBANCES[name].title for name in pixels],
    ["real", "1", "2", "3", "4"],
    corner="strength",
    width=96,
)

# %% [markdown]
# Others leave each picture as good as it was. In a share of them the first object is not the caption's (*wrong
# subject*), or picture and caption do not belong together (*wrong caption*); a share of the subjects is never drawn;
# a share of the pictures repeats the one before; or pictures are training scenes, as of a model that has learnt them
# by heart.
#
# ## How far each metric moves
#
# The unit is the model: 1 (dashed) is by how much each metric calls the pictures of the largest model worse than real
# ones; at 0 the metric does not see the disturbance. The weakest of each kind is at the left. Point at a metric to
# follow it.

# %% tags=["remove-input"]
sensitivity_charts.in_gaps(moved, metrics)

# %% tags=["remove-input"]
Markdown(sensitivity.in_words(moved, metrics))

# %% tags=["remove-input"]
Markdown(
    protocol.folded(
        rows[rows["metric"].isin(metrics)], evaluator.protocols, f"make notebook N=a1_metrics PROFILE={profile}"
    )
)

# %% [markdown]
# ## How many pictures does it take?
#
# The fewest pictures at which a metric tells a disturbance from real ones (the interval of the difference lies above
# 0, there and at every larger count), for each of the strengths in the chart, from weak to strong; "-" where the
# largest count does not suffice.

# %% tags=["remove-input"]
Markdown(sensitivity.fewest(moved, metrics).to_markdown())

# %% [markdown]
# No number of pictures shows that they were learnt by heart: training scenes *are* real pictures. Only captions that
# were never trained on tell a perfect model from a perfect memory. (Most captions that the models of this book are
# asked for are such: [exercise](a4_exercises.ipynb) 5.)
#
# ## Where rankings part
#
# All disturbances in the order in which each distance puts them, beside the order of KID-EfficientNet: Kendall's rank
# correlation (1 for the same order, 0 for no relation), with its interval; others would give another number.

# %% tags=["remove-input"]
others = [name for name in sensitivity.DISTANCES if name != "kid_effnet"]
Markdown(sensitivity.orders(moved, "kid_effnet", others).to_markdown(index=False, floatfmt=".2f"))

# %% [markdown]
# Which pairs are they? Of each pair below, KID-EfficientNet calls the left one worse and the other distance the right
# one, both surely; *z* is by how many standard errors the less sure of the two is sure.

# %% tags=["remove-input"]
Markdown(
    "\n\n".join(
        sensitivity.parted_in_words(moved, "kid_effnet", other) for other in ("fd_effnet", "mmd_effnet", "fd_scene")
    )
)

# %% [markdown]
# Does a distance ever fall while a disturbance grows, as FID was seen to do?

# %% tags=["remove-input"]
Markdown(sensitivity.falls(moved, sensitivity.DISTANCES))

# %% [markdown]
# ## Few pictures
#
# A Fréchet distance of few pictures is too large, of real ones, too; a line through its values at all, half and a
# quarter of the pictures, read at infinitely many, is better and not cured where these parts are few. KID stays where
# it is and only becomes surer. So compare Fréchet distances at equal n. (Repeats are a share of the pictures here: of
# more pictures more are different, and both distances forget the rest.)

# %% tags=["remove-input"]
sensitivity_charts.by_count(rows, [("noise", 3.0), ("repeated", 0.75)], ("kid_effnet", "fd_effnet", "fdinf_effnet"))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("fewest", sensitivity.fewest(moved, metrics).to_dict())

# %% [markdown] tags=["recorded"]
# ## What to take from it
#
# - *A distance on EfficientNet minds what no eye minds.* Noise that one hardly sees and a good JPEG cost a large part
#   of what the model costs; wrong colours cost little. The scene network is the other way round: nearly blind to noise,
#   it finds colours that are a little off worse than the whole model. A finding of this book counts where both agree.
# - *Captions need a metric of their own.* Wrong captions move no distance at all, at any n, and wrong subjects hardly.
# - *Diversity.* On EfficientNet's features repeats weigh more in the Fréchet distance than in KID, and moderate shares
#   of them still more in coverage and recall. Part of that is the Fréchet distance's bias: repeats leave fewer
#   different pictures. On the scene network's features missing subjects weigh more in KID.
# - *FID-like and CMMD-like.* Given the same features, the Gaussian kernel ranks nearly as KID's cubic one does, and a
#   Fréchet distance parts from both in what it makes of diversity. What ranks otherwise is another *network*. So if
#   CMMD contradicts FID, CLIP's features are the first thing to look at, and the kernel the last. The published cases
#   in which FID falls are of other kinds (disturbed latents of a tokenizer, the steps of an iterative model): none was
#   found here.

# %% [markdown]
# ## Limits
#
# Disturbed real pictures are no model's mistakes: those come together. Pictures of a cell and the real ones it is
# compared with are of the same scenes, which the intervals do not use, so they err towards doubt; but those of
# *repeats* count each repeat as a picture of its own and are too narrow. Small pictures are shown to the networks
# enlarged.
#
# ## With published networks
#
# With published weights on disk, the same disturbances give numbers called FID and CMMD:
#
# ```python
# from ldm import metrics
# from ldm.data.scenes.disturbances import draw
# from ldm.metrics.perceptual import clip, inception
#
# network = inception.load_inception("pt_inception-2015-12-05.safetensors")  # or clip.load_clip(...) and metrics.cmmd
# real = metrics.Gaussian.of(metrics.features_of(draw(chosen.scenes, "blur", 0.0, 10_000)[0], network))
# fake = metrics.features_of(draw(chosen.scenes, "blur", 0.5, 10_000)[0], network)
# metrics.frechet(fake, real)
# ```
#
# ## Try it
#
# `make notebook N=a1_metrics ARGS="-p metrics kid_effnet,mmd_scene,recall -p picture 5"`; other metrics
# that are in the rows: any of the two networks' distances, and the shares of the detector.
#
# **Exercise.** Your model draws owls that are perfect, and nothing else. Which line of the table finds that out with
# the fewest pictures? And which metric would you be shown by somebody who wants to sell it?
# Others, with answers: [43 to 45](a4_exercises.ipynb).
