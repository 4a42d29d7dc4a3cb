"""Puts the Serve application on a running head: `python -m fabric.local.deploy <config.json>`.

It imports what it needs while the head is still starting, waits for one line on its standard input, deploys, prints
`deployed` and ends; Serve's controller, a detached actor, keeps the application from then on. Deploying again after a restart
of the head is harmless and pins the application to the new node.
"""

import importlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

APPLICATION = "fabric.serve_app:app"
KEEP_ALIVE_S = 90


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


def deploy(config: DeployConfig) -> None:
    """Start Serve on the head and run the application; returns when its HTTP ingress is healthy."""
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
    module, _, name = config.application.partition(":")
    application = getattr(importlib.import_module(module), name)
    serve.run(application, name="fabric", route_prefix="/")
    ray.shutdown()


def main(config_path: str) -> int:
    """Prepare, wait for the word, deploy."""
    import ray.serve  # noqa: F401 - takes seconds, so it happens while the head starts

    if not sys.stdin.readline():
        return 0  # whoever started us is gone
    config = DeployConfig(**json.loads(Path(config_path).read_text()))
    deploy(config)
    print("deployed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
