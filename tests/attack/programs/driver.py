"""A driver as anybody would write one, told where the cluster is; it needs the token in its environment before Ray is imported."""

import os
import sys
from pathlib import Path

import ray


class Spy:
    """Its constructor is the attack."""

    def __init__(self, canary: str) -> None:
        Path(canary).write_text(f"uid {os.getuid()}")

    def ready(self) -> int:
        return os.getpid()


def main(gcs: str, address: str, canary: str) -> None:
    """Connect, then start an actor on the head."""
    ray.init(gcs, _node_ip_address=address, log_to_driver=False)
    head = next(node for node in ray.nodes() if node["Alive"] and "node:__internal_head__" in node["Resources"])
    spy = ray.remote(num_cpus=0)(Spy).options(label_selector={"ray.io/node-id": head["NodeID"]}).remote(canary)
    pid = ray.get(spy.ready.remote(), timeout=15)
    print(f"job {ray.get_runtime_context().get_job_id()}, its actor runs as pid {pid} on the head", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
