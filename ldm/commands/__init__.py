"""The command line, `python -m ldm COMMAND`, and the runner of parameterised notebooks."""
