"""The study as a graph: notebooks in the order of what they build on, then the book.

`make study` calls this. A notebook runs again when its source, the package, the weights or the shipped
results have changed; the rows of its cells are keyed by what made them, so only what is new is computed.
"""

import contextlib
import os
import sys
from glob import glob

sys.path.insert(0, workflow.basedir)
from ldm.files import hold
from ldm.profiles import DEFAULT

PROFILE = config.get("profile", DEFAULT)
if PROFILE == "smoke":  # it runs a few steps of everything, and compiling them well would take longer than they do
    hasty = "--xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false"
    os.environ.setdefault("XLA_FLAGS", f"--xla_backend_optimization_level=1 {hasty}")
BUILD = f"build/{PROFILE}"
# notebook -> those whose cells it builds on; the others do not wait for each other
AFTER = {
    "01_data": [],
    "02_family": [],
    "03_pretraining": ["01_data"],
    "04_sampling": ["03_pretraining"],
    "05_samplers": ["04_sampling"],
    "06_super_resolution": ["03_pretraining"],
    "07_dreambooth": ["04_sampling"],
    "08_distillation": ["05_samplers"],
    "09_interpolation": ["04_sampling"],
    "10_tpu": [],
    "11_transformers": [],
    "13_levers": [],
    "14_left_open": [],
    "12_verdicts": ["05_samplers", "06_super_resolution", "08_distillation"],
    "a3_confounders": ["04_sampling"],
    "a4_exercises": [],
    "a5_first_hour": [],
    "00_answer": ["12_verdicts"],
    "a0_primer": [],
    "a1_metrics": [],
    "a2_speed": [],
}
LIGHT = (  # one core is enough
    "01_data", "02_family", "10_tpu", "11_transformers", "13_levers", "14_left_open",
    "a0_primer", "a1_metrics", "a2_speed", "a4_exercises", "a5_first_hour",
)

alone = contextlib.ExitStack()


onstart:  # of two at once one would take away what the other has made; Snakemake's own lock would outlive a kill
    alone.enter_context(hold(f"{BUILD}/study.lock", wait=False))


rule book:
    input:
        expand(BUILD + "/notebooks/{name}.ipynb", name=AFTER),
        "_config.yml",
        [path for path in glob("book/**", recursive=True) if "." in path and "__pycache__" not in path],
    output:
        touch(BUILD + "/book.done"),
    shell:
        "{sys.executable:q} book/build.py --out {BUILD:q}"


rule notebook:
    input:
        lambda wildcards: expand(BUILD + "/notebooks/{name}.ipynb", name=AFTER[wildcards.name]),
        "notebooks/{name}.py",
        glob("ldm/**/*.py", recursive=True),
        glob("weights/**/*.safetensors", recursive=True),
        glob("weights/**/*.json", recursive=True),
        glob("results/*.parquet"),
    output:
        BUILD + "/notebooks/{name}.ipynb",
    threads:  # smoke mostly compiles
        lambda wildcards: 1 if wildcards.name in LIGHT or PROFILE == "smoke" else workflow.cores
    shell:
        "{sys.executable:q} -m ldm notebook {wildcards.name} --profile {PROFILE:q} --out {output:q}"
