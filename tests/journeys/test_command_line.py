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

    def invoke(*words: object):
        return runner.invoke(app, [str(word) for word in words], catch_exceptions=True)

    def run(*words: object, expect: int = 0) -> str:
        result = invoke(*words)
        assert result.exit_code == expect, f"{result.output}\n{result.exception!r}"
        return result.stdout

    run.invoke = invoke

    return run


def test_a_model_is_uploaded_run_and_retired_from_the_terminal(run, tmp_path):
    # Given an ONNX file and an array on disk
    (tmp_path / "double.onnx").write_bytes(trivial_model())
    np.save(tmp_path / "x.npy", np.arange(40, dtype=np.float32).reshape(10, 4))
    # When the model is uploaded it is listed with what the file says
    uploaded = json.loads(run("models", "upload", "from-terminal", tmp_path / "double.onnx", "--json"))
    assert uploaded["name"] == "from-terminal"
    assert "from-terminal" in run("models", "list")
    assert "x float32" in run("models", "show", "from-terminal")
    assert json.loads(run("models", "show", "from-terminal", "--json"))["inputs"]["x"]["dtype"] == "float32"
    # And a job on it writes its results to a file
    printed = run("jobs", "submit", "from-terminal", tmp_path / "x.npy", "--output", tmp_path / "y.npz")
    job_id = printed.split()[0]
    assert "succeeded" in printed
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], 2 * np.arange(40).reshape(10, 4) + 1)
    # And it is found again, by id and in the list, also as JSON
    assert "10 done, 0 failed, of 10" in run("jobs", "show", job_id)
    assert job_id in run("jobs", "list")
    assert job_id in {job["id"] for job in json.loads(run("jobs", "list", "--json"))}
    assert "succeeded" in run("jobs", "watch", job_id)
    assert json.loads(run("jobs", "watch", job_id, "--json"))["status"] == "succeeded"
    assert "done" in run("jobs", "parts", job_id)
    run("jobs", "results", job_id, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").exists()
    # And the model can be retired
    run("models", "delete", "from-terminal")
    assert "from-terminal" not in run("models", "list")


def test_work_is_tried_out_priced_labelled_repeated_and_saved_from_the_terminal(run, client, tmp_path):
    # Given a model and two arrays
    client.models.upload("trivial", trivial_model())
    one, other = tmp_path / "one.npy", tmp_path / "other.npy"
    np.save(one, np.ones((4, 4), np.float32))
    np.save(other, np.zeros((2, 4), np.float32))
    # When it is tried out and priced, nothing is submitted
    before = len(client.jobs.list(limit=200))
    assert "can cover it" in run("jobs", "submit", "trivial", one, "--dry-run")
    quote = json.loads(run("quotes", "create", "trivial", one, "--json"))
    assert "expected" in run("quotes", "create", "trivial", "--items", 1000)
    assert "local-1" in run("quotes", "offers")
    assert len(client.jobs.list(limit=200)) == before
    # And submitted at that price it is found by its label, and run again on other inputs
    job_id = run("jobs", "submit", "trivial", one, "--quote", quote["id"], "--label", "sweep=7", "--detach").strip()
    client.job(job_id).wait(60, progress=False)
    assert job_id in run("jobs", "list", "--label", "sweep=7")
    assert "no such jobs" in run("jobs", "list", "--label", "sweep=8")
    assert run("jobs", "label", job_id, "sweep=8").strip() == "sweep=8"
    assert "2/2 items" in run("jobs", "rerun", job_id, other)
    # And a template keeps what stays the same
    assert "given at submit" in run("templates", "save", "doubling", "trivial", "--label", "kept=yes")
    assert "doubling" in run("templates", "list")
    assert "4/4 items" in run("templates", "submit", "doubling", one, "--output", tmp_path / "y.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], np.full((4, 4), 3.0))
    run("templates", "delete", "doubling")
    assert "doubling" not in run("templates", "list")


def test_files_are_uploaded_and_fetched_back_and_none_is_overwritten_unasked(run, tmp_path, monkeypatch):
    (tmp_path / "note.bin").write_bytes(b"just bytes")
    (uploaded,) = json.loads(run("files", "upload", tmp_path / "note.bin", "--json"))
    assert uploaded["id"] in run("files", "list")
    assert "10" in run("files", "show", uploaded["id"])
    monkeypatch.chdir(tmp_path)
    run("files", "download", uploaded["id"], expect=1)  # there is such a file here
    run("files", "download", uploaded["id"], "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == b"just bytes"
    run("files", "delete", uploaded["id"])
    run("files", "show", uploaded["id"], expect=1)


def test_each_call_is_explained_without_the_key_and_what_is_answered_stays_json(run, fabric):
    invoked = run.invoke("wallet", "show", "--json", "--explain")
    assert json.loads(invoked.stdout)["livemode"] is False
    assert f"GET {fabric.url}/api/v1/wallet" in invoked.stderr
    assert "← 200" in invoked.stderr
    assert fabric.api_key not in invoked.output


def test_a_key_is_made_used_and_deleted_from_the_terminal(run, stranger, monkeypatch):
    monkeypatch.setenv(
        "FABRIC_API_KEY", stranger_key := stranger._transport._http.headers["Authorization"].removeprefix("Bearer ")
    )
    assert "requestor" in run("account", "show") or "user" in run("account", "show")
    made = json.loads(run("keys", "create", "for a script", "--json"))
    monkeypatch.setenv("FABRIC_API_KEY", made["key"])
    assert "available" in run("wallet", "show")
    monkeypatch.setenv("FABRIC_API_KEY", stranger_key)
    assert made["id"] in run("keys", "list")
    run("keys", "delete", made["id"])
    monkeypatch.setenv("FABRIC_API_KEY", made["key"])
    run("wallet", "show", expect=1)


def test_a_finished_job_cannot_be_cancelled_and_the_terminal_says_so_in_a_line(run, client, tmp_path):
    client.models.upload("trivial", trivial_model())
    job = client.submit("trivial", {"x": np.ones((1, 4), np.float32)}).wait(60, progress=False)
    run("jobs", "cancel", job.id, expect=1)


def test_money_is_shown_topped_up_and_explained(run):
    before = json.loads(run("wallet", "show", "--json"))
    assert before["livemode"] is False
    assert "play money" in run("wallet", "show")
    assert "play money" in run("wallet", "top-up", "2.50")
    after = json.loads(run("wallet", "show", "--json"))
    assert after["available"]["usd_nanos"] - before["available"]["usd_nanos"] == 2_500_000_000
    assert "topup" in run("wallet", "entries")


def test_an_owner_sees_machines_and_makes_a_join_token(run, fabric, monkeypatch):
    monkeypatch.setenv("FABRIC_API_KEY", fabric.owner_api_key)
    assert "local-1" in run("providers", "list")
    assert run("providers", "token").strip().startswith("fjt_")
    machine = next(m["id"] for m in json.loads(run("providers", "list", "--json")) if m["name"] == "local-1")
    assert "USD/h" in run("providers", "show", machine)
    assert "paused" in run("providers", "pause", machine)
    assert "online" in run("providers", "resume", machine)


def test_the_operator_audits_the_books(run):
    printed = run("ledger", "audit")
    assert "trial balance: 0" in printed
    assert "every audit is empty" in printed
    assert json.loads(run("ledger", "audit", "--json")) == {"trial_balance_nanos": 0, "findings": {}}


def test_the_doctor_finds_nothing_wrong_and_lists_every_listener(run, fabric):
    printed = run("doctor")
    assert fabric.url.rsplit(":", 1)[1] in printed
    assert "closed" in printed or "token" in printed
    assert {"id", "status", "found", "needed", "remedy"} == set(json.loads(run("doctor", "--json"))[0])


def test_without_a_fabric_the_command_says_what_is_wrong(run, monkeypatch):
    monkeypatch.setenv("FABRIC_URL", "http://127.0.0.1:9")
    run("models", "list", expect=1)
