"""What is trained, and what draws with it.

Pretraining, super-resolution, DreamBooth, distillation, the frozen networks.
"""
