"""Captioned pictures from scenes, folders and shards; their latents; and how pictures are degraded."""
