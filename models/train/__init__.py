"""Training: features by the stream's own kernels, models as ONNX, entries in a repository."""
