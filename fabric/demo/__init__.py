"""The main story on real input: handwritten digits and SqueezeNet."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before ONNX Runtime is imported, or it leaves a file in the temp folder
