"""What a new machine finds at /join: a page, a script for each shell, and the very wheel that this fabric runs."""

import asyncio
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from provider_join import install

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


async def test_a_browser_is_shown_the_three_steps_with_this_fabrics_address(api):
    page = await api.get("/join", headers={**BROWSER, "Host": "fabric.example:8443", "X-Forwarded-Proto": "https"})
    assert page.status_code == 200
    assert "curl -fsSL https://fabric.example:8443/join | sh -s -- --token" in page.text
    assert "irm https://fabric.example:8443/join" in page.text
    assert "@" not in page.text.split("</style>")[1]
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_curl_is_handed_a_script_that_a_shell_can_read(api, tmp_path):
    answer = await api.get("/join", headers={"Accept": "*/*", "User-Agent": "curl/8.5.0"})
    assert answer.text.startswith("#!/bin/sh")
    script = tmp_path / "join.sh"
    script.write_text(answer.text)
    checked = await asyncio.to_thread(subprocess.run, ["sh", "-n", str(script)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


async def test_powershell_is_handed_its_own_script(api):
    answer = await api.get("/join", headers={"User-Agent": "Mozilla/5.0 (Windows NT 10.0; en-US) WindowsPowerShell/5.1"})
    assert "Invoke-WebRequest" in answer.text
    assert "@URL@" not in answer.text


@pytest.mark.parametrize("host", ["fabric.example'; rm -rf ~; '", "a b", "", "x" * 300, "$(reboot)"])
async def test_a_host_that_is_none_gets_no_script(api, host):
    answer = await api.get("/join", headers={"Host": host})
    assert answer.status_code == 400
    assert "rm -rf" not in answer.text


async def test_wheel_and_versions_are_what_the_announcement_says(api):
    announced = (await api.get("/join/versions.json")).json()
    wheel = await api.get(f"/join/{announced['wheel']}")
    assert hashlib.sha256(wheel.content).hexdigest() == announced["wheel_sha256"]
    constraints = await api.get("/join/constraints.txt")
    assert hashlib.sha256(constraints.content).hexdigest() == announced["constraints_sha256"]
    assert f"ray=={announced['ray_version']}\n" in constraints.text
    assert (await api.get("/join/onnx_fabric-0.0.0-py3-none-any.whl")).status_code == 404


async def test_the_wheel_installs_and_the_agent_in_it_runs(live_url, tmp_path, monkeypatch):
    # Given a pip that may fetch nothing, so that only the wheel itself is installed
    monkeypatch.setenv("PIP_NO_DEPS", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    fabric = install.Fabric(live_url)
    # And an installation that was interrupted: it has no marker
    announced = json.loads(await asyncio.to_thread(fabric.fetch, "/join/versions.json"))
    half = tmp_path / "environments" / f"{announced['fabric_version']}-{announced['wheel_sha256'][:12]}-provider" / "half"
    half.parent.mkdir(parents=True)
    half.write_text("of it")
    # When the installer runs
    environment = await asyncio.to_thread(install.install, fabric, tmp_path, "provider")
    # Then it was made anew, and the agent of that environment starts, from the files in it
    assert environment == half.parent
    assert not half.exists()
    python = install.program(environment, "python")
    probe = "import provider_join.upgrade as u, pathlib; print(pathlib.Path(u.__file__).parts[-3]); print(u.installed().flavour)"
    borrowed = {"PYTHONPATH": "", "PATH": "/usr/bin:/bin"}
    answer = await asyncio.to_thread(
        subprocess.run, [str(python), "-I", "-c", probe], capture_output=True, text=True, env=borrowed
    )
    assert answer.stdout.split() == ["site-packages", "provider"], answer.stderr
    assert install.program(environment, "provider-join").exists()
    assert (environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages/fabric/actors").is_dir()
    # And a second time nothing is done, since everything is there
    before = (environment / install.MARKER).stat().st_mtime_ns
    again = await asyncio.to_thread(install.install, fabric, tmp_path, "provider")
    assert (again, (again / install.MARKER).stat().st_mtime_ns) == (environment, before)


async def test_what_is_not_what_was_announced_is_not_installed(live_url, tmp_path):
    fabric = install.Fabric(live_url)
    with pytest.raises(install.Stop, match="not what was announced"):
        await asyncio.to_thread(fabric.fetch, "/join/constraints.txt", "0" * 64)


def test_programs_do_not_come_over_a_network_in_clear():
    with pytest.raises(install.Stop, match="not encrypted"):
        install.Fabric("http://fabric.example")
    assert install.Fabric("http://fabric.example", allow_plaintext=True).url == "http://fabric.example"


async def test_a_fabric_that_does_not_answer_is_said_so(tmp_path, capsys):
    code = await asyncio.to_thread(install.main, ["--url", "http://127.0.0.1:1", "--home", str(tmp_path)])
    assert code == 1
    assert "does not answer" in capsys.readouterr().err


def test_a_python_that_is_not_there_is_asked_for_in_words():
    with pytest.raises(install.Stop, match=r"runs Python 3\.6"):
        install.find_python("3.6")


def test_environments_that_an_upgrade_left_are_removed(tmp_path: Path):
    for name in ("old", "new"):
        (tmp_path / name / "lib").mkdir(parents=True)
    install.remove_others(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
