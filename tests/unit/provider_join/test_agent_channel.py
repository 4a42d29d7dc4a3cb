import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from provider_join.channel import Channel, ask, way_of
from provider_join.config import EXIT_NOT_RUNNING, Home, Stop


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def channel(tmp_path, heard) -> Iterator[Channel]:
    def asked(act, reply):
        heard.append(act)
        reply({"error": "never heard of it"} if act == "odd" else {"did": act})

    opened = Channel(Home(tmp_path), asked)
    yield opened
    opened.close()


def test_what_is_asked_is_answered_by_the_agent(tmp_path, channel, heard):
    assert ask(tmp_path, "pause") == {"did": "pause"}
    assert ask(tmp_path, "state") == {"did": "state"}
    assert heard == ["pause", "state"]
    with pytest.raises(Stop, match="never heard of it"):
        ask(tmp_path, "odd")


def test_only_who_may_read_the_home_is_heard(tmp_path, channel, heard):
    way = way_of(tmp_path)
    assert way.stat().st_mode & 0o077 == 0
    told = json.loads(way.read_text())
    for wrong in ({**told, "token": "guess"}, {"port": told["port"], "token": "ä"}):
        way.write_text(json.dumps(wrong))
        with pytest.raises(Stop):
            ask(tmp_path, "pause")
    assert heard == []


def test_a_caller_that_says_nothing_holds_nobody_up_for_long(tmp_path, channel, heard):
    import socket

    port = json.loads(way_of(tmp_path).read_text())["port"]
    with socket.create_connection(("127.0.0.1", port)) as silent:
        asker = threading.Thread(target=ask, args=(tmp_path, "state"))
        asker.start()
        silent.sendall(b"not json\n")
        asker.join()
    assert heard == ["state"]


def test_where_no_agent_runs_it_is_said(tmp_path):
    home = Home(tmp_path)
    with pytest.raises(Stop, match="No agent runs") as stop:
        ask(tmp_path, "pause")
    assert stop.value.code == EXIT_NOT_RUNNING
    with home.locked(), pytest.raises(Stop, match="not ready"):
        ask(tmp_path, "pause")
    # What a killed agent left behind leads nowhere
    way_of(tmp_path).write_text('{"port": 9, "token": "x"}')
    with pytest.raises(Stop, match="No agent runs"):
        ask(tmp_path, "pause")


@pytest.mark.parametrize("word", ["pause", "status", "drain"])
def test_on_the_command_line_it_is_an_exit_code(tmp_path, word):
    command = [sys.executable, "-m", "provider_join", word, "--home"]
    for home in (tmp_path, tmp_path / "never"):
        done = subprocess.run([*command, str(home)], capture_output=True, text=True, check=False)
        assert done.returncode == EXIT_NOT_RUNNING
        assert str(home) in done.stdout
    assert not (tmp_path / "never").exists()
