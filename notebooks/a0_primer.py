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
# This page shows the whole method as a diagram, then three figures that the code of this book computes. If you want the
# code itself, go on to [one pass through it](../book/how-it-works.md).

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
c = 0  # base filter count; 0: the second size of the profile's family
steps = 10  # of DDIM
guidance = 2.0
shown = [1, 6, 9]  # of the validation captions

# %% tags=["remove-cell"]
import numpy as np
from IPython.display import HTML

from ldm import profiles
from ldm.data.scenes.captions import caption
from ldm.data.scenes.dataset import Scenes
from ldm.diffusion.schedule import Schedule
from ldm.figures import diagram, primer
from ldm.figures.pictures import picture_grid
from ldm.figures.record import record
from ldm.tasks import pretrain
from ldm.tasks.generate import Generator

chosen = profiles.get(profile)
c, schedule = c or chosen.family[1], Schedule.sd()
structure, params = pretrain.load_pretrained(chosen, c, chosen.length)
codec, text = pretrain.frozen_networks(chosen)
generator = Generator(profile=chosen, structure=structure, params=params, codec=codec, text=text)
data = Scenes(chosen.scenes, "val", max(shown) + 1)
scenes = [data.scene(i) for i in shown]

# %% [markdown]
# ## The whole method
#
# Follow a caption from the top to the judged picture. In each box the title leads to the chapter that studies it, and
# the name at the right to that piece of the code.

# %% tags=["remove-input"]
HTML(diagram.method())

# %% [markdown]
# ## Noise
#
# An autoencoder first makes a picture small: it turns the pixels into *latents*, a coarser picture with four channels,
# and can turn them back. Everything below happens to latents $x_0$.
#
# Training mixes them with noise $\epsilon$. The *time* $t$ says how much:
#
# $$x_t = \alpha_t\, x_0 + \sigma_t\, \epsilon, \qquad \alpha_t^2 + \sigma_t^2 = 1.$$
#
# At $t = 0$ there is almost only picture, at $t = 999$ almost only noise. The ratio of their powers is called the
# *signal-to-noise ratio*, SNR $= \alpha_t^2 / \sigma_t^2$. The dashed lines mark the times of the pictures below. Which
# pictures still show their object?

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
# Layout and colour survive longest. The network sees $x_t$, the time and the caption, and learns to guess $x_0$. With
# little noise there is hardly anything left to guess. With much noise many pictures could lie behind one $x_t$. The
# best answer is then their mean, which looks blurred.
#
# ## A picture comes about
#
# Sampling runs this backwards. It starts from pure noise, asks the network for its guess, moves a little towards it,
# and asks again. Drag from the first step to the last:

# %% tags=["remove-input"]
primer.trajectory(generator, [caption(scene) for scene in scenes], steps, guidance)

# %% [markdown]
# The first guesses are means of many pictures. As the noise goes, fewer pictures remain possible, and the guess
# settles. A step costs one pass of the network, or two with guidance. How few steps are enough, and for which size of
# network? That is the question of this book.
#
# ## Guidance
#
# A model that is asked for a cat draws something a little like a cat. *Guidance* makes it more like one. The network is
# asked twice: $y$ is its answer with the caption, $u$ its answer without. Guidance exaggerates the difference by a
# scale $w$. The guided estimate is
#
# $$u + w\,(y - u).$$
#
# The figure shows a small world in which a picture is two numbers. The data are three clouds (grey). The caption means
# the cloud on the right. Here the best denoiser is known exactly. The three arrows lead from one noisy point to the
# three estimates. The red points are where sampling ends.

# %% tags=["remove-input"]
primer.guidance_in_two_dimensions()

# %% [markdown]
# At $w = 1$ the red points lie like the cloud on the right. As $w$ grows, they move away from the other clouds, crowd
# together, and leave the data. For pictures this means: they follow the caption more surely, they look more alike, and
# in the end they look unreal. The best scale lies in between, and [it depends on the number of
# steps](04_sampling.ipynb).

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
#
# Others, with answers: [40 to 42](a4_exercises.ipynb).
