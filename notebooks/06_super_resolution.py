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
# **In short.** Two sizes are finetuned so far, c = 8 and 16. By KID and by the distance to the true picture the larger
# is better at equal compute, once it has had a quarter of its finetuning, and at every sampling cost that pays for four
# of its steps: F2 holds by these two of three metrics, and F5 fails. Degraded as published, its pictures are far better
# than bicubic enlargement by both. Steps do not pay: of 4 to 250 four are best, the fewest that we drew. And diffusion
# hardly pays. Where pictures were only made smaller, a regression with half the finetuning, which takes one step, is
# better by everything. Degraded as published, more of the regression's pictures show their subject (73 %; those of c =
# 16 in four steps 68 %, bicubic enlargements 63 %), and c = 16 in four steps is ahead of it by FD, and by KID to
# decoded scenes.

# %% [markdown]
# **The question.** A pretrained model is finetuned to restore small pictures at four times their size. Can more
# finetuning make up for a smaller size? And when steps are few, is a smaller model the better one here, too? Here the
# degraded picture takes the caption's place: it says what is to be drawn, and the more is lost of it, the more it
# leaves open.
#
# **What the paper saw** (sections 3.2 and 3.5). The FID of restored pictures follows the model's size more than the
# compute of finetuning: small models never catch up (Figs. 4, 5 and 18). The Inception Score agrees (Fig. 17). LPIPS,
# the distance of each picture from the true one, follows the compute instead. At equal sampling cost smaller models win
# with 4 to 20 steps, and larger ones with more (Fig. 12). The paper uses no guidance here.
#
# **What we run.** Every size is first trained on at 64 pixels, with captions, since the study knows only 32, and learns
# to predict *v* there (by *eps*, colours drift: [the log](../book/log.md)). Then it is finetuned to restore scenes of
# 64 pixels from 16. Every other picture is *degraded as published*, by the blur, resizing, noise and JPEG of
# Real-ESRGAN, each applied twice {cite}`wang2021realesrgan`; the others are *made smaller*, and that is all. One model
# restores both, so how much is lost is an axis of the charts and costs no training. The network sees the noisy latents,
# and beside them the latents of the degraded picture, enlarged by bicubic interpolation. The caption is empty. Every
# size restores the same pictures from the same noise. We add two controls, for one size and half of the finetuning.
# *Scratch* is the same training from fresh parameters. The *regression* is the same network asked once, for the mean of
# all answers.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
sizes = []  # base filter counts c; none: the profile's family
lengths = []  # images of finetuning; none: all that ldm.tasks.superres_recipe.lengths keeps
steps = []  # DDIM steps after the longest finetuning; none: all of ldm.study.superres_grid.STEPS
strengths = ["published", "mild"]  # of the degradation
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
from ldm.figures import divider, enlarge, paper_sizes, protocol, samples
from ldm.figures import superres as restored
from ldm.figures.pictures import picture_grid
from ldm.figures.record import record, record_best, record_verdicts
from ldm.paths import ROOT
from ldm.statistics import superres as verdicts
from ldm.study import findings, superres_grid
from ldm.study import superres as superres_study
from ldm.study.recompute import agreement
from ldm.study.results import Store
from ldm.study.run import at_hand, run
from ldm.tasks import pairs, superres, superres_recipe, upscale

chosen = profiles.downstream(profiles.get(profile))
smoke = chosen.name == "smoke"
own, table = upscale.read(ROOT / image) if image else None, plan("ddim", upscale_steps, chosen.spacing)
control = superres_grid.CONTROL if superres_grid.CONTROL in chosen.family else chosen.family[0]
by = upscale_c or (chosen.family[0] if smoke else control)
restorer = superres.restorer(chosen, by, chosen.finetuned, file=upscale_model and ROOT / upscale_model)
sizes, n = sizes or list(chosen.family), n or superres_grid.pictures(chosen)
lengths = lengths or list(superres_recipe.lengths(chosen))[-1 if smoke else 0 :]
steps = steps or list((*chosen.steps, superres_grid.USUAL) if smoke else superres_grid.STEPS)
last = max(lengths)
store, evaluator = Store(ROOT), superres_study.SuperResolutionEvaluator(chosen)
without_model = superres_grid.baselines_grid(chosen, control, strengths, n=n)
grids = (
    [cell for cell in without_model if not smoke or cell.kind in superres_grid.GIVEN],
    superres_grid.finetuning_grid(chosen, sizes, lengths, strengths, n=n),
    superres_grid.steps_grid(chosen, sizes, steps, strengths, images=last, n=n),
)
here = set(at_hand([cell for grid in grids for cell in grid], store=store, evaluator=evaluator))
controls, by_length, by_steps = ([cell for cell in grid if cell in here] for grid in grids)

