"""Admission: inspects and measures a model in a restricted child process (`python -m fabric.catalog.admit`).

The child has no secret in its environment and limits on memory, CPU time, processes and files; a model that kills it is
refused, and the control plane never parses or runs a stranger's model itself. One JSON object in, one JSON object out.
"""

import asyncio
import json
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabric.core.errors import Invalid, InvalidModel, Unavailable

WALL_S = 120.0
CPU_S = 90
MEMORY_BYTES = 4 * 1024**3  # address space, and MODEL_FACTOR times the file
MODEL_FACTOR = 4
ANSWER_BYTES_MAX = 8 * 1024**2  # also the largest file the child may write
OPEN_FILES = 64
AT_ONCE = 2  # children of one control process
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "ORT_DISABLE_TELEMETRY": "1",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
}  # fmt: skip
_turns = asyncio.Semaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class Admission:
    """What admission found: the completed card, what the file says, what was measured."""

    card: dict[str, Any]
    inspection: dict[str, Any]
    profile: dict[str, Any]


async def admit(
    path: Path, card: Mapping[str, Any], *, wall_s: float = WALL_S, cpu_s: int = CPU_S, memory_bytes: int = MEMORY_BYTES
) -> Admission:
    """Inspect the file, check the card against it, measure it.

    Raises:
        InvalidModel: the file is refused; `reason` says why.
        Invalid: the card is wrong; `errors` lists everything.
        Unavailable: the child could not be started.
    """
    request = {
        "path": str(path),
        "card": dict(card),
        "memory_bytes": memory_bytes + MODEL_FACTOR * path.stat().st_size,
        "cpu_s": cpu_s,
    }
    async with _turns:
        answer = await asyncio.to_thread(_run_child, json.dumps(request).encode(), wall_s)
    refused = answer.get("refused")
    if refused is None:
        return Admission(answer["card"], answer["inspection"], answer["profile"])
    kind = InvalidModel if refused["code"] == InvalidModel.code else Invalid
    raise kind(refused["detail"], **refused["fields"])


def _run_child(request: bytes, wall_s: float) -> dict[str, Any]:
    # The answer goes through a file, not a pipe: RLIMIT_FSIZE then bounds what the child can make us read.
    with tempfile.TemporaryFile() as answer:
        try:
            ended = subprocess.run(
                [sys.executable, "-I", "-m", "fabric.catalog.admit"],
                input=request, stdout=answer, stderr=subprocess.DEVNULL, env=ENVIRONMENT, cwd="/", timeout=wall_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return _refused(InvalidModel(f"running it on generated inputs took longer than {wall_s:.0f} s", reason="too_slow"))
        except OSError as error:
            raise Unavailable(f"models cannot be inspected now: {error.strerror}") from error
        answer.seek(0)
        content = answer.read(ANSWER_BYTES_MAX)
    if ended.returncode == 0:
        return dict(json.loads(content))
    return _refused(_death(ended.returncode))


def _death(returncode: int) -> InvalidModel:
    if returncode == -signal.SIGXCPU:
        return InvalidModel("running it on generated inputs took too much processor time", reason="too_slow")
    return InvalidModel(
        f"running it on generated inputs ended the process (status {returncode}): it needs too much memory or crashes ONNX Runtime",
        reason="crashed",
    )


def _refused(error: Invalid) -> dict[str, Any]:
    return {"refused": {"code": error.code, "detail": error.detail, "fields": error.fields}}


def _restrict(memory_bytes: int, cpu_s: int) -> None:
    """Give up, for good, what admission does not need."""
    limits = {
        resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: ANSWER_BYTES_MAX, resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_NPROC: 0, resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_CPU: cpu_s,
    }  # fmt: skip
    for limit, value in limits.items():
        # A second more of processor time as the hard limit: the kernel sends SIGXCPU at the soft one, SIGKILL at the hard one.
        resource.setrlimit(limit, (value, value + 1 if limit == resource.RLIMIT_CPU else value))


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    # The heavy imports start threads and touch files; they come before the limits, the stranger's bytes after.
    from fabric.catalog.card import complete_card
    from fabric.catalog.inspect import inspect_model
    from fabric.catalog.profile import measure

    _restrict(request["memory_bytes"], request["cpu_s"])
    path = Path(request["path"])
    try:
        inspection = inspect_model(path)
        card = complete_card(request["card"], inspection.inputs, inspection.outputs)
        profile = measure(path, inspection)
    except Invalid as error:
        return _refused(error)
    except MemoryError:
        return _refused(InvalidModel("running it on generated inputs needs too much memory", reason="too_large"))
    except Exception as error:
        # A file that trips a library must not look like an outage: it is refused, and says over what.
        return _refused(InvalidModel(f"the file cannot be read: {type(error).__name__}", reason="malformed"))
    return {"card": card, "inspection": inspection.as_json(), "profile": profile.as_json()}


def main() -> None:
    """The child: read a request on stdin, write the answer on stdout."""
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
