"""The training loop, one for several networks side by side, and what both stand on.

That is gradients, averages of weights, checkpoints, guards and devices.
"""
