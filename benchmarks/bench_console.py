"""The console at size: 10,000 jobs in the list, one job of 100,000 parts on its page, over HTTP and in a real browser."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import psycopg

from benchmarks.table import Row, median
from benchmarks.trivial import upload_trivial
from fabric.client import Client
from fabric.codecs.frame import encode_frame
from fabric.core.ids import JobId, ModelVersionId
from fabric.local.up import LocalFabric

JOBS = 10_000
PARTS = 100_000
ROUNDS = 5
CONSOLE = Path(__file__).parents[1] / "console"
FILL_JOBS = """
    INSERT INTO jobs (id, owner_id, model_version_id, status, request, inputs, items_total, items_done, subtasks_total, subtasks_done,
                      item_us, held_nanos, request_id, labels, started_at, finished_at)
    SELECT uuidv7(), u.id, %(version)s, 'succeeded', '{}', '{}', 100, 100, 10, 10, 1, 0, 'req_bench',
           jsonb_build_object('sweep', CAST(n AS text)), now(), now()
      FROM users AS u, generate_series(1, %(jobs)s) AS n WHERE u.email = 'you@localhost'
"""
FILL_LARGE = """
    INSERT INTO jobs (id, owner_id, model_version_id, status, request, inputs, items_total, items_done, subtasks_total, subtasks_done,
                      item_us, held_nanos, request_id, started_at, finished_at)
    SELECT %(job)s, u.id, %(version)s, 'succeeded', '{}', '{}', %(parts)s, %(parts)s, %(parts)s, %(parts)s, 1, 0, 'req_bench',
           now(), now() + interval '100 s'
      FROM users AS u WHERE u.email = 'you@localhost'
"""
FILL_PARTS = """
    INSERT INTO subtasks (id, job_id, position, item_start, item_count, status, finished_at, output)
    SELECT uuidv7(), %(job)s, n, n, 1, 'done', now(), %(output)s FROM generate_series(0, %(parts)s - 1) AS n
"""
FILL_TRIES = """
    INSERT INTO attempts (id, subtask_id, job_id, fence, order_id, provider_id, slot, outcome, leased_at, finished_at, billed_us)
    SELECT uuidv7(), s.id, s.job_id, 1, s.id, p.id, s.position %% 8, 'done', now() + s.position * interval '1 ms',
           now() + (s.position + 8) * interval '1 ms', 1000
      FROM subtasks AS s, (SELECT id FROM providers LIMIT 1) AS p WHERE s.job_id = %(job)s
"""


def run(fabric: LocalFabric) -> list[Row]:
    """Milliseconds of each question that a page asks, and of the pages themselves."""
    with Client(fabric.url, fabric.api_key) as client:
        upload_trivial(client)
        version = ModelVersionId.parse(client.models.get("trivial")["version_id"])
        large = fill(fabric.database_url, version)
        rows = [answers(fabric, f"GET {path}", path.format(job=large)) for path in PATHS]
        return rows + in_a_browser(fabric, str(large))


PATHS = (
    "/jobs?limit=100", "/jobs?limit=100&q=777", "/jobs/{job}", "/jobs/{job}/timeline", "/jobs/{job}/bill", "/jobs/{job}/results",
    "/jobs/{job}/request",
)  # fmt: skip


def fill(database_url: str, version: ModelVersionId) -> JobId:
    """Write them straight into the database; the id of the large one."""
    large = JobId.new()
    output = encode_frame({"y": np.zeros((1, 4), np.float32)})
    values = {"job": large, "version": version, "jobs": JOBS, "parts": PARTS, "output": output}
    with psycopg.connect(database_url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        for statement in (FILL_JOBS, FILL_LARGE, FILL_PARTS, FILL_TRIES, "ANALYZE"):
            connection.execute(statement, values if "%" in statement else None)
    return large


def answers(fabric: LocalFabric, name: str, path: str) -> Row:
    """How long an answer takes, of several the one in the middle."""
    with httpx.Client(headers={"Authorization": f"Bearer {fabric.api_key}"}, trust_env=False, timeout=60) as http:
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            http.get(f"{fabric.url}/api/v1{path}").raise_for_status()
            times.append(1000 * (time.perf_counter() - started))
    return Row(name, median(times), "ms")


def in_a_browser(fabric: LocalFabric, large: str) -> list[Row]:
    """Opens both pages and scrolls through the whole list; nothing where the console's tools are not installed."""
    if not shutil.which("node") or not (CONSOLE / "node_modules" / "playwright-core").exists():
        return []
    password = fabric.home.secret("you.password")
    told = subprocess.run(
        ["node", "scripts/measure.mjs", fabric.url, "you@localhost", str(password), large],
        cwd=CONSOLE, stdout=subprocess.PIPE, text=True, timeout=240, check=True,
    )  # fmt: skip
    return [Row(**row) for row in json.loads(told.stdout.splitlines()[-1])]
