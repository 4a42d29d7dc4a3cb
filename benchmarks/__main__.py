"""`make bench`: starts one fabric, measures everything on it, prints one table, stores it as JSON."""

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import (
    bench_batch,
    bench_console,
    bench_latency,
    bench_ledger,
    bench_ledger_writers,
    bench_memory,
    bench_sandbox,
    bench_subtasks,
)
from benchmarks.table import show
from fabric.local.up import LocalFabric

ON_A_FABRIC = {
    "latency": bench_latency,
    "memory": bench_memory,
    "batch": bench_batch,
    "subtasks": bench_subtasks,
    "console": bench_console,
}


def main(wanted: list[str]) -> None:
    """Run all, or those named on the command line."""
    rows = []
    if not wanted or "ledger" in wanted:
        rows += bench_ledger.run() + bench_ledger_writers.run()
    if not wanted or "sandbox" in wanted:
        rows += bench_sandbox.run()
    chosen = [bench for name, bench in ON_A_FABRIC.items() if not wanted or name in wanted]
    if chosen:
        home = Path(tempfile.mkdtemp(prefix="fabric-bench-"))
        try:
            with LocalFabric(home=home, providers=2, tell=print) as fabric:
                for bench in chosen:
                    print(f"running {bench.__name__} …")
                    rows += bench.run(fabric)
        finally:
            shutil.rmtree(home, ignore_errors=True)
    show("-".join(wanted) or "all", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