# %% tags=["remove-cell"]
usual = [*controls, *(cell for cell in by_length if cell.images == last)]
quick = [cell for cell in by_steps if cell.steps == min(steps)]  # by which more steps are judged
rows = run(dict.fromkeys([*usual, *by_length, *by_steps]), store=store, evaluator=evaluator, title="super-resolution")
finetuned, sampled, compared = (
    rows[rows["key"].isin([evaluator.key(c) for c in cells])] for cells in (by_length, by_steps, [*usual, *quick])
)
given = rows[rows["task"].isin(superres_grid.GIVEN)]
published = [rows[rows["level"] == "published"] for rows in (finetuned, sampled)]

# %% [markdown]
# ## Look at them
#
# These are the first validation scenes, none chosen, degraded as published. Compare the degraded picture with each way
# to restore it. Models draw in 50 steps, as in the paper, after the longest finetuning; the controls, and what is
# marked *half as long*, have had half of it, and a regression takes one step. Drag the divider, or move it with the
# arrow keys. The menus choose what lies on each side.

# %% tags=["remove-input"]
worst = next(s for s in superres_grid.STRENGTHS if s in strengths)
shown = [cell for cell in usual if cell.kind in superres_grid.FLOORS or cell.strength == worst]
low = pairs.scenes(chosen, "val", superres_study.STRIP, worst).low(range(superres_study.STRIP))
ways = {
    "degraded": low.repeat(4, 1).repeat(4, 2),
    **{restored.way(cell.kind, cell.c, cell.images, last): samples.kept(store, evaluator.key(cell)) for cell in shown},
}
divider.divider(ways, [f"scene {i}" for i in range(len(low))], left="bicubic", right=list(ways)[-1])

# %% [markdown]
# Three of them side by side, degraded as published and made smaller alone:

# %% tags=["remove-input"]
beside = [cell for cell in usual if cell.kind in ("true", "bicubic", "superres") and cell.images in (0, last)]
by_strength = {s: [cell for cell in beside if cell.kind == "true" or cell.strength == s] for s in strengths}
strips = [np.stack([samples.kept(store, evaluator.key(cell))[:3] for cell in of]) for of in by_strength.values()]
picture_grid(
    np.concatenate(strips, axis=1),
    [restored.way(cell.kind, cell.c, cell.images, last) for cell in by_strength[worst]],
    [f"{s}, scene {i}" for s in strengths for i in range(3)],
    width=88,
)

# %% [markdown]
# ## Does a picture still show its subject?
#
# The detector looks at every picture. In how many does it name what the scene shows? *True* are the scenes themselves,
# and *autoencoder* what it shows of them, which hardly any latent model can surpass. Models draw in 50 steps, as in the
# paper, unless their name says another number, the fewest (below). Beside it stands how far each set of pictures is
# from real scenes (KID), and how far each picture from the true one (LPIPS, but on the features of EfficientNet:
# [metrics](../book/metrics.md)).

# %% tags=["remove-input"]
restored.at_each_strength(compared, lambda part: restored.values_table(part, ["subject", "kid_effnet", "lpips_effnet"]))

# %% [markdown]
# ## What has been gained?
#
# The table says how much better each way is than bicubic enlargement alone, in the metric's own unit. Above zero it is
# better. Bold marks an interval, paired picture by picture, that leaves out zero. PSNR and SSIM
# [measure](../book/glossary.md) how near a picture is to the true one.

# %% tags=["remove-input"]
judged = list(dict.fromkeys([metric, "kid_effnet_decoded", "fd_effnet_decoded", "fd_effnet", "lpips_effnet", "psnr"]))
restored.at_each_strength(compared, lambda part: restored.gains_table(part, judged, store.influences, over="bicubic"))

# %% [markdown]
# The second table compares with the regression. It has the same network, and learnt for as long as the one marked *half
# as long*. But it answers once, with the mean of all pictures that are possible. Pixel by pixel a mean is the nearest
# answer, yet it looks like no picture {cite}`blau2018perception`. So one would expect diffusion to lose by PSNR, and to
# win by the distances of sets.

