"""The command line, `python -m ldm COMMAND`, and the runner of parameterised notebooks.

In reading order: notebook, variants, summary, study, train, finetune, checks, pictures, score,
cards, nearness, tables, draw, export.
"""
