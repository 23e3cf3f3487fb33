"""What is trained, and what draws with it: pretraining, super-resolution, DreamBooth, distillation, the frozen
networks.
"""
