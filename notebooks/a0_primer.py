# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How latent diffusion works, in pictures
#
# **The question.** How can a network that only removes noise draw a picture of a caption that nobody has drawn before?
# Three figures, all computed by the code of this book; drag and choose. Whoever wants the code itself goes on to
# [one pass through it](../book/how-it-works.md).

# %% tags=["parameters"]
profile = "laptop"  # smoke | laptop | gpu-eps | tpu, or another of ldm/profiles.py
c = 0  # base filter count; 0: the second size of the profile's family
steps = 10  # of DDIM
guidance = 2.0
shown = [1, 6, 9]  # of the validation captions

# %% tags=["remove-cell"]
import numpy as np

from ldm import profiles
from ldm.data.scenes.captions import caption
from ldm.data.scenes.dataset import Scenes
from ldm.diffusion.schedule import Schedule
from ldm.figures import primer
from ldm.figures.pictures import picture_grid
from ldm.figures.record import record
from ldm.tasks import pretrain
from ldm.tasks.generate import Generator

chosen = profiles.get(profile)
c, schedule = c or chosen.family[1], Schedule.sd()
structure, params = pretrain.load_unet(chosen, c, chosen.length)
codec, text = pretrain.frozen_networks(chosen)
generator = Generator(profile=chosen, structure=structure, params=params, codec=codec, text=text)
data = Scenes(chosen.scenes, "val", max(shown) + 1)
scenes = [data.scene(i) for i in shown]

# %% [markdown]
# ## Noise
#
# A picture is first made small: an autoencoder turns it into *latents*, a coarser picture of four channels, and back.
# All that follows happens to latents $x_0$.
#
# Training mixes them with noise $\epsilon$, more of it as the *time* $t$ grows:
#
# $$x_t = \alpha_t\, x_0 + \sigma_t\, \epsilon, \qquad \alpha_t^2 + \sigma_t^2 = 1.$$
#
# At $t = 0$ there is almost nothing but the picture, at $t = 999$ almost nothing but noise. What counts is the ratio of
# their powers, the *signal-to-noise ratio* SNR $= \alpha_t^2 / \sigma_t^2$. The dashed lines are the times of the
# pictures below: look at which of them still show their object.

# %% tags=["remove-input"]
times = [0, 100, 250, 400, 600, 800, 999]
primer.noise_levels(schedule, times)

# %% tags=["remove-input"]
pictures = data.images(np.array(shown))
picture_grid(
    primer.noised(generator, pictures, schedule, times),
    [caption(scene) for scene in scenes],
    [f"t = {t}" for t in times],
    width=80,
)

# %% [markdown]
# Layout and colour survive longest. A network that is shown $x_t$, the time and the caption learns to guess $x_0$:
# where there is little noise it has hardly anything to do, where there is much it can only guess what the caption says,
# blurred, since many pictures may hide behind one $x_t$. Its best answer is their mean.
#
# ## A picture comes about
#
# Sampling runs this backwards. It begins with nothing but noise, asks for the guess, moves a little towards it, and
# asks again. Drag from the first step to the last:

# %% tags=["remove-input"]
primer.trajectory(generator, [caption(scene) for scene in scenes], steps, guidance)

# %% [markdown]
# The first guesses are means of many pictures. As noise goes, fewer pictures remain possible, and the guess settles. A
# step costs one pass of the network (two, with guidance); how few of them are enough, and for which size of network, is
# what this book asks.
#
# ## Guidance
#
# A model asked for a cat draws something like a cat. To get more of one, the network is asked twice, with the caption
# and without, and the difference is exaggerated: with $u$ the answer without it, $y$ the one with it and $w$ the
# guidance scale, the guided estimate is
#
# $$u + w\,(y - u).$$
#
# Here is a world with two numbers in place of a picture: three clouds (grey), and a caption that means the one on the
# right. Its denoiser is known exactly. The three arrows leave one noisy point for the three estimates, and the red
# points are where sampling ends.

# %% tags=["remove-input"]
primer.guidance_in_two_dimensions()

# %% [markdown]
# At $w = 1$ the red points lie as the right-hand cloud does. As it grows they flee from the others, crowd together, and
# leave the data behind: a picture follows its caption more surely, all look more alike, and at last none looks real.
# Somewhere between is the best scale; [where it is, and that it depends on the steps](04_sampling.ipynb), is part of
# the answer.

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
record("snr", {t: schedule.alpha[t] ** 2 / schedule.sigma[t] ** 2 for t in times})

# %% [markdown]
# ## Try it
#
# `make notebook N=a0_primer ARGS="-p steps 4 -p guidance 6"`: fewer steps and a strong pull.
#
# **Exercise.** In the second figure, at which step can you first tell which object it will be, and at which its colour?
# Compare with the pictures of the first figure: which signal-to-noise ratio is that?
# Others, with answers: [40 to 42](a4_exercises.ipynb).