# %% tags=["remove-input"]
regression = "superres-regression"
(
    restored.at_each_strength(
        compared, lambda part: restored.gains_table(part, judged, store.influences, over=regression)
    )
    if regression in set(compared["task"])
    else Markdown("The regression is not among these rows.")
)

# %% [markdown] tags=["recorded"]
# By PSNR it loses, as expected. By sets it depends on the steps and on the distance. Of pictures degraded as published,
# c = 16 is better by both distances to decoded scenes, in 50 steps and in four. To real scenes it is better by FD in
# four alone, by 9.8 [6.7, 12.8]; by KID it is worse in 50 and level in four (+4.5 [-4.7, 13.7]). To the true picture it
# is hardly nearer in four. Made smaller alone, the regression is better by all of these.
#
# Why do more steps make pictures worse? Our guess is that steps commit to details, which networks that are not yet
# fully finetuned guess badly.
#
# *Scratch* shows what pretraining was good for: where much was lost, KID is 318 without it, and 261 with it. Where
# pictures were only made smaller, KID is 171 and 163, and the model from fresh parameters is nearer to the true
# picture.

# %% [markdown]
# ## Quality against the compute of finetuning
#
# The charts show every size at every length of finetuning, in 50 steps. Compute is normalised cost times images, as in
# the paper's Fig. 4. If size decided (F2), the curves would be flat, one below the other. If compute decided, they
# would fall on one line. If both count, they fall and lie apart. Dashed lines are bicubic enlargement and the
# autoencoder. First KID, then the distance to the true picture:

# %% tags=["remove-input"]
restored.by_compute(finetuned, given, metric)

# %% tags=["remove-input"]
restored.by_compute(finetuned, given, "lpips_effnet")

# %% [markdown]
# And by the formula of the Inception Score. It is high if a network is sure of each picture's class, and the set shows
# many classes (the paper's Fig. 17). Do not trust it here: these classes are ImageNet's, and the true scenes get less
# by it than many blurred pictures do.

# %% tags=["remove-input"]
restored.by_compute(finetuned, given, "is_effnet")

# %% tags=["remove-input"]
measured = list(dict.fromkeys([metric, *findings.RESTORED]))
Markdown(
    protocol.folded(rows[rows["metric"].isin(measured)], {}, f"make notebook N=06_super_resolution PROFILE={profile}")
)

# %% [markdown]
# Has finetuning come to its end? By how much the last doubling of its length still helped:

# %% tags=["remove-input"]
(
    restored.at_each_strength(
        finetuned, lambda part: restored.settled(part, [metric, "lpips_effnet"], store.influences)
    )
    if len(lengths) > 1
    else Markdown("There is one length alone.")
)

# %% [markdown]
# Pictures of each size (rows) after each length of finetuning (columns), degraded as published:

# %% tags=["remove-input"]
of_worst = lambda cells: [cell for cell in cells if cell.strength == worst]
samples.sample_table(store, evaluator, of_worst(by_length), "c", "images", shown=(1,))

# %% [markdown]
# ## Quality against sampling cost
#
# These charts show 4 to 250 steps after the longest finetuning (the paper's Fig. 12). Does a curve fall at all as its
# steps grow, from left to right? First KID, then the distance to the true picture:

# %% tags=["remove-input"]
restored.by_cost(sampled, given, metric)

# %% tags=["remove-input"]
restored.by_cost(sampled, given, "lpips_effnet")

# %% [markdown]
# How many steps are enough, of those that were drawn? *Loss* is how much worse they look than the best step count:

# %% tags=["remove-input"]
restored.at_each_strength(sampled, lambda part: restored.enough_steps(part, metric, store.influences))

# %% [markdown]
# Which size is best at each budget? The next charts compare the best smaller size with the largest, as the chapter on
# [sampling](04_sampling.ipynb) does. Above zero a smaller size is better:

# %% tags=["remove-input"]
display(*restored.contests(sampled, metric, store.influences))

# %% [markdown]
# The same two scenes by size and steps, degraded as published:

# %% tags=["remove-input"]
samples.sample_table(store, evaluator, of_worst(by_steps), "c", "steps", shown=(1, 3))

