"""What the installed ONNX Runtime can do, asked of itself: devices, and the newest models that it takes. Runs in the benchmark's child.

There is no function that tells the highest opset; a model of one node is tried with each.
"""

from typing import Any

OPSET_MIN, IR_VERSION_MIN = 17, 8  # every runtime that the package accepts takes these
STEPS_MAX = 64
_ERRORS_UNSEEN = 4


def limits(onnxruntime: Any) -> tuple[int, int]:
    """The highest opset of ONNX's own operators, and the highest IR version, that load."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_UNSEEN

    def loads(opset: int, ir_version: int) -> bool:
        try:
            onnxruntime.InferenceSession(smallest_model(opset, ir_version), options, providers=["CPUExecutionProvider"])
        except Exception:
            return False
        return True

    opset, ir_version = OPSET_MIN, IR_VERSION_MIN
    while opset < OPSET_MIN + STEPS_MAX and loads(opset + 1, IR_VERSION_MIN):
        opset += 1
    while ir_version < IR_VERSION_MIN + STEPS_MAX and loads(OPSET_MIN, ir_version + 1):
        ir_version += 1
    return opset, ir_version


def devices(onnxruntime: Any) -> list[list[str]]:
    """[execution provider, kind (CPU, GPU or NPU), id, name] of every device that it lists; empty where it cannot."""
    found = [_row(device) for device in getattr(onnxruntime, "get_ep_devices", list)()]
    ask = getattr(onnxruntime.capi._pybind_state, "get_available_openvino_device_ids", list)
    if not any(row[0] == "OpenVINOExecutionProvider" for row in found):
        found += [["OpenVINOExecutionProvider", name.partition(".")[0], name, f"OpenVINO {name}"] for name in ask()]
    return found


def _row(device: Any) -> list[str]:
    kind = device.device.type.name
    told = {**device.device.metadata, **device.ep_metadata, **device.ep_options}
    number = str(told.get("device_id") or told.get("DxgiAdapterNumber") or "")
    if device.ep_name == "OpenVINOExecutionProvider":
        number = str(told.get("ov_device") or kind)
    name = str(told.get("Description") or told.get("ov_device_name") or f"{device.device.vendor or device.ep_vendor} {kind}")
    return [device.ep_name, kind, number[:80], name.strip()[:200]]


def smallest_model(opset: int, ir_version: int) -> bytes:
    """A model of one Identity, written by hand since the package `onnx` is not on owners' machines."""

    def named(name: str) -> bytes:
        float_of_one = _part(1, _number(1, 1) + _part(2, _part(1, _number(1, 1))))
        return _part(1, name.encode()) + _part(2, float_of_one)

    node = _part(1, b"x") + _part(2, b"y") + _part(4, b"Identity")
    graph = _part(1, node) + _part(2, b"g") + _part(11, named("x")) + _part(12, named("y"))
    return _number(1, ir_version) + _part(7, graph) + _part(8, _number(2, opset))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _part(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])
