# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Super-resolution: size, finetuning or steps?

# %% [markdown] tags=["recorded"]
# **In short.** Four steps are enough for every size, so at equal cost the largest size that affords four is best. More
# finetuning still helps every size, so compute decides before size can.

# %% [markdown]
# **The question.** A pretrained model is finetuned to restore small, blurred, noisy pictures at four times their
# size. Can more finetuning make up for a smaller size? And when steps are few, is a smaller model the better one here,
# too, where the picture to draw is all but given?
#
# **What the paper saw** (sections 3.2 and 3.5). The FID of restored pictures follows the model's size more than the
# compute of finetuning: small models never catch up (Figs. 4, 5 and 18). The Inception Score agrees (Fig. 17). LPIPS,
# the distance of each picture from the true one, follows the compute instead. At equal sampling cost smaller models win
# with 4 to 20 steps, and larger ones with more (Fig. 12). The paper uses no guidance here.
#
# **What we run.** Scenes of 64 pixels are degraded to 16 pixels and restored. They are degraded as in the paper, by the
# blur, resizing, noise and JPEG of Real-ESRGAN, each applied twice (Wang et al. 2021; `ldm/data/degrade.py`). The
# network sees the noisy latents, and beside them the latents of the degraded picture, enlarged by bicubic
# interpolation. The caption is empty. Every size restores the same pictures from the same noise. We add two controls,
# for one size and half of the finetuning. *Scratch* is the same training from fresh parameters. The *regression* is the
# same network asked once, for the mean of all answers.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
sizes = []  # base filter counts c; none: the profile's family
lengths = []  # images of finetuning; none: all that ldm.tasks.superres_recipe.LENGTHS keeps
steps = []  # DDIM steps after the longest finetuning; none: all of ldm.study.superres.STEPS
n = 0  # pictures a point; 0: half of the profile's number
metric = "kid_effnet"  # a name in ldm.metrics.catalogue.METRICS
recompute = -1  # recorded cells to run again and compare; -1: the profile's number, 0: none
image = ""  # a picture of your own to enlarge: the path of a PNG, JPEG or WebP file
upscale_c = 0  # the size that enlarges it; 0: that of the controls
upscale_model = ""  # or a model that you finetuned: the path of its file
upscale_steps = 20

# %% tags=["remove-cell"]
import numpy as np
from IPython.display import Markdown, display

from ldm import profiles
from ldm.diffusion.solvers import plan
from ldm.figures import divider, enlarge, paper_sizes, plots, protocol, samples, tables
from ldm.figures import superres as restored
from ldm.figures.pictures import picture_grid
from ldm.figures.record import record, record_best, record_verdicts
from ldm.paths import ROOT
from ldm.statistics import comparisons, downstream, optimum
from ldm.study import findings
from ldm.study import superres as superres_study
from ldm.study.recompute import agreement
from ldm.study.results import Store
from ldm.study.run import at_hand, run
from ldm.tasks import pairs, superres, superres_recipe

chosen = profiles.get(profile).downstream
smoke = chosen.name == "smoke"
small, table = enlarge.picture(image and ROOT / image, chosen), plan("ddim", upscale_steps, chosen.spacing)
control = superres_study.CONTROL if superres_study.CONTROL in chosen.family else chosen.family[0]
by = upscale_c or (chosen.family[0] if smoke else control)
restorer = superres.restorer(chosen, by, superres_recipe.LENGTHS[-1], file=upscale_model and ROOT / upscale_model)
sizes, n = sizes or list(chosen.family), n or superres_study.pictures(chosen)
lengths = lengths or list(superres_recipe.LENGTHS[-1:] if smoke else superres_recipe.LENGTHS)
steps = steps or list((*chosen.steps, superres_study.USUAL) if smoke else superres_study.STEPS)
last = max(lengths)
store, evaluator = Store(ROOT), superres_study.SuperResolutionEvaluator(chosen)
grids = (
    superres_study.baselines_grid(chosen, control, n=n)[: 1 if smoke else None],
    superres_study.finetuning_grid(chosen, sizes, lengths, n=n),
    superres_study.steps_grid(chosen, sizes, steps, images=last, n=n),
)
here = set(at_hand([cell for grid in grids for cell in grid], store=store, evaluator=evaluator))
controls, by_length, by_steps = ([cell for cell in grid if cell in here] for grid in grids)

# %% tags=["remove-cell"]
usual = [*controls, *(cell for cell in by_length if cell.images == last)]
rows = run(dict.fromkeys([*usual, *by_length, *by_steps]), store=store, evaluator=evaluator, title="super-resolution")
finetuned, sampled, compared = (
    rows[rows["key"].isin([evaluator.key(c) for c in cells])] for cells in (by_length, by_steps, usual)
)

