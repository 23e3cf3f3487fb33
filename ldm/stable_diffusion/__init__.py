"""Stable Diffusion's own weights: text towers, tokenizer and folders in the layout of `diffusers`.

The UNet, the autoencoder and the samplers are those of the study; here is what is only needed to exchange
weights with others.
"""