# %% [markdown]
# ## Verdicts
#
# All are asked of pictures that were degraded as published, as in the paper ([the rules](../book/protocol.md)). F2 is
# asked twice. Within equal compute of finetuning, the largest size is compared with the best smaller one. By the paper
# the largest should be better by KID and by the formula of the Inception Score, which ask how real pictures look, and
# not by the distance to the true picture. KID is to decoded scenes here, the best that the autoencoder can show.

# %% tags=["remove-input"]
equal, text = findings.asked(verdicts.f2, published[0], store, findings.RESTORED)
Markdown(text)

# %% [markdown]
# And each size after its longest finetuning:

# %% tags=["remove-input"]
at_end, text = findings.asked(verdicts.f2, published[0], store, findings.RESTORED, at_end=True)
Markdown(text)

# %% [markdown]
# F5: up to 20 steps of the largest size a smaller one is better at equal cost, and beyond them the largest. (The effect
# is nought where the same step counts are best whatever the budget.)

# %% tags=["remove-input"]
f5, text = findings.asked(verdicts.f5, published[1], store, findings.RESTORED)
Markdown(text)

# %% tags=["remove-input"]
display(*paper_sizes.shown("F2", store, metric), *paper_sizes.shown("F5", store, metric))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
names = {"F2, equal compute": equal, "F2, at the end": at_end, "F5": f5}
record("super-resolution", {name: {v.metric: v.answer for v in found} for name, found in names.items()})
record_verdicts([*equal, *at_end, *f5])
record_best(published[1], metric)

# %% [markdown]
# ## The record, recomputed
#
# Of cells with at most 20 steps, and of the models that ship:

# %% tags=["remove-input"]
cheap = [cell for cell in dict.fromkeys([*usual, *by_length, *by_steps]) if 0 < cell.steps <= 20]
Markdown(agreement(cheap, recompute, store=store, evaluator=evaluator))

# %% [markdown]
# ## A photograph
#
# What does a model that has seen scenes alone make of a photograph? The photograph was made smaller and no more, and is
# enlarged in overlapping tiles of the size that the network learnt (`ldm/tasks/upscale.py`). The result is worse than
# bicubic enlargement. It has the photograph's outlines, and fills them with what scenes are made of: their few colours,
# dots, stripes, petals. Fur, wood and faces it has never seen. That is what a prior does when it is the wrong one.
# `make notebook N=06_super_resolution ARGS="-p image my/picture.jpg"` enlarges your own picture of at most a million
# pixels (or `python -m ldm upscale my/picture.jpg`). For photographs, finetune on a folder of yours (below).

# %% tags=["remove-input"]
given_ones = [("your own", own, None)] if image else [(path.stem, *enlarge.example(path)) for path in enlarge.EXAMPLES]
enlarged = [enlarge.enlarged(small, restorer, table, name=name, true=true) for name, small, true in given_ones]
display(*(shown for shown, _ in enlarged))

# %% tags=["remove-input"]
Markdown(
    "\n".join(
        f"- {name}: `{path.relative_to(ROOT)}`" for (name, *_), (_, path) in zip(given_ones, enlarged, strict=True)
    )
)

# %% [markdown]
# ## Limits
#
# These are scenes of 64 pixels, not photographs. Their edges are sharp and their surfaces flat, which is easier to
# guess than fur. Each size was trained once, and intervals are over pictures, so they leave out what other trainings
# would have done. Hardly any restored picture can be better than the autoencoder's copy of the true one. What the
# autoencoder loses of the degraded picture, the network never sees. Finetuning has not come to its end: its last
# doubling still gained about 4 % of KID as published, and 6 to 11 % where pictures were only made smaller
# ([log](../book/log.md)).
#
# ## Try it
#
# `make notebook N=06_super_resolution ARGS="-p sizes 8,16 -p steps 2,4,8"`: only what is new is run. On pictures of
# your own, as DIV2K is published (a folder of PNG or JPEG files):
#
# ```sh
# python -m ldm superres --c 8 --folder my/pictures     # says where the model lies
# python -m ldm upscale my/picture.jpg --model runs/pictures-.../open/superres-v-64-c8-128k-s0.safetensors
# ```
#
# **Exercise.** The regression asks c = 16 once. How many steps of c = 8 does that pay for
# (`ldm.networks.cost.norm_cost`, on latents of 16 x 16)? The fewest that were drawn are four: take those. Which of the
# two would you choose by PSNR, which by the distance to the true picture, and which with your own eyes under the
# divider?
#
# Others, with answers: [19 to 21](a4_exercises.ipynb).
