"""Diffusion itself: the schedule, solvers as tables, denoisers and guidance, the sampling loop, the loss.

In reading order: schedule, losses, guidance_settings, guidance, denoiser, plan, solvers, sampler, counting, editing,
stitching, mixture.
"""
