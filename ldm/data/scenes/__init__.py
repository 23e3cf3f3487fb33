"""The emoji scenes: pictures with captions, drawn from a seed, about which everything is known."""
