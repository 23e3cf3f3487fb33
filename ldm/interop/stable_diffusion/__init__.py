"""Stable Diffusion's own weights: tokenizer and folders in the layout of `diffusers`.

The UNet, the autoencoder and the samplers are those of the study, the text tower is `ldm.networks.clip_text`; here is
what is only needed to exchange weights with others.

In reading order: pipeline, files, parts, tokenizer, scheduler, lora, study.
"""
