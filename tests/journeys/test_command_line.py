"""The `fabric` command against a running fabric, as a person at a terminal uses it."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.trivial import trivial_model
from fabric.cli import app

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


@pytest.fixture
def run(fabric, monkeypatch):
    """Run a command; gives what it printed, and fails when it failed."""
    monkeypatch.setenv("FABRIC_URL", fabric.url)
    monkeypatch.setenv("FABRIC_API_KEY", fabric.api_key)
    monkeypatch.setenv("FABRIC_HOME", str(fabric.home.path))
    monkeypatch.setenv("COLUMNS", "250")
    runner = CliRunner()

    def run(*words: object, expect: int = 0) -> str:
        result = runner.invoke(app, [str(word) for word in words], catch_exceptions=True)
        assert result.exit_code == expect, f"{result.output}\n{result.exception!r}"
        return result.output

    return run


def test_a_model_is_uploaded_run_and_retired_from_the_terminal(run, tmp_path):
    # Given an ONNX file and an array on disk
    (tmp_path / "double.onnx").write_bytes(trivial_model())
    np.save(tmp_path / "x.npy", np.arange(40, dtype=np.float32).reshape(10, 4))
    # When the model is uploaded it is listed with what the file says
    uploaded = json.loads(run("models", "upload", "from-terminal", tmp_path / "double.onnx"))
    assert uploaded["name"] == "from-terminal"
    assert "from-terminal" in run("models", "list")
    assert json.loads(run("models", "show", "from-terminal"))["inputs"]["x"]["dtype"] == "float32"
    # And a job on it writes its results to a file
    printed = run("jobs", "submit", "from-terminal", tmp_path / "x.npy", "--output", tmp_path / "y.npz")
    job_id = printed.split()[0]
    assert "succeeded" in printed
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], 2 * np.arange(40).reshape(10, 4) + 1)
    # And it is found again, by id and in the list, also as JSON
    assert json.loads(run("jobs", "show", job_id))["status"] == "succeeded"
    assert job_id in run("jobs", "list")
    assert job_id in {job["id"] for job in json.loads(run("jobs", "list", "--json"))}
    assert "succeeded" in run("jobs", "watch", job_id)
    run("jobs", "results", job_id, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").exists()
    # And the model can be retired
    run("models", "delete", "from-terminal")
    assert "from-terminal" not in run("models", "list")


def test_a_finished_job_cannot_be_cancelled_and_the_terminal_says_so_in_a_line(run, client, tmp_path):
    client.models.upload("trivial", trivial_model())
    job = client.submit("trivial", {"x": np.ones((1, 4), np.float32)}).wait(60, progress=False)
    run("jobs", "cancel", job.id, expect=1)


def test_money_is_shown_topped_up_and_explained(run):
    before = json.loads(run("wallet", "show"))
    assert before["livemode"] is False
    assert json.loads(run("wallet", "top-up", "2.50"))["livemode"] is False
    after = json.loads(run("wallet", "show"))
    assert after["available"]["usd_nanos"] - before["available"]["usd_nanos"] == 2_500_000_000
    assert "topup" in run("wallet", "entries")


def test_an_owner_sees_machines_and_makes_a_join_token(run, fabric, monkeypatch):
    monkeypatch.setenv("FABRIC_API_KEY", fabric.owner_api_key)
    assert "local-1" in run("providers", "list")
    assert run("providers", "token").strip().startswith("fjt_")


def test_the_operator_audits_the_books(run):
    printed = run("ledger", "audit")
    assert "trial balance: 0" in printed
    assert "every audit is empty" in printed


def test_the_doctor_finds_nothing_wrong_and_lists_every_listener(run, fabric):
    printed = run("doctor")
    assert fabric.url.rsplit(":", 1)[1] in printed
    assert "closed" in printed or "token" in printed


def test_without_a_fabric_the_command_says_what_is_wrong(run, monkeypatch):
    monkeypatch.setenv("FABRIC_URL", "http://127.0.0.1:9")
    run("models", "list", expect=1)
