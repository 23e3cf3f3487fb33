# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why should I believe this number?

# %% [markdown] tags=["recorded"]
# **In short.** Trust a finding most where the distance on EfficientNet and the one on the scene network agree. The
# scene network hardly sees noise and a light blur. EfficientNet sees wrong colours, but counts them little. Neither
# sees wrong captions.

# %% [markdown]
# **The question.** Every verdict of this book rests on a few numbers about sets of pictures. What do these numbers see,
# what do they miss, and how many pictures do they need?
#
# **What is known.** FID is a [Fréchet distance](../book/metrics.md) of Inception's features. It grows with blur, noise
# and swirls (Heusel et al. 2017, Fig. 3). It also grows with fewer pictures, by a bias that depends on the generator
# (Chong and Forsyth 2020). Under some distortions FID falls although people see that the pictures get worse. CMMD, a
# kernel distance of CLIP features, does not fall (Jayasumana et al. 2024). Precision and recall, density and coverage
# distinguish bad pictures from missing ones (Kynkäänniemi et al. 2019, Naeem et al. 2020).
#
# **What we run.** We disturb real scenes by known amounts, and give them to every metric as if a model had drawn them.
# The networks are those of this book: EfficientNet-Lite0, trained on ImageNet, and the scene network, which also names
# what a picture shows (*the detector*). The published weights of Inception and CLIP do not ship. So our distances are
# *like* FID and CMMD, on other features. The unit is the largest trained model, c = 32, drawn in eight steps at
# guidance 2 from captions that say everything. Here the real scenes are those *before* the autoencoder, as usual
# elsewhere. So most of the unit on EfficientNet is what the autoencoder loses: 53 of a KID of 76. The verdicts compare
# with decoded scenes, where this model's KID is 8.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
disturbances = ["blur", "noise", "jpeg", "hue", "averaged", "subject", "caption", "dropped", "repeated", "memorised"]
counts = []  # numbers of pictures, of 16 and more; none: a quarter of the profile's n to four times as many
metrics = ["kid_effnet", "fd_effnet", "fd_scene", "coverage", "alignment"]  # of ldm.metrics.catalogue.METRICS
picture = 3  # number of the scene that is shown

# %% tags=["remove-cell"]
from IPython.display import Markdown

from ldm import profiles
from ldm.data.scenes.disturbances import DISTURBANCES
from ldm.figures import protocol, tables
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
# Some disturbances change pixels: blur, noise, JPEG, a turn of the colours, and a share of the average of 32 scenes
# with the same subject, which is what a model draws that has not decided. Strength 1 is faint, strength 4 ruins the
# picture:

# %% tags=["remove-input"]
pixels = [name for name in disturbances if DISTURBANCES[name].records is None] or ["blur"]
picture_grid(
    probes.shown(chosen.scenes, pixels, picture),
    [DISTURBANCES[name].title for name in pixels],
    ["real", "1", "2", "3", "4"],
    corner="strength",
    width=96,
)

# %% [markdown]
# Others leave each picture as good as it was, and change the set:
#
# - *wrong subject*: in a share of the pictures the first object is not that of the caption;
# - *wrong caption*: in a share of the pairs picture and caption do not belong together;
# - *subjects never drawn*: a share of the subjects is missing;
# - *repeats*: a share of the pictures repeats the one before;
# - *training pictures*: a share of the pictures are training scenes, as if a model had learnt them by heart.
#
# ## How far each metric moves
#
# The unit is the model. At 1 (dashed) a metric rates the disturbance as much worse than real pictures as it rates the
# largest model. At 0 it does not see the disturbance. Each kind begins with its weakest strength on the left. Point at
# a metric in the legend to follow it.

# %% tags=["remove-input"]
sensitivity_charts.in_gaps(moved, metrics)

# %% tags=["remove-input"]
Markdown(sensitivity_charts.in_words(moved, metrics))

# %% tags=["remove-input"]
Markdown(
    protocol.folded(
        rows[rows["metric"].isin(metrics)], evaluator.protocols, f"make notebook N=a1_metrics PROFILE={profile}"
    )
)

# %% [markdown]
# ## How many pictures does it take?
#
# The table gives the fewest pictures at which a metric tells a disturbance from real pictures: there, and at every
# larger count, the interval of the difference lies above 0. Each line names its strengths, from weak to strong, and
# each cell has a number for each. A "-" means that the largest count is not enough.

# %% tags=["remove-input"]
Markdown(tables.table(sensitivity.fewest(moved, metrics).rename_axis("disturbance"), what="Fewest pictures"))

# %% [markdown]
# No number of pictures shows that a model learnt them by heart, because training scenes *are* real pictures. Only
# captions that were never trained on can distinguish a perfect model from a perfect memory. In this world, which is
# small, most captions that are drawn also occur in training, with other pictures ([exercise](a4_exercises.ipynb) 5).
#
# ## Where rankings part
#
# Each distance puts all disturbances in an order. The table compares its order with that of KID-EfficientNet, by
# Kendall's rank correlation with its 95 % interval: 1 is the same order, 0 is no relation. Other disturbances would
# give other numbers.

