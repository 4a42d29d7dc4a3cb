"""Each page of `docs/` for a kind of user begins with something that works: its first blocks, run as written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def blocks(page: str, kind: str) -> list[str]:
    """The blocks of one kind, in order."""
    return re.findall(rf"```{kind}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def typed(command: list[str], fabric, folder: Path) -> str:
    """What it prints when a newcomer types it in an empty folder; a failure ends it."""
    environment = {
        **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "200",
        "FABRIC_URL": fabric.url, "FABRIC_API_KEY": fabric.api_key,
    }  # fmt: skip
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_requestor_gets_labels_and_then_the_same_over_plain_http(fabric, tmp_path):
    by_command, by_hand = blocks("requestors.md", "sh")[:2]
    printed = typed(["bash", "-ec", by_command], fabric, tmp_path)
    assert "succeeded" in printed
    assert re.search(r"\[\d(, \d){4}\]", printed), printed
    answered = typed(["bash", "-ec", by_hand], fabric, tmp_path)
    assert '"status": "succeeded"' in answered
    assert '"label"' in answered
