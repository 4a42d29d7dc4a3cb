"""Somebody who has read nothing gets a result from an ONNX file in a browser; an owner pauses a machine and lets another one in."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fabric.client import Client
from fabric.demo import digits
from provider_join.config import EXIT_REFUSED, Home
from provider_join.ray_node import end_orphans
from tests.fixtures.node import CONSOLE, node_environment

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]
PICTURES = 24
DAMAGED = 3
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
    seen = played("story.mjs", fabric.url, str(folder), "owner@localhost", password)

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
    # And what was chosen on a phone in the dark is light
    assert seen["themed"]
    # And the machine took hours that are closed now, held back, said until when, and then lent at any time again
    assert " 10:00–11:30, " in seen["schedule"]
    assert "closed now, opens " in seen["schedule"]
    assert seen["week"].startswith("Open ")


def test_daily_work_with_jobs_survives_a_cut_line_and_needs_nothing_but_the_page(fabric, folder, trained):
    # Given a model, a finished job in which one picture was damaged, and one that waits for a machine on the moon
    with Client(fabric.url, fabric.api_key) as client:
        client.models.upload("scans", trained.onnx, card=trained.card)
        pngs = list(trained.images_png[:PICTURES])
        pngs[DAMAGED] = b"\x89PNG\r\n\x1a\nnot really"
        finished = client.submit("scans", client.files.upload_many(pngs)).wait(60, progress=False)
        waiting = client.submit("scans", client.files.upload_many(pngs[:2]), requirements={"region": ["the-moon"]})
    # When they are looked after in a browser
    password = fabric.home.secret("you.password")
    seen = played("work.mjs", fabric.url, "you@localhost", password, finished.id, waiting.id, str(folder / "scan-00.png"))

    # Then no page had an accessibility fault, asked another host, or wrote an error or a warning
    assert seen["faults"] == []
    # And what failed was done again alone, all of it again from a form that was filled in, and one picture was tried
    with Client(fabric.url, fabric.api_key) as client:
        assert client.job(seen["again"]).facts["progress"]["items_total"] == PICTURES
        items = [job["progress"]["items_total"] for job in client.jobs.list(model="scans")]
        assert items == [1, PICTURES, 1, 2, PICTURES]
        assert client.models.get("scans")["description"] == "Digits, as people write them"
        assert client.job(waiting.id).status == "cancelled"
    assert seen["tried"] == str(digits.run_locally(trained)["label"][0])
    # And labels, templates, versions, code and files are where one looks for them
    assert seen["found"].endswith(finished.id)
    assert (seen["template"], seen["version"], seen["download"]) == ("scans", "version 2", f"{finished.id}.npz")
    assert "client.submit(" in seen["code"]


def test_a_second_person_lends_a_machine_with_the_one_command_that_the_page_shows(fabric, machine_home):
    # When somebody makes a token in the browser, and the command runs on a machine
    program = [
        sys.executable,
        "-m",
        "provider_join",
        "--home",
        str(machine_home),
        "--name",
        "attic",
        "--slots",
        "1",
        "--threads",
        "1",
    ]
    seen = played("lend.mjs", fabric.url, *program)

    # Then the page saw it come on line, pause and go, and no page had a fault
    assert seen["faults"] == []
    assert seen["command"].startswith(f"curl -fsSL {fabric.url}/join | sh -s -- --token fjt_")
    # And the agent of a machine that is removed ends by itself
    assert seen["agentExit"] == EXIT_REFUSED


@pytest.fixture
def machine_home() -> Iterator[Path]:
    """Where one more machine keeps what is its own."""
    home = Path(tempfile.mkdtemp(prefix="fb-attic-"))
    home.chmod(0o711)
    yield home
    end_orphans(Home(home))
    shutil.rmtree(home, ignore_errors=True)


def played(script: str, *words: str) -> dict:
    """What a browser saw."""
    story = ["node", f"journeys/{script}", *words]
    told = subprocess.run(
        story, cwd=CONSOLE, env=node_environment(), capture_output=True, text=True, timeout=STORY_S, check=False
    )
    assert told.returncode == 0, told.stderr[-4000:]
    return dict(json.loads(told.stdout.splitlines()[-1]))


def job_of(fabric, seen):
    with httpx.Client(base_url=f"{fabric.url}/api/v1", trust_env=False) as http:
        tokens = (
            http.post("/auth/login", json={"email": seen["email"], "password": "correct horse battery"}).raise_for_status().json()
        )
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        return http.get(f"/jobs/{seen['job']}", headers=bearer).raise_for_status().json()
