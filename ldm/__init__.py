"""Latent diffusion in JAX, and a study of how its quality scales with size, steps, guidance and data.

A room imports only from the rooms below it::

    commands/     the command line and the notebook runner
    figures/      every chart, table and widget of the book
    interop/      Stable Diffusion folders, ONNX for the browser
    study/        what is run and recorded: cells, rows, evaluators
    tasks/        what is trained: pretraining, super-resolution, DreamBooth, distillation; and what draws with it
    statistics/   from rows to numbers: bootstrap, frontier, power laws, verdicts
    profiles.py   the scales of the study; profile.py: what a scale is
    metrics/      distances and scores with intervals; perceptual/: networks that extract features of pictures
    training/     the loop, gradients, averages, checkpoints, devices
    data/         data sets, latents, shards, degradations; scenes/: the emoji scenes
    diffusion/    schedule, loss, denoiser and guidance, solvers, sampler, what they cost
    networks/     UNet, transformer, autoencoder, text towers; what they cost, and their weights on disk
    paths.py  files.py  hashing.py  checks.py  heap.py

The method itself is `networks/`, `diffusion/` and `metrics/`. Two ways in: `tasks/pretrain.py` trains one size, and
`study/sampling.py` evaluates one cell. One subject has one name in three rooms: `tasks/superres.py` trains it,
`study/superres.py` measures it, `figures/superres.py` draws it. A room's docstring lists its files in reading order.

The one flow::

    art, folders, shards -> data: pictures and captions -> latents and contexts, by the frozen networks
      -> training of a network -> denoiser -> sampler -> latents -> pictures
      -> metrics: features, distances with intervals -> study: rows -> statistics -> figures -> the book

Where is it::

    guidance      `diffusion/guidance.py`: `combine` makes one estimate of two
    a sampler     `diffusion/solvers.py`: a function that fills a plan; `diffusion/sampler.py` is the loop of all
    a metric      a function in `metrics/`, named in `metrics/catalogue.py`; `study/scene_metrics.py` applies it
    a chart       a file in `figures/` that draws numbers from `statistics/`; a notebook shows it
    a number      `study/run.py` computes a cell and writes its rows, `python -m ldm compact` gathers them in results/,
                  and a notebook reads them there (CONTRIBUTING.md says what to change where)

Words::

    plan          a sampler's steps as a table of coefficients (`diffusion/plan.py`), which one loop runs
    extractor     a network whose features distances compare (`metrics/perceptual/extractors.py`)
    cell          one setting that is evaluated (`study/cells.py`); its key is a hash of all that it depends on
    row           one metric of one cell, with its interval (`study/rows.py`)
    lever         what a budget can buy besides size and steps (`study/lever_cells.py`); its dose is the setting
    recorded      of rows: kept in the repository, under results/
"""
