"""The emoji scenes: pictures with captions, drawn from a seed, about which everything is known.

In reading order: emoji, config, record, captions, render, dataset, truth, unwanted, disturbances.
"""
