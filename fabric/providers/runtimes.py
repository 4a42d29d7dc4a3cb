"""Which models an ONNX Runtime takes: the highest opset and IR version of each release, and what a machine's own can do.

Pure. A machine says what its runtime was seen to take; from an older agent, its runtime's version says it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RELEASES = (((1, 23), 23, 11), ((1, 24), 25, 13), ((1, 25), 26, 13))
"""(release, highest opset, highest IR version), where one of them rose. Found by loading models of one node, not by reading."""
UNKNOWN = 0


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest models that a runtime takes. UNKNOWN: nobody knows, so it is tried."""

    opset: int = UNKNOWN
    ir_version: int = UNKNOWN

    def takes(self, opset: int, ir_version: int) -> bool:
        """Whether a model of this opset and IR version loads there."""
        return (not self.opset or opset <= self.opset) and (not self.ir_version or ir_version <= self.ir_version)


ANY_NEWEST = Newest()


def newest_taken(capabilities: Mapping[str, Any]) -> Newest:
    """What the runtime of a machine takes, from `providers.capabilities`."""
    by_version = _of_version(str(capabilities.get("onnxruntime_version", "")))
    opset, ir_version = capabilities.get("opset_max"), capabilities.get("ir_version_max")
    return Newest(opset or by_version.opset, ir_version or by_version.ir_version)


def needed_words(opset: int, ir_version: int) -> str:
    """What a model of this opset and IR version needs, in words: `needs ONNX Runtime ≥ 1.25`."""
    for (major, minor), opset_max, ir_version_max in RELEASES:
        if opset <= opset_max and ir_version <= ir_version_max:
            return f"needs ONNX Runtime ≥ {major}.{minor}"
    return f"needs an ONNX Runtime with opset {opset} and IR version {ir_version}"


def _of_version(version: str) -> Newest:
    if (numbers := re.match(r"(\d{1,4})\.(\d{1,4})", version)) is None:
        return Newest()
    release = int(numbers[1]), int(numbers[2])
    if release > RELEASES[-1][0]:
        return Newest()  # it takes at least what the last one here does, and may take more
    known = [Newest(opset, ir_version) for since, opset, ir_version in RELEASES if since <= release]
    return known[-1] if known else Newest(RELEASES[0][1] - 1, RELEASES[0][2] - 1)
