"""Other programs: Stable Diffusion folders in and out, ONNX graphs for a browser."""
