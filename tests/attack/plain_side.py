"""What anybody's program does with a stranger's model or file, in a child with limits so that the machine survives it."""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 1024**3
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Plain:
    """How it went."""

    said: dict[str, Any]
    """What the child printed; nothing when it was ended."""
    end: str
    """`ended`, `killed after … s`, or `died (…)`."""
    seconds: float
    peak_mib: int

    @property
    def hurt(self) -> str:
        """One line for the table."""
        return f"{self.end}, {self.seconds:.1f} s, peak {self.peak_mib} MiB{', ' + str(self.said) if self.said else ''}"


def plainly(act: str, *arguments: str, timeout_s: float = 20.0, memory_gib: float = 8.0, enough_mib: int | None = None) -> Plain:
    """Run one act of this file in a child; at a peak of `enough_mib` it has shown what it does and is ended."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(memory_gib * GIB),) * 2)

    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.attack.plain_side", act, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT,
        preexec_fn=limit,  # noqa: PLW1509 - it sets a limit and nothing else
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
    )  # fmt: skip
    end, peak_mib = "ended", 0
    while child.poll() is None:
        peak_mib = max(peak_mib, _peak_mib(child.pid))
        if time.monotonic() - began > timeout_s and end == "ended":
            child.kill()
            end = f"killed after {timeout_s:.0f} s"
        if enough_mib is not None and peak_mib > enough_mib and end == "ended":
            child.kill()
            end = "killed while it grew"
        time.sleep(0.02)
    if child.returncode and end == "ended":
        end = f"died ({child.returncode})"
    assert child.stdout is not None
    lines = child.stdout.read().splitlines()
    child.stdout.close()
    return Plain(json.loads(lines[-1]) if lines else {}, end, time.monotonic() - began, peak_mib)


def _peak_mib(pid: int) -> int:
    # Not ru_maxrss: that begins with what the parent held when it forked.
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)


def run_model(path: str, rows: str = "[[1.0]]") -> dict[str, Any]:
    """Load it with ONNX Runtime as it comes, run it once."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: np.array(json.loads(rows), np.float32)})
    return {"bytes": [output.tobytes()[:24].decode("latin-1") for output in outputs]}


def open_image(path: str) -> dict[str, Any]:
    """Pixels of every frame, as numpy takes them."""
    import numpy as np
    from PIL import Image, ImageSequence

    pixels = 0
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            pixels += np.asarray(frame.convert("RGB"), np.float32).size
    return {"pixels": pixels}


def load_arrays(path: str) -> dict[str, Any]:
    """All of a .npz."""
    import numpy as np

    with np.load(path) as arrays:
        return {"bytes": sum(arrays[name].nbytes for name in arrays.files)}


def try_all(*attempts: str) -> dict[str, Any]:
    """What the hostile program of the sandbox's tests comes to, without a sandbox."""
    from tests.fixtures import hostile_program

    outcomes = {}
    for attempt in attempts:
        name, _, argument = attempt.partition(":")
        try:
            outcomes[attempt] = str(hostile_program.ATTEMPTS[name](*([argument] if argument else [])))
        except Exception as error:
            outcomes[attempt] = type(error).__name__
    return outcomes


if __name__ == "__main__":
    try:
        print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"[:200]}), flush=True)
