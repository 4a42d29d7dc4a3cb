"""A machine with an accelerator that Ray knows registers what enrolment granted it, and nothing that Ray found besides."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DRIVER = "def device_count(): return 2\ndef get_npu_name(): return 'RBLN-CA22'\n"
"""What Ray asks about accelerators of one maker."""
RESOLVE = """
import json, sys
from ray._private.resource_and_label_spec import ResourceAndLabelSpec
from provider_join.ray_node import undetected
given = {**(undetected() if sys.argv[1] == "ours" else {}), "fabric_cpu": 2}
spec = ResourceAndLabelSpec(num_cpus=0, num_gpus=0, memory=1e9, object_store_memory=1e8, resources=given, labels={"fabric.role": "provider"})
spec.resolve(is_head=False, node_ip_address="192.0.2.7")
print(json.dumps({"resources": spec.to_resource_dict(), "labels": spec.labels}))
"""


@pytest.fixture
def resolve(tmp_path: Path) -> Any:
    """What a node on a machine with two such accelerators would register."""
    (tmp_path / "rebel.py").write_text(DRIVER)
    path = os.pathsep.join([str(tmp_path), *sys.path])

    def run(whose: str) -> dict[str, Any]:
        command = [sys.executable, "-c", RESOLVE, whose]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True, timeout=60
        )
        return dict(json.loads(done.stdout.splitlines()[-1]))

    return run


def test_ray_by_itself_adds_what_it_finds(resolve):
    found = resolve("plain")
    assert found["resources"]["RBLN"] == 2
    assert found["labels"]["ray.io/accelerator-type"] == "RBLN-CA22"


def test_a_providers_node_registers_what_was_granted_and_nothing_else(resolve):
    found = resolve("ours")
    assert set(found["resources"]) == {"fabric_cpu", "memory", "object_store_memory", "node:192.0.2.7"}
    assert found["labels"] == {"fabric.role": "provider"}
