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
from fabric.gate.config import GateConfig, proxy_environment
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


def test_the_gate_stands_before_the_head_with_the_settings_of_a_local_fabric(cluster, tmp_path):
    command = next(c for c in cluster["head_start_ray_commands"] if "gate.json" in c and "printf" in c)
    (tmp_path / "home" / ".fabric" / "run").mkdir(parents=True)
    environment = {"HOME": str(tmp_path / "home"), "RAY_HEAD_IP": "192.0.2.10"}
    subprocess.run(["sh", "-c", command], env=environment, check=True, timeout=20)
    config = GateConfig.read(tmp_path / "home/.fabric/run/gate.json")
    head = cluster["head_start_ray_commands"][-1]
    assert config.gcs_address == "192.0.2.10:6379"
    assert "--port=6379" in head
    assert config.host is not None
    assert not config.allow_plaintext
    assert f"FABRIC_RAY_GATE_ADDRESS={config.host}:{config.port}" in (ROOT / "cluster.yaml").read_text()
    assert Path(config.token_file).resolve() == tmp_path / "home/.fabric/token"
    assert config.outward_port is not None
    for name, value in proxy_environment(config.outward_port).items():
        assert f"{name}={value}" in head
    provider = cluster["provider"]
    assert f"no_grpc_proxy=127.0.0.1,localhost,{','.join([provider['head_ip'], *provider['worker_ips']])} " in head
    assert any("-m fabric.gate.run ~/.fabric/run/gate.json" in c for c in cluster["head_start_ray_commands"])


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