# %% tags=["remove-input"]
others = [name for name in sensitivity.DISTANCES if name != "kid_effnet"]
order = sensitivity.orders(moved, "kid_effnet", others)
Markdown(tables.table(order.rename(columns={"value": "rank correlation"}), digits=2, what="Orders"))

# %% [markdown]
# Which pairs do they disagree about? In each line KID-EfficientNet surely rates the left disturbance as worse, and the
# other distance surely the right one. The last column gives the smaller of the two differences in standard errors.

# %% tags=["remove-input"]
Markdown(
    "\n\n".join(
        sensitivity_charts.parted_in_words(moved, "kid_effnet", other)
        for other in ("fd_effnet", "mmd_effnet", "fd_scene")
    )
)

# %% [markdown]
# Does a distance ever fall while a disturbance grows, as FID was seen to do? To real scenes:

# %% tags=["remove-input"]
Markdown(sensitivity_charts.falls(moved, sensitivity.DISTANCES))

# %% [markdown]
# ## Few pictures
#
# A Fréchet distance of few pictures is too large, even for real pictures. One can draw a line through its values at
# all, at half and at a quarter of the pictures, and read it at infinitely many. That is better, but not good where
# these parts are small. KID keeps its value, and its interval shrinks. So compare Fréchet distances only at equal n.
# (Repeats are a share of the pictures here: among more pictures more are different.)

# %% tags=["remove-input"]
sensitivity_charts.by_count(rows, [("noise", 3.0), ("repeated", 0.75)], ("kid_effnet", "fd_effnet", "fdinf_effnet"))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("fewest", sensitivity.fewest(moved, metrics).to_dict())

# %% [markdown] tags=["recorded"]
# ## What to take from it
#
# - *A distance on EfficientNet sees what no eye sees.* Noise that is hardly visible, or a good JPEG, costs most of what
#   autoencoder and model cost together, wrong colours at most a third. The scene network is the opposite: it is nearly
#   blind to noise and to a light blur, rates colours that are turned by 15 degrees about as badly as the model, and
#   those turned by 45 degrees about twelve times as badly as the model. Trust a finding of this book most where both
#   agree.
# - *Averages.* What a model draws that has not decided is soft, and alike for all pictures of a subject. In units of
#   the model, averages move FD-scene five to sixteen times as much as the distances on EfficientNet. But most of that
#   unit on EfficientNet is the autoencoder's (53 of KID's 76). Beside decoded scenes, as the verdicts compare, KID's
#   unit is nine times smaller and FD-scene's the same, and the two see averages about alike: a quarter of an average
#   moves KID by 3.0 and FD-scene by 1.4 times the model's distance, a half both by 11.
# - *Captions need a metric of their own.* Wrong captions cannot move a distance, since no picture changes. Wrong
#   subjects hardly move one.
# - *Diversity.* A quarter of the subjects missing costs more than the whole model by FD-scene, and 7 to 21 % of it on
#   EfficientNet's features. On those repeats weigh more in the Fréchet distance than in KID, and moderate shares of
#   repeats weigh still more in coverage. A part of this is the bias of the Fréchet distance, since repeats leave fewer
#   different pictures.
# - *Like FID and like CMMD.* On EfficientNet's features the Gaussian kernel ranks nearly as KID's cubic kernel does,
#   and a Fréchet distance differs in how it rates diversity. Another *network* changes the ranking most. So where CMMD
#   contradicts FID, we would look at CLIP's features first. The published cases in which FID falls are of other kinds
#   (disturbed latents of a tokenizer, the steps of an iterative model). Of distances to real scenes we found none. A
#   distance to *decoded* scenes does fall where a light blur or a JPEG makes real pictures more like decoded ones
#   (KID-EfficientNet from 53 to 29 at quality 95): it is made for pictures that a decoder has drawn.

# %% [markdown]
# ## Limits
#
# A model makes several mistakes at once; we disturb one thing at a time. The disturbed pictures and the real ones are
# of the same scenes. The intervals do not use that, so they are rather too wide. The intervals of *repeats* are too
# narrow, because they count each repeat as a picture of its own. The networks see small pictures enlarged. Of one scene
# in 4,096 no other subject was both visible on its background and allowed in its split; it got one that is not.
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
# `make notebook N=a1_metrics ARGS="-p metrics kid_effnet,mmd_scene,recall -p picture 5"` shows other metrics. The rows
# hold all distances of both networks, and the shares of the detector.
#
# **Exercise.** Captions ask for all subjects, and your model draws perfect owls. Which two lines of the table describe
# that, and which column finds it out with the fewest pictures? Which metric would somebody show you who wants to sell
# that model?
#
# Others, with answers: [43 to 45](a4_exercises.ipynb).
