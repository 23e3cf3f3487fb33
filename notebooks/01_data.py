# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The data: scenes whose captions can be checked
#
# **In short.** Scenes are composed of open emoji art by a rule that also writes their captions. So the truth about each
# picture is known, and what a model draws can be checked against its caption.
#
# **The question.** Which pictures are worth drawing, small enough for two cores, and have captions that can be
# *verified*?
#
# **What the paper has.** WebLI: 600 million pairs of picture and caption, which are not public.
#
# **What we make.** Scenes composed of open emoji art. The generator writes the caption and keeps a record of what is
# where. Picture *i* of a split is a function of *i* alone, so nothing is downloaded.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps
first = 0  # number of the first scene shown
shown = 16  # scenes shown

# %% tags=["remove-cell"]
import numpy as np
from IPython.display import Markdown

from ldm import profiles
from ldm.data.scenes.captions import max_words, words
from ldm.data.scenes.dataset import Scenes
from ldm.figures import data, tables
from ldm.figures.pictures import picture_grid, picture_strip
from ldm.figures.record import record
from ldm.metrics import pixels
from ldm.paths import ROOT
from ldm.study import real
from ldm.study.results import Store
from ldm.study.run import run
from ldm.tasks import pretrain

chosen = profiles.get(profile)
scenes = Scenes(chosen.scenes, "train", chosen.data)

# %% [markdown]
# ## The scenes, and all that can be said of them

# %% tags=["remove-input"]
picture_strip(scenes.images(range(first, first + shown)), scenes.captions(range(first, first + shown)))

# %% [markdown]
# These captions say everything. In training each part but the subject is said or left out at random, more or less often
# from caption to caption, and a tenth of the captions are empty. The chapters call this *some of it*; see [how much is
# left open](14_left_open.ipynb).

# %% [markdown]
# ## What a caption says, and what is held out

# %% tags=["remove-input"]
config = chosen.scenes
facts = data.of(config, n=2_000)
Markdown(
    f"Scenes of this profile are {config.size} x {config.size} pixels, with {config.vocabulary} kinds of "
    f"object in {len(config.styles)} styles, {len(config.kinds)} kinds of background and "
    f"{len(config.colours)} colours. Captions use {len(words(config))} different words, at most "
    f"{max_words(config)} in one. Of 2,000 scenes, {facts['pairs']:.0%} show two objects or more.\n\n"
    f"{facts['held_out_styles']:.1%} of the (object, style) combinations never occur in training; the split "
    f"`heldout` shows nothing else. Sixteen further subjects occur in no training caption at all."
)

# %% tags=["remove-input"]
held = Scenes(config, "heldout", 8)
picture_strip(held.images(range(8)), held.captions(range(8)))

# %% [markdown]
# *Held-out combinations: training has shown each part, but never the two together.* The chapters draw captions of the
# split `val`: new scenes of the same kind as those in training.
#
# ## Through the autoencoder, and back
#
# The diffusion model never sees pixels. Like Stable Diffusion, it works on latents: four numbers for each square of
# pixels. If the autoencoder blurs, every model blurs. So we first look at what the autoencoder loses: by eye, in
# decibels
# (PSNR, the peak signal-to-noise ratio), and by [the metrics](../book/metrics.md) that judge the models later.

# %% tags=["remove-input"]
codec, text = pretrain.frozen_networks(chosen)
fresh = Scenes(config, "val", chosen.n)
originals = fresh.images(range(chosen.n))
latents = codec.encode(originals)
decoded = codec.decode(latents)
picture_grid(np.stack([originals[:6], decoded[:6]]), ["scene", "decoded"], fresh.captions(range(6)))

# %% tags=["remove-input"]
cells = [cell for cell in real.real_grid(chosen) if cell.level == "all"]
rows = run(cells, store=Store(ROOT), evaluator=real.RealEvaluator(chosen), title="real scenes")
psnr = float(pixels.psnr(decoded, originals).mean())
ceiling = data.ceiling_table(rows)
Markdown(
    f"The autoencoder turns {codec.factor} x {codec.factor} pixels into one latent pixel with four channels: "
    f"{originals[0].size / latents[0].size:.0f} numbers become one. The PSNR of {chosen.n} scenes that it has not seen "
    f"is {psnr:.1f} dB.\n\n" + tables.table(ceiling, what="What the metrics say")
)

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("psnr", round(psnr, 1))

# %% [markdown]
# The column *real scenes* shows the metrics' own error: what they say of real scenes that they have not seen. In the
# rows *against decoded scenes*, by which the chapters judge, the column *through the autoencoder* shows it. In the
# other rows that column is the ceiling that the autoencoder sets, the same for every size. The distances KID and FD
# carry the name of the network whose features they compare.
#
# ## Limits
#
# Emoji are not photographs ([what that changes](../book/scaled-down.md)). No validation scene was trained on. Most
# validation captions also occur in training, with other pictures ([exercise](a4_exercises.ipynb) 5).
#
# ## Try it
#
# `make notebook N=01_data ARGS="-p first 1000 -p shown 32"` shows other scenes. Your own pictures use the same
# interface: a folder with a `metadata.csv` of `file_name,text` (`ldm.data.datasets.Folder`).
#
# **Exercise.** The captions never say *how* two objects overlap, because they never do. What would a
# detector need to be able to judge "an owl in front of a house"?
#
# Others, with answers: [4 to 6](a4_exercises.ipynb).
