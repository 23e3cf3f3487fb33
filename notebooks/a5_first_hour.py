# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The first hour: diffusion in sixty lines
#
# **The question.** What has to be written so that a network which only removes noise draws from a distribution?
#
# **The answer.** This page: all of diffusion, made of the same pieces as the whole study, at a size that trains in
# seconds. Points in the plane take the place of pictures, and three shapes take the place of captions.

# %% tags=["parameters"]
steps = 20  # of DDIM
guidance = 1.5  # 1: none
trained = 0  # training steps; 0: 3,000
profile = "laptop-eps"  # the same at every profile, but that smoke trains for a tenth

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from ldm.diffusion.denoiser import denoiser, guided
from ldm.diffusion.sampler import image_keys, initial_noise, sample
from ldm.diffusion.schedule import Schedule, preconditioning, target
from ldm.diffusion.solvers import ddim
from ldm.figures import primer
from ldm.networks.initial import KeySource
from ldm.networks.layers import Linear
from ldm.networks.structure import merge, split

# %% [markdown]
# ## The data
#
# Three shapes, each named by a *context*, as a caption names a picture. A point is a picture of one pixel with two
# channels: shape (1, 1, 2). The fourth context, the *null*, names nothing.

# %%
NAMES = ("ring", "line", "spiral")


def points(n, seed=0):
    rng = np.random.default_rng(seed)
    kind, u = rng.integers(3, size=n), rng.uniform(size=n)
    angle, radius = 2 * np.pi * u, np.where(kind == 0, 1.2, 1.5 * u)
    circle = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    x = np.where(kind[:, None] == 1, np.stack([3 * u - 1.5, 1.5 - 3 * u], 1), circle)
    return (x + 0.05 * rng.standard_normal((n, 2))).reshape(n, 1, 1, 2).astype(np.float32), kind


def contexts(kind):
    return np.eye(4, dtype=np.float32)[kind][:, None]  # (n, 1, 4): one token of four numbers


null = contexts([3])


# %% [markdown]
# ## The network
#
# It sees noisy points $x_t$, the time $t$ and the context, and predicts the noise in them.


# %%
class Tiny(nnx.Module):
    def __init__(self, keys, width=256):
        self.first = Linear(2 + 16 + 4, width, keys=keys)
        self.hidden = nnx.List([Linear(width, width, keys=keys) for _ in range(3)])
        self.last = Linear(width, 2, keys=keys)

    def __call__(self, x, t, context):
        angles = t[:, None] / 1000 * 2.0 ** jnp.arange(8)
        seen = jnp.concatenate([x.reshape(-1, 2), jnp.sin(angles), jnp.cos(angles), context[:, 0]], -1)
        h = nnx.silu(self.first(seen))
        for layer in self.hidden:
            h = h + nnx.silu(layer(h))
        return self.last(h).reshape(x.shape)


structure, params = split(Tiny(KeySource(jax.random.key(0))))

# %% [markdown]
# ## The loss
#
# Mix each point with noise at a time drawn at random, $x_t = \alpha_t x_0 + \sigma_t \epsilon$, and ask for the noise:
#
# $$\mathbb{E}_{x_0, \epsilon, t} \lVert \epsilon_\theta(x_t, t, c) - \epsilon \rVert^2$$
#
# One context in ten becomes the null, so that the network also learns to draw without being told what.

# %%
schedule = Schedule.sd()
alphas, sigmas = jnp.float32(schedule.alpha), jnp.float32(schedule.sigma)


def loss(params, x0, context, key):
    time, noise, drop = jax.random.split(key, 3)
    t = jax.random.randint(time, (len(x0),), 0, schedule.length)
    eps = jax.random.normal(noise, x0.shape)
    alpha, sigma = (a[t][:, None, None, None] for a in (alphas, sigmas))
    context = jnp.where(jax.random.bernoulli(drop, 0.1, (len(x0), 1, 1)), null, context)
    said = merge(structure, params)(alpha * x0 + sigma * eps, t, context)
    return jnp.square(said - target("eps", x0, eps, alpha, sigma)).mean()


# %% [markdown]
# ## Training
#
# Every step follows the gradient of the loss on a new batch of points.

# %%
trained = trained or (300 if profile == "smoke" else 3_000)
optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, trained))


@jax.jit
def train_step(params, state, x0, context, key):
    value, gradient = jax.value_and_grad(loss)(params, x0, context, key)
    updates, state = optimizer.update(gradient, state)
    return optax.apply_updates(params, updates), state, value


state = optimizer.init(params)
for step in range(trained):
    x0, kind = points(256, seed=step)
    params, state, value = train_step(params, state, x0, contexts(kind), jax.random.key(step))

# %% [markdown]
# ## Drawing
#
# - A *denoiser* turns the network's answer into an estimate of the clean point,
#   $\hat x_0 = c_{skip}\, x + c_{out}\, \epsilon_\theta$.
# - *Guidance* moves the estimate away from the one without a context,
#   $\hat x_0 = \hat x_0^{null} + w\,(\hat x_0^{c} - \hat x_0^{null})$.
# - A *solver* is a table. Each row says how to go from one noise level to the next: $x \leftarrow a\,x + b\,\hat x_0$.

# %%
n = 600
kind = np.arange(n) % 3
keys = image_keys(0, np.arange(n))
denoise = guided(denoiser(merge(structure, params)), jnp.repeat(null, n, 0), guidance)

plan = ddim(schedule, steps)
c_skip, c_out = preconditioning("eps", plan.alpha, plan.sigma)
x = initial_noise(keys, (1, 1, 2))
for row in range(int(plan.n)):
    t = jnp.full(n, plan.t[row], jnp.float32)
    x0 = denoise(x, t, c_skip[row], c_out[row], contexts(kind))
    x = plan.x[row] * x + plan.x0[row] * x0

# %% [markdown]
# `sample` is this loop, compiled, for every solver. It draws the same points.

# %%
nulls = np.repeat(null, n, 0)
again = sample(structure, params, plan, contexts(kind), nulls, guidance, keys, predict="eps", shape=(1, 1, 2))
assert np.allclose(x, again, atol=1e-3)

# %% tags=["remove-input"]
primer.drawn_points({"real": points(n, seed=10**6), f"drawn in {steps} steps": (x, kind)}, NAMES)

# %% [markdown]
# ## From here to pictures
#
# - Latents take the place of points: the autoencoder's coarser picture (`ldm/networks/autoencoder.py`).
# - `ldm.networks.unet.UNet` takes the place of `Tiny`. The tokens of a caption take the place of the one token
#   (`ldm/networks/text.py`).
# - The loss is `ldm.diffusion.losses.diffusion_loss`. The loop is `ldm.training.loop.fit`, with checkpoints and
#   averages.
#
# ## Try it
#
# `make notebook N=a5_first_hour ARGS="-p steps 2 -p guidance 1"` draws in two steps without guidance. Where shapes
# cross, points fall between them. `-p guidance 6` makes the lines thinner than they should be.
#
# **Exercise.** What does DDIM draw in a single step, and why is it no picture of anything?
# Answer: [18](a4_exercises.ipynb). More: [49 to 51](a4_exercises.ipynb).
