import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from provider_join.config import EXIT_RUNNING, Credential, Home, Stop, read_options
from provider_join.ray_node import clean_environment, end_orphans

SLEEPER = [sys.executable, "-c", "import sys; sys.stdin.read()"]


def test_the_credential_survives_and_is_closed_to_others(tmp_path):
    home = Home(tmp_path / "agent")
    assert home.credential() is None
    home.keep(Credential("prv_1", "fpc_secret"))
    assert Home(tmp_path / "agent").credential() == Credential("prv_1", "fpc_secret")
    assert stat.S_IMODE((tmp_path / "agent" / "credential.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "agent").stat().st_mode) == 0o700


def test_a_second_agent_on_the_same_home_is_refused(tmp_path):
    home = Home(tmp_path)
    with home.locked(), pytest.raises(Stop) as refusal, Home(tmp_path).locked():
        pass
    assert refusal.value.code == EXIT_RUNNING
    with home.locked():
        pass


def test_a_damaged_credential_is_named(tmp_path):
    (tmp_path / "credential.json").write_text("{")
    with pytest.raises(Stop, match="damaged"):
        Home(tmp_path).credential()


def test_the_token_may_come_from_a_file_so_that_it_is_in_no_process_list(tmp_path):
    (tmp_path / "token").write_text("fjt_abc\n")
    options = read_options(["--url", "http://h:1/", "--token-file", str(tmp_path / "token"), "--price", "0.020"])
    assert (options.url, options.token, options.price) == ("http://h:1", "fjt_abc", "0.020")


@pytest.mark.parametrize("arguments", [[], ["--url", "http://h", "--price", "cheap"], ["--url", "http://h", "--threads", "0"]])
def test_a_command_line_that_cannot_be_right_is_refused(arguments, monkeypatch):
    monkeypatch.delenv("FABRIC_URL", raising=False)
    with pytest.raises(Stop):
        read_options(arguments)


def test_what_runs_strangers_models_sees_none_of_the_owners_settings(tmp_path, monkeypatch):
    for name in (
        "FABRIC_JOIN_TOKEN",
        "FABRIC_DATABASE_URL",
        "AWS_SECRET_ACCESS_KEY",
        "RAY_ADDRESS",
        "RAY_AUTH_TOKEN",
        "SSH_AUTH_SOCK",
    ):
        monkeypatch.setenv(name, "secret")
    home = Home(tmp_path)
    environment = clean_environment(home, tmp_path / "t", {"RAY_AUTH_MODE": "token", "LD_PRELOAD": "evil.so"})
    assert "secret" not in environment.values()
    assert "LD_PRELOAD" not in environment
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["HOME"] == str(home.ray_home)
    assert environment["PATH"] == os.environ["PATH"]


def test_orphans_of_a_killed_agent_are_ended_and_nobody_else(tmp_path):
    # Given two processes, one recorded as ours, and one whose number was reused since (another start time)
    home = Home(tmp_path)
    with subprocess.Popen(SLEEPER, stdin=subprocess.PIPE) as ours, subprocess.Popen(SLEEPER, stdin=subprocess.PIPE) as other:
        left = Path("/tmp/fp-test-left-behind")
        left.mkdir(exist_ok=True)
        created = {process.pid: psutil.Process(process.pid).create_time() for process in (ours, other)}
        processes = [[ours.pid, created[ours.pid]], [other.pid, created[other.pid] - 60]]
        home.write_private(home.run / "node.json", f'{{"temp_dir": "{left}", "processes": {processes}}}')
        # When the next agent starts
        assert end_orphans(home) == 1
        # Then ours is gone with its folder, the other one lives
        assert ours.poll() is not None
        assert other.poll() is None
        assert not left.exists()
        assert end_orphans(home) == 0
        other.kill()


def test_where_ray_joins_no_cluster_by_itself_it_is_told_to_and_finds_a_home_of_its_own(tmp_path):
    home, scratch = Home(tmp_path / "agent"), tmp_path / "tmp"
    told = {system: clean_environment(home, scratch, {}, system) for system in ("linux", "darwin", "win32")}
    switch = {system: environment.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER") for system, environment in told.items()}
    assert switch == {"linux": None, "darwin": "1", "win32": "1"}
    assert told["win32"]["USERPROFILE"] == told["win32"]["LOCALAPPDATA"] == told["win32"]["HOME"] == str(home.ray_home)
    assert "USERPROFILE" not in told["linux"]
