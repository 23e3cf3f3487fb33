"""Feature networks, one a file: uint8 images (n, H, W, 3) to float32 features (n, d).

Each has a `name` and a `protocol` (network, layer, resolution, resizer, weights), which go beside every
number made from its features.

In reading order: network, resize, efficientnet, efficientnet_card, inception, windows, dino, clip, detector,
detections, alignment, lpips, extractors.
"""
