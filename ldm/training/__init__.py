"""The training loop, one for several networks side by side, and what both stand on.

That is gradients, averages of weights, checkpoints, guards and devices.

In reading order: config, loop, gradients, flat, ema, checkpoint, guards, meter, hurried, chips, parallel, together.
"""