# %% [markdown] tags=["recorded"]
# ## The answer
#
# Four steps are enough for every size, so at equal cost the best choice is the largest size that affords four. Here
# more finetuning still helps every size: by the two metrics of how real pictures look, size alone does not decide, as
# it does in the paper (F2 fails; by the two of nearness it fails in the paper, too).

# %% [markdown]
# ## Look at them
#
# These are the first validation scenes, none chosen. Compare the degraded picture with each way to restore it, in 50
# steps after the longest finetuning. Drag the divider, or move it with the arrow keys. The menus choose what lies on
# each side.

# %% tags=["remove-input"]
scenes = pairs.scenes(chosen, "val", superres_study.STRIP)
true, low = scenes.high(range(len(scenes))), scenes.low(range(len(scenes)))
ways = {
    "degraded": low.repeat(4, 1).repeat(4, 2),
    **{restored.way(cell.kind, cell.c, cell.images): samples.kept(store, evaluator.key(cell)) for cell in usual},
    "true": true,
}
divider.divider(ways, [f"scene {i}" for i in range(len(scenes))], left="bicubic", right=list(ways)[-2])

# %% [markdown]
# Three of them side by side:

# %% tags=["remove-input"]
picture_grid(np.stack(list(ways.values()))[:, :3], list(ways), [f"scene {i}" for i in range(3)], width=88)

# %% [markdown]
# ## Quality against the compute of finetuning
#
# The charts show every size at every length of finetuning, in 50 steps. Compute is normalised cost times images, as in
# the paper's Fig. 4. If size decided (F2), the curves would be flat, one below the other. If compute decided, they
# would fall on one line. First by KID:

# %% tags=["remove-input"]
plots.quality_vs_compute(finetuned, metric)

# %% [markdown]
# Then how near each one comes to the true picture, as LPIPS asks, but on the features of EfficientNet
# ([metrics](../book/metrics.md)):

# %% tags=["remove-input"]
plots.quality_vs_compute(finetuned, "lpips_effnet")

# %% [markdown]
# And by the formula of the Inception Score. It is high if a network is sure of each picture's class, and the set shows
# many classes (the paper's Fig. 17):

# %% tags=["remove-input"]
plots.quality_vs_compute(finetuned, "is_effnet")

# %% tags=["remove-input"]
measured = list(dict.fromkeys([metric, *findings.RESTORED]))
Markdown(
    protocol.folded(rows[rows["metric"].isin(measured)], {}, f"make notebook N=06_super_resolution PROFILE={profile}")
)

# %% [markdown]
# Pictures of each size (rows) after each length of finetuning (columns):

# %% tags=["remove-input"]
samples.sample_table(store, evaluator, by_length, "c", "images", shown=(1,))

# %% [markdown]
# ## What has been gained?
#
# The table says how much better each way is than bicubic enlargement alone, in the metric's own unit. Above zero it is
# better. Bold marks an interval, paired picture by picture, that leaves out zero. PSNR and SSIM
# [measure](../book/glossary.md) how near a picture is to the true one.

# %% tags=["remove-input"]
judged = list(dict.fromkeys([metric, "kid_effnet", "fd_effnet", "lpips_effnet", "psnr", "ssim"]))
Markdown(tables.table(restored.gains_table(compared, judged, store, over="bicubic")))

# %% [markdown]
# The second table compares with the regression. It has the same network, and learnt for as long as the one marked *half
# as long*. But it answers once, with the mean of all pictures that are possible. Pixel by pixel a mean is the nearest
# answer, yet it looks like no picture (Blau and Michaeli 2018). So expect diffusion to lose by PSNR what it wins by the
# distances of sets.

# %% tags=["remove-input"]
regression = "superres-regression"
Markdown(
    tables.table(restored.gains_table(compared, judged, store, over=regression))
    if regression in set(compared["task"])
    else "The regression is not among these rows."
)

# %% [markdown]
# ## Quality against sampling cost
#
# These charts show 4 to 250 steps after the longest finetuning (the paper's Fig. 12). Does a curve fall at all as its
# steps grow, from left to right? First KID, then the distance to the true picture:

# %% tags=["remove-input"]
plots.quality_vs_cost(sampled, metric)

# %% tags=["remove-input"]
plots.quality_vs_cost(sampled, "lpips_effnet")

# %% [markdown]
# How many steps are enough? *Loss* is how much worse they look than the best step count:

# %% tags=["remove-input"]
influences = store.influences(sampled, metric)
enough = optimum.enough_steps(sampled, metric, influences).drop(columns="guidance")
Markdown(tables.table(enough))

