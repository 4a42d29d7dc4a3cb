"""Latency at rest: submit one item, wait until it is done."""

import time

import numpy as np

from benchmarks.table import Row
from benchmarks.trivial import upload_trivial
from fabric.client import Client
from fabric.local.up import LocalFabric

CALLS = 200


def run(fabric: LocalFabric) -> list[Row]:
    """Milliseconds from submit to the answer that says `succeeded`."""
    item = np.ones((1, 4), np.float32)
    latencies = []
    with Client(fabric.url, fabric.api_key) as client:
        upload_trivial(client)
        client.submit("trivial", {"x": item}).wait(progress=False)
        for _ in range(CALLS):
            started = time.perf_counter()
            client.submit("trivial", {"x": item}).wait(progress=False)
            latencies.append((time.perf_counter() - started) * 1000)
    p50, p99 = np.percentile(latencies, [50, 99])
    return [
        Row("submit → done, one item, p50", float(p50), "ms", "reach", 100.0, "≤ 100 ms"),
        Row("submit → done, one item, p99", float(p99), "ms"),
    ]
