"""The ONNX models that jobs may run."""
