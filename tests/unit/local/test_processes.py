import os
import subprocess
import sys

import pytest

from fabric.local.home import Home
from fabric.local.orphans import end_orphans, record, recorded
from fabric.local.processes import RUN_VARIABLE, Mark, end, family, mark, marked_with_run, rotate, scrubbed_environment

SLEEPER = "import time; time.sleep(600)"
# A parent that starts a child, says so, and waits.
PARENT = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', '{SLEEPER}']); print(p.pid, flush=True); p.wait()"


@pytest.fixture
def parent():
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, start_new_session=True, text=True)
    child = int(process.stdout.readline())
    yield process, child
    end([m for pid in (process.pid, child) if (m := mark(pid))])
    process.stdout.close()
    process.wait()


def test_a_family_holds_the_child(parent):
    process, child = parent
    assert {m.pid for m in family([mark(process.pid)])} == {process.pid, child}


def test_an_orphan_is_still_family(parent):
    process, child = parent
    lead = mark(process.pid)
    process.kill()
    process.wait()
    assert [m.pid for m in family([lead])] == [child]


def test_a_process_that_got_the_pid_of_ours_is_not_ours(parent):
    process, child = parent
    mine = mark(process.pid)
    other = Mark(mine.pid, mine.started - 1)
    assert family([other]) == []
    end([other], patience_s=0)
    assert mark(child) is not None
    assert process.poll() is None


def test_ending_a_family_leaves_nobody(parent):
    process, _ = parent
    members = family([mark(process.pid)])
    assert end(members) == []
    assert not any(m.is_alive() for m in members)


def test_a_run_is_known_by_its_random_id():
    environment = {**os.environ, RUN_VARIABLE: "0123456789abcdef"}
    process = subprocess.Popen(
        [sys.executable, "-c", f"print(1, flush=True); {SLEEPER}"], env=environment, stdout=subprocess.PIPE
    )
    try:
        process.stdout.readline()
        assert [m.pid for m in marked_with_run("0123456789abcdef")] == [process.pid]
        assert marked_with_run("0123456789abcdee") == []
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_what_a_killed_run_left_is_ended_and_nothing_else(tmp_path, parent):
    home = Home(tmp_path / "home")
    home.prepare()
    process, child = parent
    bystander = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
    try:
        record(home, run_id="f" * 32, temp_dirs=[], parts={"objects": [mark(process.pid)], "serve": [Mark(bystander.pid, 1)]})
        assert recorded(home)["objects"] == [mark(process.pid)]
        assert end_orphans(home) == {"objects": 2}
        assert process.wait(10) == -15
        assert mark(child) is None
        assert bystander.poll() is None
        assert end_orphans(home) == {}
    finally:
        bystander.kill()
        bystander.wait()


def test_a_record_of_another_boot_names_nobody(tmp_path, parent):
    home = Home(tmp_path / "home")
    home.prepare()
    process, _ = parent
    record(home, run_id="f" * 32, temp_dirs=[], parts={"objects": [mark(process.pid)]})
    state = home.read_state("processes")
    home.write_state("processes", {**state, "boot_id": "another"})
    assert end_orphans(home) == {}
    assert process.poll() is None


def test_children_see_no_secret_of_ours(monkeypatch):
    monkeypatch.setenv("FABRIC_DATABASE_URL", "postgresql://owner:secret@db/fabric")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    environment = scrubbed_environment({"FABRIC_HOME": "/x"})
    assert "secret" not in " ".join(environment.values())
    assert environment["FABRIC_HOME"] == "/x"


def test_a_log_that_grew_too_large_is_moved_away_and_its_writer_goes_on(tmp_path):
    log = tmp_path / "part.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(4):
            writer.write(f"{number}".encode() * 100)
            assert rotate(log, bytes_max=50, kept=2)
        writer.write(b"last")
    assert log.read_bytes() == b"last"
    assert (tmp_path / "part.log.1").read_bytes() == b"3" * 100
    assert (tmp_path / "part.log.2").read_bytes() == b"2" * 100
    assert not (tmp_path / "part.log.3").exists()
    assert not rotate(log, bytes_max=50)
