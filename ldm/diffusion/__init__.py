"""Diffusion itself: the schedule, solvers as tables, denoisers and guidance, the sampling loop, the loss."""
