"""The networks that are trained first and then frozen: autoencoder, text tower, detector.

In reading order: autoencoder, reconstruction, text, detector.
"""
