# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A page for tests
#
# Its rows are made up. A formula: $x_t = \alpha_t x_0 + \sigma_t \epsilon$.

# %% tags=["parameters"]
profile = "smoke"  # which numbers
steps = [4, 8, 16]  # sampler steps
guidance = 2.0  # guidance scale
seed = 0  # a seed
fail = False  # raise in the middle

# %% tags=["remove-input"]
import os
import sys

sys.path.insert(0, os.path.abspath(os.environ.get("LDM_TESTS", "..")))
if fail:
    raise ValueError("guidance is -1; it must not be negative, so choose 1 or more.")
import synthetic

from ldm.figures import ask, charts, explorer, pictures, plots, scrubber, training  # noqa: F401
from ldm.figures.record import record

sampling = synthetic.sampling_rows()

# %%
explorer.budget_explorer(sampling, ["kid_effnet", "alignment"])

# %%
plots.guidance_curves(sampling, "kid_effnet")

# %%
plots.optimum_guidance(sampling, "kid_effnet")

# %%
plots.quality_vs_cost(sampling, "alignment")

# %%
ask.cell("F3", sampling, ["kid_effnet", "alignment"], lambda rows, metric: {})

# %%
plots.quality_vs_compute(synthetic.pretraining_rows(), "kid_effnet")

# %%
plots.quality_vs_params(synthetic.pretraining_rows(), "kid_effnet")

# %% [markdown]
# ## In the middle
#
# What is drawn above comes later than this heading.

# %%
plots.table1_chart(synthetic.table1())

# %%
with training.LiveLoss() as live:
    for entry in synthetic.history():
        live(**entry)

# %%
import numpy as np

waves = np.sin(np.arange(64) / (4 + np.arange(8)[:, None, None]) + np.arange(64)[:, None] / 9)
images = np.stack([(waves + 1) * 127, (1 - waves) * 127, waves * 0 + 90], -1).astype(np.uint8)
pictures.picture_strip(images, [f"wave {i}" for i in range(8)])

# %%
pictures.picture_grid(images.reshape(2, 4, 64, 64, 3), ["c 8", "c 16"], ["4", "8", "16", "50"], corner="steps")

# %%
scrubber.scrubber({"c = 8": images[None, :5], "c = 16": images[None, 3:]}, [("a wave", "another wave")])

# %%
record("guidance", guidance)
record("total_steps", {"sum": sum(steps), "seed": seed})
