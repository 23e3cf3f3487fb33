"""The command line, `python -m ldm COMMAND`, and the runner of parameterised notebooks.

In reading order: notebook, variants, summary, study, train, checks, pictures, score, nearness, tables, draw, export.
"""
