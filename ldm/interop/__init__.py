"""Other programs: Stable Diffusion folders in and out, ONNX graphs for a browser.

In reading order: diffusion_transformers, onnx, browser.
"""