# %% [markdown]
# From which budget on is the next larger size the better one, for good? The table gives that budget with its 95 %
# interval. *Chance* is the probability that it happens within the budgets that we measured.

# %% tags=["remove-input"]
Markdown(tables.table(comparisons.takeovers(sampled, metric, influences)))

# %% [markdown]
# The same two scenes by size and steps:

# %% tags=["remove-input"]
samples.sample_table(store, evaluator, by_steps, "c", "steps", shown=(1, 3))

# %% [markdown]
# ## Verdicts
#
# F2 *holds* if size orders the models better than compute does, by rank correlation (Somers' D). By the paper it should
# hold for the first two metrics, which ask how real the pictures look. It should not hold for the last two, which ask
# how near they are to the true ones.

# %% tags=["remove-input"]
f2, text = findings.asked(downstream.f2, finetuned, store, measured)
Markdown(text)

# %% [markdown] tags=["recorded"]
# Read this with the curves above. Our longest finetuning is a twentieth of the pretraining. In the results of this book
# the curves of KID still fall at their end, for every size, so compute decides before size can. The paper does not say
# how long it finetuned. Perhaps its models were finetuned for much longer.

# %% [markdown]
# F5 makes two claims. The first: with 4 to 20 steps a smaller model is better at equal cost.

# %% tags=["remove-input"]
few, text = findings.asked(downstream.f5, sampled, store, measured, few=True)
Markdown(text)

# %% [markdown]
# The second claim: beyond 20 steps the largest model is better.

# %% tags=["remove-input"]
many, text = findings.asked(downstream.f5, sampled, store, measured, few=False)
Markdown(text)

# %% [markdown]
# At equal cost a smaller model can afford more steps. If four steps are enough for every size (see the table of steps),
# further steps are of no use, and the best choice is the largest model that can afford four. Perhaps the degraded
# picture leaves little open that more steps could settle.

# %% tags=["remove-input"]
display(*paper_sizes.shown("F2", store, metric), *paper_sizes.shown("F5", store, metric))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
names = {"F2": f2, "F5, few steps": few, "F5, many steps": many}
record("super-resolution", {name: {v.metric: v.answer for v in found} for name, found in names.items()})
record_verdicts([*f2, *few, *many])
record_best(sampled, metric)

# %% [markdown]
# ## The record, recomputed
#
# Of cells with at most 20 steps, and of the models that ship:

# %% tags=["remove-input"]
cheap = [cell for cell in dict.fromkeys([*usual, *by_length, *by_steps]) if 0 < cell.steps <= 20]
Markdown(agreement(cheap, recompute, store=store, evaluator=evaluator))

# %% [markdown]
# ## Your own picture
#
# `make notebook N=06_super_resolution ARGS="-p image my/picture.jpg"` enlarges your own picture of at most a million
# pixels, in overlapping tiles of the size that the network learnt (`ldm/tasks/upscale.py`; or `python -m ldm upscale
# my/picture.jpg`). Without one, the page shows a scene that was drawn four times as large as those the models know.
# They know scenes, not photographs. For photographs, finetune on a folder of yours (below).

# %% tags=["remove-input"]
shown, path = enlarge.enlarged(small, restorer, table, name=image or "example")
shown

# %% tags=["remove-input"]
height, width = small.shape[:2]
Markdown(f"{width} x {height} pixels became {4 * width} x {4 * height}. The picture is in `{path.relative_to(ROOT)}`.")

# %% [markdown] tags=["recorded"]
# The models of this chapter are those of the first edition: they predict $v$, and their captions say everything.

# %% [markdown]
# ## Limits
#
# These are scenes of 64 pixels, not photographs. Their edges are sharp and their surfaces flat, which is easier to
# guess than fur. Each size was trained once, with one learning rate for all. The autoencoder is that of pretraining. No
# restored picture can be better than the autoencoder's copy of the true one. What the autoencoder loses of the degraded
# picture, the network never sees.
#
# ## Try it
#
# `make notebook N=06_super_resolution ARGS="-p sizes 8,16 -p steps 4,8,16"`: only what is new is run. On pictures of
# your own, as DIV2K is published (a folder of PNG or JPEG files):
#
# ```sh
# python -m ldm superres --c 16 --folder my/pictures     # says where the model lies
# python -m ldm upscale my/picture.jpg --model runs/pictures-.../mini/superres-c16-32k-s0.safetensors
# ```
#
# **Exercise.** The regression asks c = 16 once. How many steps of c = 8 does that pay for
# (`ldm.networks.cost.norm_cost`, on latents of 16 x 16)? Which of the two would you choose by PSNR, which by the
# distance to the true picture, and which with your own eyes under the divider?
#
# Others, with answers: [19 to 21](a4_exercises.ipynb).
