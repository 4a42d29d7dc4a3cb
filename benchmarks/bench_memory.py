"""Resident memory of gateway, dispatcher, actor and runner: at rest, after the runs, and over ten repeated jobs."""

import os

import numpy as np
import psutil

from benchmarks.table import Row
from fabric.client import Client
from fabric.demo import squeezenet
from fabric.local.up import LocalFabric

JOBS = 10
ITEMS = 64
PARTS = {"gateway": "Gateway", "dispatcher": "Dispatcher", "actor": "ProviderActor", "runner": "fabric.sandbox.runner"}
MIB = 1024 * 1024


def resident_mib() -> dict[str, float]:
    """The largest process of each kind below this one."""
    found = dict.fromkeys(PARTS, 0.0)
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            title, resident = " ".join(process.cmdline()), process.memory_info().rss / MIB
        except psutil.Error:
            continue
        for part, word in PARTS.items():
            if word in title and (title.startswith("ray::") or part == "runner"):
                found[part] = max(found[part], resident)
    return found


def run(fabric: LocalFabric) -> list[Row]:
    """Ten jobs alike; the growth from the fifth to the tenth must be about nothing."""
    with Client(fabric.url, fabric.api_key) as client:
        client.models.upload("squeezenet", squeezenet.build(), card=squeezenet.CARD)
        file = client.files.upload(np.ascontiguousarray(squeezenet.images(ITEMS)))
        before = resident_mib()
        middle = before
        for number in range(JOBS):
            client.submit("squeezenet", file).wait(progress=False).results()
            if number == JOBS // 2 - 1:
                middle = resident_mib()
        after = resident_mib()
    rows = [Row(f"{part} at rest, before", before[part], "MiB") for part in PARTS]
    rows += [
        Row(f"{part} after {JOBS} jobs", after[part], "MiB", "after half of them", middle[part], "ratio ≈ 1") for part in PARTS
    ]
    return rows
