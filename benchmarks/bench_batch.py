"""Batch efficiency: a job of SqueezeNet items beside two bare ONNX Runtime processes on the same cores."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.table import Row, median
from fabric.client import Client
from fabric.demo import squeezenet
from fabric.local.up import LocalFabric

ITEMS = 600
ROUNDS = 5
BARE_BATCHES = (1, 4)  # the faster of the two is the reference
WORKERS = 2


class BareWorkers:
    """Two processes that share the rows between them."""

    def __init__(self, model: Path, npy: Path, batch: int) -> None:
        """Start them and wait until both are warm."""
        share = ITEMS // WORKERS
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.bare_worker", str(model), str(npy), str(i * share), str((i + 1) * share), str(batch)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for i in range(WORKERS)
        ]  # fmt: skip
        self._read("ready")

    def run(self) -> float:
        """Items per second of one pass over all rows."""
        started = time.perf_counter()
        for process in self._processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        self._read("done")
        return ITEMS / (time.perf_counter() - started)

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.communicate(timeout=30)

    def _read(self, word: str) -> None:
        for process in self._processes:
            assert process.stdout
            assert process.stdout.readline().strip() == word


@contextmanager
def bare_workers(model: Path, npy: Path, batch: int) -> Iterator[BareWorkers]:
    """Workers for the length of a block."""
    workers = BareWorkers(model, npy, batch)
    try:
        yield workers
    finally:
        workers.close()


def run(fabric: LocalFabric) -> list[Row]:
    """Rounds in turn, ours and theirs, so that a drifting machine moves both."""
    with tempfile.TemporaryDirectory(prefix="fb-bench-") as folder, Client(fabric.url, fabric.api_key) as client:
        model, npy = Path(folder) / "model.onnx", Path(folder) / "images.npy"
        model.write_bytes(squeezenet.build())
        np.save(npy, squeezenet.images(ITEMS))
        client.models.upload("squeezenet", model, card=squeezenet.CARD)
        file = client.files.upload(npy)
        client.submit("squeezenet", file).wait(progress=False).results()  # warm
        ours, uploaded, theirs = [], [], {batch: [] for batch in BARE_BATCHES}
        for _ in range(ROUNDS):
            ours.append(items_per_s(client, file))
            uploaded.append(items_per_s(client, npy))
            for batch in BARE_BATCHES:
                with bare_workers(model, npy, batch) as bare:
                    theirs[batch].append(bare.run())
    reference = max(median(values) for values in theirs.values())
    beside = "two bare ONNX Runtime processes"
    return [
        Row("batch, file uploaded beforehand", median(ours), "items/s", beside, reference, "ratio ≥ 0.75"),
        Row("batch, with the upload", median(uploaded), "items/s", beside, reference),
    ]


def items_per_s(client: Client, source: object) -> float:
    """From submit (and upload, for a path) to all results in hand."""
    started = time.perf_counter()
    outputs = client.submit("squeezenet", source).wait(progress=False).results()
    elapsed = time.perf_counter() - started
    assert outputs["logits"].shape == (ITEMS, 1000)
    return ITEMS / elapsed
