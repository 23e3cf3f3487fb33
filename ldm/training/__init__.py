"""One training loop, and what it stands on: gradients, averages of weights, checkpoints, devices."""
