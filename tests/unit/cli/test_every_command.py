"""Every command answers as JSON when it is asked to, explains its calls, and fails in one line."""

import json

import pytest
import typer
from typer.testing import CliRunner

from fabric.cli import app
from fabric.cli.jobs import inputs_of, labels_of
from fabric.cli.printing import dollars
from fabric.cli.watching import Board, Pace, _span

SHOWS_A_STORY = {("up",), ("demo",)}
"""These run a fabric and tell what they do meanwhile; they answer nothing that a script could read."""


def commands(group, path: tuple[str, ...] = ()) -> dict:
    if not hasattr(group, "commands"):
        return {path: group}
    return {key: value for name, inner in group.commands.items() for key, value in commands(inner, (*path, name)).items()}


COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("path", sorted(set(COMMANDS) - SHOWS_A_STORY), ids=" ".join)
def test_a_command_says_what_it_does_and_takes_json(path):
    command = COMMANDS[path]
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    assert command.help
    if path != ("doctor",):
        assert "--explain" in options


@pytest.mark.parametrize(
    "noun", ["jobs", "models", "files", "wallet", "providers", "quotes", "keys", "account", "templates", "webhooks"]
)
def test_each_noun_has_its_commands(noun):
    listed = CliRunner().invoke(app, [noun, "--help"]).output
    assert "Usage" in listed


def test_a_fabric_that_is_not_there_is_one_line_and_json_on_request(monkeypatch):
    monkeypatch.setenv("FABRIC_URL", "http://127.0.0.1:9")
    in_words = CliRunner().invoke(app, ["models", "list"])
    assert in_words.exit_code == 1
    assert in_words.stderr.startswith("NotConnected: ")
    as_json = CliRunner().invoke(app, ["models", "list", "--json"])
    assert as_json.exit_code == 1
    assert as_json.stdout == ""
    assert json.loads(as_json.stderr)["error"] == "NotConnected"


def test_labels_are_pairs():
    assert labels_of(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(ValueError, match="NAME=VALUE"):
        labels_of(["nothing"])


def test_files_become_inputs(tmp_path):
    array, picture = tmp_path / "x.NPY", tmp_path / "a.png"
    assert inputs_of([array], None) == array
    assert inputs_of([picture], None) == [picture]
    assert inputs_of([picture, picture], "image") == {"image": [picture, picture]}


def test_the_pace_is_that_of_the_last_seconds():
    pace = Pace()
    assert not pace.looks
    for second in range(100):
        pace.see(float(second), 1000 if second < 50 else 1000 + 10 * (second - 50))
    assert pace.per_s() == pytest.approx(10.0)
    assert pace.left_s(1500) == pytest.approx(1.0)
    assert len(pace.looks) < 30
    assert (_span(None), _span(59.6), _span(3661)) == ("", "1:00", "1:01:01")


def test_a_board_says_each_change_once():
    said = []
    board = Board(said.append)
    facts = {
        "id": "job_1", "model": "digits:1", "status": "running", "waiting_reason": None, "cost": {"captured": {"usd": "0.01"}},
        "progress": {"items_done": 1, "items_failed": 0, "items_total": 4},
    }  # fmt: skip
    board.see(facts)
    board.see(dict(facts))
    board.see({**facts, "status": "succeeded", "progress": {"items_done": 3, "items_failed": 1, "items_total": 4}})
    assert [one["status"] for one in said] == ["running", "succeeded"]
    assert board.table().row_count == 1


@pytest.mark.parametrize(
    ("told", "shown"), [("0.010000000", "0.01"), ("12.000000000", "12.00"), ("0.000000001", "0.000000001"), ("-3.5", "-3.50")]
)
def test_amounts_are_exact_and_without_zeros_that_say_nothing(told, shown):
    assert dollars({"usd": told}) == shown
    assert dollars(None) == ""
