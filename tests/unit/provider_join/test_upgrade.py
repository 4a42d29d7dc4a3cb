"""An agent that its fabric installed notices another build, once, and goes on as it was when that cannot be had."""

import json
from pathlib import Path
from queue import SimpleQueue

from provider_join import install
from provider_join.config import Home, Options
from provider_join.upgrade import AGAIN_AFTER_S, Installed, Upgrade, installed

BUILD, OTHER = "a" * 64, "b" * 64


def agent(tmp_path: Path, present: Installed | None) -> tuple[Upgrade, SimpleQueue]:
    inbox: SimpleQueue = SimpleQueue()
    options = Options("http://127.0.0.1:1", None, "attic", tmp_path, None, None, None, "eu", False)
    return Upgrade(options, Home(tmp_path), inbox, present), inbox


def test_the_same_build_is_nothing_new(tmp_path):
    upgrade, _ = agent(tmp_path, Installed(BUILD, "provider"))
    assert not upgrade.notice(BUILD, 1.0)
    assert not upgrade.notice(None, 1.0)


def test_an_agent_that_was_installed_by_hand_stays_as_it_is(tmp_path):
    upgrade, _ = agent(tmp_path, None)
    assert not upgrade.notice(OTHER, 1.0)


def test_another_build_is_fetched_once_and_tried_again_later(tmp_path):
    upgrade, inbox = agent(tmp_path, Installed(BUILD, "provider"))
    assert upgrade.notice(OTHER, 1.0)
    event, _, why = inbox.get(timeout=20)
    assert (event, "could not be installed" in why) == ("note", True)
    assert not upgrade.notice(OTHER, 2.0)
    assert upgrade.notice(OTHER, 2.0 + AGAIN_AFTER_S)
    assert inbox.get(timeout=20)[0] == "note"


def test_an_environment_knows_what_it_was_made_from(tmp_path):
    assert installed(tmp_path) is None
    (tmp_path / install.MARKER).write_text("{")
    assert installed(tmp_path) is None
    (tmp_path / install.MARKER).write_text(json.dumps({"wheel_sha256": BUILD, "flavour": "provider"}))
    assert installed(tmp_path) == Installed(BUILD, "provider")
