"""Somebody who has read nothing gets a result from an ONNX file in a browser; an owner pauses a machine and lets another one in."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from fabric.demo import digits
from tests.fixtures.node import CONSOLE, node_environment

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]
PICTURES = 24
STORY_S = 240


@pytest.fixture(scope="module")
def trained():
    return digits.train()


@pytest.fixture
def folder(tmp_path: Path, trained) -> Path:
    """What the person has on disk: a model and scans."""
    (tmp_path / "digits.onnx").write_bytes(trained.onnx)
    for number, png in enumerate(trained.images_png[:PICTURES]):
        (tmp_path / f"scan-{number:02}.png").write_bytes(png)
    return tmp_path


def test_a_stranger_runs_a_model_and_an_owner_keeps_a_machine_without_a_terminal(fabric, folder, trained):
    # When a real browser plays it, by keyboard, on a wide screen and on a phone, light and dark
    password = fabric.home.secret("owner.password")
    story = ["node", "journeys/story.mjs", fabric.url, str(folder), "owner@localhost", password]
    played = subprocess.run(
        story, cwd=CONSOLE, env=node_environment(), capture_output=True, text=True, timeout=STORY_S, check=False
    )
    assert played.returncode == 0, played.stderr[-4000:]
    seen = json.loads(played.stdout.splitlines()[-1])

    # Then no page had an accessibility fault, asked another host, or wrote an error or a warning
    assert seen["faults"] == []
    # And the labels on the page are what the model says, in the order of the files
    assert seen["labels"] == [str(label) for label in digits.run_locally(trained)["label"][:PICTURES]]
    # And a price stood there before, and the bill that is shown afterwards is the job's, to the last digit
    assert seen["quote"].startswith("$0.0")
    charged = job_of(fabric, seen)["cost"]["captured"]["usd"]
    assert seen["charged"] == f"${charged}"
    # And the keyboard reaches the page first, and a token is shown once
    assert seen["skip"] == "Skip to the page"
    assert seen["join"].startswith(f"curl -fsSL {fabric.url}/join | sh -s -- --token fjt_")
    assert seen["tokenGone"]


def job_of(fabric, seen):
    with httpx.Client(base_url=f"{fabric.url}/api/v1", trust_env=False) as http:
        tokens = (
            http.post("/auth/login", json={"email": seen["email"], "password": "correct horse battery"}).raise_for_status().json()
        )
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        return http.get(f"/jobs/{seen['job']}", headers=bearer).raise_for_status().json()
