"""The networks: UNet, transformer, autoencoder, text towers; what they cost, and how their weights lie on disk."""
