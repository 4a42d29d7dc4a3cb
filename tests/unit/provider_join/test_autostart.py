import configparser
import plistlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from provider_join.autostart import command_of, plan_for
from provider_join.config import Credential, Home, Stop, read_options
from provider_join.install import default_home

USER = Path("/home/ada")
HOME = Path("/home/ada/machines/attic 100%")
WORDS = [
    "--url",
    "https://fabric.example",
    "--home",
    str(HOME),
    "--token",
    "fjt_secret",
    "--slots",
    "2",
    "--name",
    "attic $1",
    "--hours",
    "22-7",
    "--without",
    "cuda:1,cpu",
    "--prefer",
    "tensorrt",
]


def command() -> list[str]:
    return command_of(read_options(WORDS))


def test_what_starts_by_itself_is_this_interpreter_with_this_home_and_no_token():
    words = command()
    assert words[:3] == [sys.executable, "-m", "provider_join"]
    assert words[words.index("--home") + 1] == str(HOME)
    assert words[words.index("--slots") + 1] == "2"
    assert not [word for word in words if "fjt_" in word or word == "--token"]
    # They are options of the agent, and mean the same again
    again = read_options(words[3:])
    assert (again.url, again.home, again.slots, again.name, again.token) == ("https://fabric.example", HOME, 2, "attic $1", None)
    assert (again.without, again.prefer) == (("cuda:1", "cpu"), ("tensorrt",))


def test_the_systemd_unit_restarts_what_fails_and_leaves_alone_what_must_not_run():
    plan = plan_for("linux", command(), HOME, USER)
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(plan.content.decode())
    service = unit["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2 3 4 5"
    assert service["KillMode"] == "mixed"
    assert service["ExecStart"].startswith(f'"{sys.executable}" "-m" "provider_join" ')
    assert '"/home/ada/machines/attic 100%%"' in service["ExecStart"]
    assert '"attic $$1"' in service["ExecStart"]
    assert unit["Install"]["WantedBy"] == "default.target"
    assert plan.file.parent == USER / ".config/systemd/user"
    assert "fjt_" not in plan.content.decode()
    assert ("systemctl", "--user", "enable", "--now", plan.file.name) in plan.commands
    assert "enable-linger" in plan.hint
    with pytest.raises(Stop, match="line break"):
        plan_for("linux", ["a\nExecStart=b"], HOME, USER)


def test_two_homes_have_two_units_and_the_usual_home_the_plain_name():
    assert plan_for("linux", command(), default_home(), USER).file.name == "provider-join.service"
    assert plan_for("linux", command(), HOME, USER).file.name != plan_for("linux", command(), USER, USER).file.name


def test_launchd_gets_a_property_list():
    plan = plan_for("darwin", command(), HOME, USER)
    content = plistlib.loads(plan.content)
    assert content["ProgramArguments"] == command()
    assert content["KeepAlive"] == {"SuccessfulExit": False}
    assert plan.file.parent == USER / "Library/LaunchAgents"


def test_the_task_scheduler_gets_a_task():
    words = [r"C:\Program Files\Python\python.exe", "-m", "provider_join", "--name", "a & b"]
    plan = plan_for("win32", words, HOME, USER)
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    task = ElementTree.fromstring(plan.content)
    assert task.findtext(f".//{space}Command") == words[0]
    assert task.findtext(f".//{space}Arguments") == '-m provider_join --name "a & b"'


def service(act: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home.parent), "PATH": str(home.parent), "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-m", "provider_join", "service", act, "--home", str(home), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.skipif(sys.platform != "linux", reason="writes a systemd unit")
def test_install_and_remove_say_what_they_did_and_what_is_left_to_do(tmp_path):
    # Given a machine that has not joined: it would start without a credential
    home = Home(tmp_path / "agent")
    refused = service("install", home.path, "--url", "https://fabric.example")
    assert (refused.returncode, "Join first" in refused.stdout) == (2, True)
    # When it has, on a system without systemd
    home.keep(Credential("prv_1", "fpc_secret"))
    done = service("install", home.path, "--url", "https://fabric.example", "--hours", "22-7")
    # Then the unit is written, and what could not be done is said
    (unit,) = tmp_path.glob(".config/systemd/user/*.service")
    assert str(home.path) in unit.read_text()
    assert "fpc_secret" not in unit.read_text()
    assert done.returncode == 1
    assert "there is no systemctl here" in done.stdout
    assert "journalctl --user" in done.stdout
    assert home.settings()["limits"]["hours"] == "22-7"
    service("remove", home.path)
    assert not unit.exists()
    again = service("remove", home.path)
    assert (again.returncode, "Nothing to remove" in again.stdout) == (0, True)
