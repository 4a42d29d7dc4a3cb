"""The README, block by block, as a newcomer would type it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
START_TIMEOUT_S = 150

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]


class Running:
    """A command of the README that stays, and what it has printed."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.printed = ""
        self._grown = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._grown:
                self.printed += line
                self._grown.notify_all()
        with self._grown:
            self._grown.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        with self._grown:
            found = self._grown.wait_for(lambda: re.search(pattern, self.printed), START_TIMEOUT_S)
        assert found, self.printed
        return found

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(90)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1", **more}


def test_the_readme_has_the_blocks_that_this_story_runs():
    kinds = [(kind, code.strip().splitlines()[0]) for kind, code in BLOCKS]
    assert kinds == [
        ("sh", "make demo"), ("sh", "make up"), ("python", "from fabric import Client"), ("sh", ".venv/bin/fabric models list"),
        ("sh", '.venv/bin/provider-join --url "$FABRIC_URL" --token "$JOIN_TOKEN" --home "$MACHINE_HOME"'),
    ]  # fmt: skip


def test_make_demo_tells_its_story_and_leaves_nothing_behind():
    folder = Path(tempfile.mkdtemp(prefix="fbt-"))  # short: sockets lie below it
    folder.chmod(0o711)
    told = subprocess.run(
        ["fabric", "demo"], env=environment(TMPDIR=str(folder)), capture_output=True, text=True, timeout=240, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    for promised in ["accuracy", "in input order: True", "trial balance     0", "audits            all empty", "commission"]:
        assert promised in told.stdout, told.stdout
    # ONNX Runtime itself keeps a small file named .ses in the temp folder; of ours there is nothing, neither folder nor socket.
    assert not [path for path in folder.iterdir() if path.name != ".ses"]
    shutil.rmtree(folder)


def test_every_other_block_of_the_readme_does_what_it_says(tmp_path):
    # Given a fabric that somebody started as the README says
    home = Path(tempfile.mkdtemp(prefix="fb-rm-"))
    home.chmod(0o711)
    up = Running(["fabric", "up"], environment(FABRIC_HOME=str(home)))
    joined = None
    try:
        shown = up.wait_for(r"export FABRIC_URL=(\S+) FABRIC_API_KEY=(\S+)[\s\S]*--token (\S+)")
        env = environment(
            FABRIC_URL=shown[1], FABRIC_API_KEY=shown[2], JOIN_TOKEN=shown[3], MACHINE_HOME=str(tmp_path / "machine")
        )
        # When its Python block is run, most digits are right and it cost something
        python = next(code for kind, code in BLOCKS if kind == "python")
        done = subprocess.run([sys.executable, "-c", python], env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        share, _, _, cost, _ = done.stdout.split()
        assert float(share) > 0.9
        assert float(cost) > 0
        # And its shell block shows model, job and wallet
        shell = next(code for _, code in BLOCKS if "fabric jobs list" in code).replace(".venv/bin/", "")
        shown_by_shell = subprocess.run(
            ["bash", "-ec", shell], env=env, capture_output=True, text=True, timeout=60, check=True
        ).stdout
        assert "digits" in shown_by_shell
        assert "succeeded" in shown_by_shell
        assert '"livemode":false' in shown_by_shell.replace(" ", "")
        # And one more machine joins and leaves
        join = next(code for _, code in BLOCKS if "provider-join" in code).replace(".venv/bin/", "exec ")
        joined = Running(["bash", "-c", join], env)
        joined.wait_for(r"Ray node is up")
        assert joined.end() == 0
        joined = None
    finally:
        if joined is not None:
            joined.end()
        ended = up.end()
        shutil.rmtree(home, ignore_errors=True)
        assert ended == 0, up.printed
