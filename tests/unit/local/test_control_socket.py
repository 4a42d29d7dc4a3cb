import os
import socket
import threading

import pytest

from fabric.local.control_socket import NAME, ActFailed, ControlSocket, NotRunning, ask
from fabric.local.home import Home


@pytest.fixture(params=["short", "long"])
def home(request, tmp_path):
    path = tmp_path / ("h" if request.param == "short" else "a-long-name-" * 15)  # longer than a socket's path may be
    home = Home(path)
    home.prepare()
    return home


@pytest.fixture
def listen(home):
    opened = []

    def begin(**acts):
        opened.append(made := ControlSocket(home, acts))
        return made

    yield begin
    for made in opened:
        made.close()


def test_what_is_asked_is_done_and_told(home, listen):
    def count(tell):
        tell("one")
        tell("two")
        return {"sum": 3}

    listen(count=count)
    told = []
    assert ask(home, "count", told.append) == {"sum": 3}
    assert told == ["one", "two"]


def test_an_act_that_fails_says_why_and_the_next_one_works(home, listen):
    def fail(_tell):
        raise RuntimeError("the disk is full")

    listen(fail=fail, work=lambda _tell: {})
    with pytest.raises(ActFailed, match="the disk is full"):
        ask(home, "fail", print)
    assert ask(home, "work", print) == {}


def test_what_nobody_knows_is_refused(home, listen):
    listen()
    with pytest.raises(ActFailed, match="does not know"):
        ask(home, "dance", print)


def test_without_a_running_fabric_it_says_so(home, listen):
    with pytest.raises(NotRunning, match=str(home.path)):
        ask(home, "work", print)
    listen(work=lambda _tell: {}).close()
    with pytest.raises(NotRunning):
        ask(home, "work", print)
    assert not (home.run / NAME).exists()


def test_closing_waits_for_what_is_under_way(home, listen):
    begun, go_on, ended = threading.Event(), threading.Event(), []

    def work(_tell):
        begun.set()
        go_on.wait(30)
        ended.append(True)
        return {}

    opened = listen(work=work)
    asking = threading.Thread(target=ask, args=(home, "work", print))
    asking.start()
    assert begun.wait(30)
    closing = threading.Thread(target=opened.close)
    closing.start()
    go_on.set()
    closing.join(30)
    asking.join(30)
    assert ended == [True]


def test_whoever_asks_and_goes_away_harms_nobody(home, listen):
    listen(work=lambda _tell: {})
    folder = os.open(home.run, os.O_PATH | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as rude:
        rude.connect(f"/proc/self/fd/{folder}/{NAME}")
    os.close(folder)
    assert ask(home, "work", print) == {}


def test_only_its_own_user_can_reach_it(home, listen):
    listen()
    assert (home.run / NAME).stat().st_mode & 0o777 == 0o600
    assert home.run.stat().st_mode & 0o777 == 0o700
