"""Puts the Serve application on a running head: `python -m fabric.local.deploy <config.json>`.

Its standard input tells it when: one line when the head runs (then it starts Serve), one when run/fabric.env is complete (then it
deploys the application, prints `deployed` and ends). So its imports and Serve's start pass while other parts are still starting.
 Serve's controller, a detached actor, keeps the application from then on. Deploying again after a restart
of the head is harmless and pins the application to the new node.
"""

import importlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

APPLICATION = "fabric.serve_app:app"
IMPORTED_EARLY = ("fabric.api.app", "fabric.dispatch.dispatcher", "fabric.loops")  # reads no settings, unlike the application
KEEP_ALIVE_S = 90
HEAD_RUNS, SETTINGS_COMPLETE = "head-runs", "settings-complete"


@dataclass(frozen=True)
class DeployConfig:
    """Where the head is and where the endpoint shall listen; no secret among it."""

    gcs_address: str
    node_ip: str
    host: str
    port: int
    application: str = APPLICATION

    def write(self, path: Path) -> None:
        """Store for the child process."""
        path.write_text(json.dumps(asdict(self)))


def prepared_file(config_path: Path) -> Path:
    """Gets the process id of a child that has imported everything."""
    return config_path.with_suffix(".prepared")


def start_serve(config: DeployConfig) -> None:
    """Connect to the head and start Serve's controller and HAProxy; nothing happens when they run already."""
    import ray
    from ray import serve
    from ray.serve.config import HTTPOptions, ProxyLocation

    ray.init(
        address=config.gcs_address, namespace="serve", _node_ip_address=config.node_ip, log_to_driver=False,
        logging_level="WARNING", configure_logging=False,
    )  # fmt: skip
    serve.start(
        proxy_location=ProxyLocation.HeadOnly,
        http_options=HTTPOptions(host=config.host, port=config.port, keep_alive_timeout_s=KEEP_ALIVE_S, request_timeout_s=None),
    )


def run_application(application: str) -> None:
    """Run `module:name`; returns when every deployment of it is healthy."""
    from ray import serve

    module, _, name = application.partition(":")
    serve.run(getattr(importlib.import_module(module), name), name="fabric", route_prefix="/")


def main(config_path: str) -> int:
    """Do each step when its word comes; the end of the input means that whoever started us is gone."""
    config = DeployConfig(**json.loads(Path(config_path).read_text()))
    for module in ("ray.serve", *(IMPORTED_EARLY if config.application == APPLICATION else ())):
        importlib.import_module(module)  # seconds, which pass while the head starts
    prepared_file(Path(config_path)).write_text(str(os.getpid()))
    if sys.stdin.readline().strip() != HEAD_RUNS:
        return 0
    start_serve(config)
    if sys.stdin.readline().strip() != SETTINGS_COMPLETE:
        return 0
    run_application(config.application)
    print("deployed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
