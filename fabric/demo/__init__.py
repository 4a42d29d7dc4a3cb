"""The main story on real input: handwritten digits and SqueezeNet."""

import onnxruntime

onnxruntime.disable_telemetry_events()
