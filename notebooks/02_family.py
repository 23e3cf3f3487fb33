# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The family: one number sets the size
#
# **In short.** One number, the base filter count *c*, sets a network's size. Twice *c* makes nearly four times the
# parameters, and about three times the arithmetic of an evaluation.
#
# **The question.** What is a size, and what does it cost?
#
# **What the paper has.** Stable Diffusion's UNet, eleven times; only the base filter count $c$ changes. Channels are
# $(c, 2c, 4c, 4c)$, two residual blocks a level, attention to the text on the first three levels.
#
# **What we run.** We count Table 1 again. Then we continue the family downwards by the same rule, until it trains on
# two cores.

# %% tags=["parameters"]
profile = "laptop-eps"  # smoke | laptop-eps | gpu-eps | tpu, or another of ldm/profiles.py
sizes = []  # base filter counts, multiples of 8; none: the profile's family

# %% tags=["remove-cell"]
import jax
from IPython.display import HTML, Markdown

from ldm import profiles
from ldm.figures import plots, tables
from ldm.figures.record import record
from ldm.networks import cost
from ldm.networks import family as family_networks
from ldm.networks.sizes import params
from ldm.tasks.pretrain import network

chosen = profiles.get(profile)
sizes = sizes or list(chosen.family)

# %% [markdown]
# ## The paper's Table 1, counted again
#
# We count the parameters by building each network without its memory, and check them against a count layer by layer.
# GFLOPs are billions of floating-point operations of one forward pass, on 64 x 64 x 4 latents with 77 text tokens. The
# columns *printed* are the paper's. One printed figure is far from the count: find it in the chart.

# %% tags=["remove-input"]
table = family_networks.table1()
HTML(tables.table1(table))

# %% tags=["remove-input"]
plots.table1_chart(table)

# %% tags=["remove-input"]
Markdown("**An erratum.** " + family_networks.erratum() + " See [errata](../book/errata.md).")

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
counted = {int(c): int(cost.unet_params(int(c))) for c in table["c"]}
record("table1_params", counted)

# %% [markdown]
# ## Our own family
#
# The same networks on our latents of 8 x 8 x 4, with 24 words of width 128. So c = 64 has other numbers than above. The
# unit of cost is c = 320 on such latents. The [glossary](../book/glossary.md) says which of these sizes are trained so
# far.

# %% tags=["remove-input"]
family = family_networks.family_table(
    sizes, chosen.latent_shape[0], chosen.tokens, chosen.context, network=chosen.network
)
Markdown(tables.family(family))

# %% tags=["remove-cell"]
# NBVAL_CHECK_OUTPUT
for c in sizes:
    shapes = jax.eval_shape(lambda c=c: network(chosen, c)[1])
    built = sum(leaf.size for leaf in shapes.values())
    if built != (count := params(chosen.network, c, chosen.context)):
        raise ValueError(f"c = {c}: the network has {built} parameters, the count says {count}.")
record("family_params", {c: params(chosen.network, c, chosen.context) for c in sizes})

# %% tags=["remove-input"]
spread = family["gflops"].max() / family["gflops"].min()
Markdown(
    f"The largest size takes {spread:.0f} times the FLOPs of the smallest. The paper's family spans a factor of"
    f" {table['gflops'].max() / table['gflops'].min():.0f}. Below c = 64 Stable Diffusion's rule would give groups and"
    " heads of a single channel. So we take min(32, c/2) groups and min(8, c/8) heads, which is the same rule from"
    " c = 64 up."
)

# %% [markdown]
# ## What a picture costs
#
# The cost grows a little slower than $c^2$: twice the filters are about three times the work where $c$ is small, and
# three and a half times where it is large. The paper measures the cost of a picture as *normalised cost x steps*,
# where *normalised* means relative to c = 320. [Guidance](a0_primer.ipynb) doubles the number of network evaluations
# (NFE) for every model alike, and the paper does not count it. We record the evaluations beside the cost in every row,
# and [sampling](04_sampling.ipynb) asks what changes if they are counted.
# FLOPs are not seconds: see [how fast](a2_speed.ipynb).
#
# ## Try it
#
# `make notebook N=02_family ARGS="-p sizes 8,48,128"` prints any sizes, of any multiple of 8.
#
# **Exercise.** Parameters are $8202\,c^2 + (78\,d + 1459)\,c + 4$, with $d$ the width of the text embedding. For
# which $c$ does the text's share fall below one per cent, for $d = 1024$?
#
# Others, with answers: [7 to 9](a4_exercises.ipynb).
