"""Captioned pictures from scenes, folders and shards; their latents; and how pictures are degraded.

In reading order: datasets, batches, latents, cache, pictures, sources, shards, shard_writer, feed, resample, blur,
degrade.
"""
