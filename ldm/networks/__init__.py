"""The networks: UNet, transformer, autoencoder, text towers; what they cost, and how their weights lie on disk.

In reading order: layers, time_embedding, unet, transformer, dit, dit_config, text, tokenizer, clip_text, scene_clip,
autoencoder, autoencoder_config, initial, structure, weights, torch_layout, batched, quantization, low_rank, family,
sizes, cost, dit_cost.
"""
