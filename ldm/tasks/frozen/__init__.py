"""The networks that are trained first and then frozen: autoencoder, text tower, detector."""
