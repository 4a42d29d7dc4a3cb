"""What operators hand to Ray is what Ray accepts: cluster.yaml, and the Serve application."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from fabric.core.settings import RaySettings, load_settings
from fabric.local.ray_head import SYSTEM_CONFIG

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "cluster.yaml").read_text()))


def test_the_cluster_passes_rays_schema(cluster):
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(cluster))


def test_the_schema_check_can_fail(cluster):
    from ray.autoscaler._private.util import validate_config

    with pytest.raises(Exception, match="available_node_typos"):
        validate_config({**cluster, "available_node_typos": {}})


def test_head_and_workers_have_the_settings_of_a_local_fabric(cluster):
    head, worker = cluster["head_start_ray_commands"][-1], cluster["worker_start_ray_commands"][-1]
    said = re.search(r"--system-config='(.*?)'", head, re.DOTALL)
    assert said
    system_config = json.loads(said.group(1))
    assert system_config == {name: SYSTEM_CONFIG[name] for name in system_config}
    assert {"max_direct_call_object_size", "gcs_rpc_server_reconnect_timeout_s"} <= system_config.keys()
    for command in (head, worker):
        assert "RAY_AUTH_MODE=token" in command
    assert "RAY_gcs_storage=rocksdb" in head
    assert "--labels=fabric.role=control" in head
    assert "--num-cpus=0" in worker
    assert "--labels-file=" in worker


def test_no_command_ends_other_peoples_ray(cluster):
    commands = [command for name in cluster if name.endswith("commands") for command in cluster[name]]
    assert not [command for command in commands if "ray stop" in command]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> ServeDeploySchema:
    folder = tmp_path_factory.mktemp("serve")
    environment = {
        **os.environ,
        "FABRIC_HOME": str(folder),
        "FABRIC_RAY_CONTROL_NODE_ID": "c" * 56,
        "FABRIC_AUTH_JWT_KEY": "secret-key",
    }
    command = [sys.executable, "-m", "ray.serve.scripts", "build", "fabric.serve_app:app", "-o", str(folder / "serve.yaml")]
    subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, timeout=120)
    text = (folder / "serve.yaml").read_text()
    assert "secret-key" not in text
    return ServeDeploySchema.model_validate(yaml.safe_load(text))


def test_serve_build_knows_the_three_deployments(built):
    (application,) = built.applications
    assert {deployment.name for deployment in application.deployments} == {"Gateway", "Dispatcher", "Clerk"}


def test_every_deployment_stays_on_the_control_node(built):
    for deployment in built.applications[0].deployments:
        selector = deployment.ray_actor_options.label_selector
        assert selector == {"fabric.role": "control", "ray.io/node-id": "c" * 56}


def test_watchers_leave_room_for_requests(built):
    settings = load_settings(home=Path("/nonexistent"), ray=RaySettings())
    (gateway,) = [d for d in built.applications[0].deployments if d.name == "Gateway"]
    assert gateway.max_ongoing_requests >= 2 * settings.limits.watchers_max
