"""What is trained, and what draws with it.

Pretraining, super-resolution, DreamBooth, distillation, the frozen networks.

In reading order: pretrain, models, register, memory, together, generate, search, superres, superres_recipe, pairs,
upscale, subjects, dreambooth, dreambooth_recipe, interpolation.
"""
