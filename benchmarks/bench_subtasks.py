"""Durable subtasks: a trivial model, one subtask for each item, each leased, executed on a provider and captured in the ledger."""

import time

import numpy as np

from benchmarks.table import Row, median
from benchmarks.trivial import upload_trivial
from fabric.client import Client
from fabric.local.up import LocalFabric

ITEMS = 5000
ROUNDS = 3


def run(fabric: LocalFabric) -> list[Row]:
    """Subtasks per second from submit to the last capture."""
    rates = []
    with Client(fabric.url, fabric.api_key) as client:
        upload_trivial(client)
        file = client.files.upload(np.arange(ITEMS * 4, dtype=np.float32).reshape(ITEMS, 4))
        for _ in range(ROUNDS + 1):
            started = time.perf_counter()
            job = client.submit("trivial", file, items_per_subtask=1).wait(progress=False)
            rates.append(ITEMS / (time.perf_counter() - started))
            assert job.facts["progress"]["subtasks_done"] == ITEMS
    return [Row("durable subtasks", median(rates[1:]), "subtasks/s", "reach", 1000.0, "≥ 1,000/s")]
