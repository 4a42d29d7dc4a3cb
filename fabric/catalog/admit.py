"""Admission: a stranger's model is read, bounded and measured in a sandbox before the catalogue knows it.

The control plane itself never parses or runs it: `catalog/examine.py` does, as a child without network, files or environment and
with limits on memory and time. A model that kills it is refused.
"""

import asyncio
import json
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabric.core.errors import Invalid, InvalidModel, Unavailable
from fabric.sandbox.launch import Child, Limits, StartFailed, start

PROGRAM = "fabric.catalog.examine"
WALL_S = 120.0
CPU_S = 90
MEMORY_BYTES = 4 * 1024**3  # private memory, and MODEL_FACTOR times the file
MODEL_FACTOR = 4
ANSWER_BYTES_MAX = 8 * 1024**2  # also the largest file the child may write
THREADS = 16  # of the libraries; the model itself runs on one
FIGURES = frozenset({"batch_items_max", "item_us", "load_us", "memory_bytes"})
FIGURE_MAX = 2**62
AT_ONCE = 2  # children of one control process
_turns = asyncio.Semaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class Admission:
    """What admission found: the completed card, what the file says, what was measured."""

    card: dict[str, Any]
    inspection: dict[str, Any]
    profile: dict[str, Any]


async def admit(
    path: Path,
    card: Mapping[str, Any],
    *,
    control_flow: bool = False,
    wall_s: float = WALL_S,
    cpu_s: int = CPU_S,
    memory_bytes: int = MEMORY_BYTES,
) -> Admission:
    """Inspect the file, check the card against it, measure it.

    Args:
        path: The file.
        card: What its owner says about it.
        control_flow: Whether it may hold If, Loop and Scan.
        wall_s: The child is ended after so long.
        cpu_s: It may use so much processor time.
        memory_bytes: And so much memory, beside a few times the file itself.

    Raises:
        InvalidModel: the file is refused; `reason` says why, `node` which node of the graph is the cause, where one is.
        Invalid: the card is wrong; `errors` lists everything.
        Unavailable: the child could not be started.
    """
    request = {"path": str(path), "card": dict(card), "control_flow": control_flow}
    limits = Limits(
        memory_bytes=memory_bytes + MODEL_FACTOR * path.stat().st_size, cpu_s=cpu_s, file_bytes=ANSWER_BYTES_MAX, threads=THREADS
    )
    async with _turns:
        answer = await asyncio.to_thread(_examine, json.dumps(request).encode(), path, limits, wall_s)
    refused = answer.get("refused")
    if refused is None:
        return Admission(answer["card"], answer["inspection"], answer["profile"])
    kind = InvalidModel if refused["code"] == InvalidModel.code else Invalid
    raise kind(refused["detail"], **refused["fields"])


def _examine(request: bytes, path: Path, limits: Limits, wall_s: float) -> dict[str, Any]:
    """Run the child; what it wrote, or a refusal in its stead."""
    # The answer goes through a file, not a pipe: the limit on its size then bounds what the child can make us read.
    with tempfile.TemporaryFile() as answer:
        try:
            child = start([PROGRAM], limits=limits, readable=[path], stdin=subprocess.PIPE, stdout=answer)
        except StartFailed as error:
            raise Unavailable(f"models cannot be inspected now: {error}") from error
        try:
            why = _end_of(child, request, wall_s)
        finally:
            child.close()
        answer.seek(0)
        found = _lines(answer.read(ANSWER_BYTES_MAX))
    if why is None and "refused" in found:
        return found
    if why is None and _is_profile(found.get("profile")):
        found["profile"]["isolation"] = child.isolation
        return found
    return _blamed(found, *(why or ("crashed", "gave no answer that can be read")))


def _end_of(child: Child, request: bytes, wall_s: float) -> tuple[str, str] | None:
    """Wait for the child; None when it ended well, else the reason of a refusal and its words."""
    try:
        child.process.communicate(request, timeout=wall_s)
    except subprocess.TimeoutExpired:
        return "too_slow", f"took longer than {wall_s:.0f} s"
    if child.returncode == 0:
        return None
    if child.returncode == -signal.SIGXCPU:
        return "too_slow", "took too much processor time, longer than any run may"
    return "crashed", f"ended the process (status {child.returncode}): it needs too much memory or crashes ONNX Runtime"


def _lines(content: bytes) -> dict[str, Any]:
    """What the child wrote: JSON objects, one a line, of which the last may have been cut off by its end."""
    found: dict[str, Any] = {}
    for line in content.splitlines():
        try:
            found |= json.loads(line, parse_constant=_no_constant)
        except (ValueError, TypeError, RecursionError):
            break
    return found


def _no_constant(word: str) -> None:
    raise ValueError(word)  # NaN and Infinity are no JSON, and Postgres keeps none


def _is_profile(found: object) -> bool:
    """Whether the figures can be calculated with: prices and caps come of them, and the child ran a stranger's model."""
    if not isinstance(found, dict) or found.keys() != FIGURES | {"batchable", "batch_fixed", "output_bytes_item"}:
        return False
    figures = [found[name] for name in FIGURES] + [found["output_bytes_item"] or 0]
    return all(type(figure) in {int, float} and 0 <= figure < FIGURE_MAX for figure in figures) and found["item_us"] > 0


def _blamed(found: Mapping[str, Any], reason: str, what: str) -> dict[str, Any]:
    """A refusal for a child that died: when it was running the model, with the node that most likely was too much."""
    if "inspection" not in found:
        return _refused(InvalidModel(f"reading it {what}", reason=reason))
    suspect = found.get("suspect")
    detail = f"running it on generated inputs {what}"
    if suspect is None:
        return _refused(InvalidModel(detail, reason=reason))
    name = f" {suspect['name']!r}" if suspect["name"] else ""
    where = f"node {suspect['index']}{name} ({suspect['op_type']}) of {suspect['path']}"
    return _refused(InvalidModel(f"{detail}; the node that asks for most is {where}", reason=reason, node=suspect))


def _refused(error: Invalid) -> dict[str, Any]:
    return {"refused": {"code": error.code, "detail": error.detail, "fields": error.fields}}
