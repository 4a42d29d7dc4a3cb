"""A child finds in its environment which of several devices is its, and nothing of its parent's."""

import subprocess
from pathlib import Path

import pytest

from fabric.sandbox import launch


@pytest.mark.parametrize("isolation", [launch.SANDBOX, launch.PROCESS])
def test_a_child_sees_the_device_that_it_was_given(isolation, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("FABRIC_SANDBOX", isolation)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-of-the-parent")
    for known in (launch.isolation, launch.why_no_sandbox):
        known.cache_clear()
    program = tmp_path / "says.py"
    program.write_text("import os\nprint(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ.get('FABRIC_SANDBOX'), flush=True)\n")
    said = []
    try:
        for environment in ({"CUDA_VISIBLE_DEVICES": "MIG-7f"}, {}):
            child = launch.start(
                [str(program)], limits=launch.Limits(), readable=[program], environment=environment, stdout=subprocess.PIPE
            )
            assert child.process.stdout is not None
            said.append(child.process.stdout.read().decode().split())
            child.close()
    finally:
        for known in (launch.isolation, launch.why_no_sandbox):
            known.cache_clear()
    assert said == [["MIG-7f", "None"], ["None", "None"]]
