"""Installs the agent into an environment of its own, with exactly the versions that a fabric runs, and becomes it.

Served by every fabric at `/join/install.py`, and used by the agent itself when the fabric has become newer. Needs nothing but
Python: it runs before anything is installed, so it imports only the standard library and nothing of this package.

    python3 install.py --url https://fabric.example --token fjt_…
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import http.client
import ipaddress
import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FLAVOURS = ("provider", "provider-cuda", "provider-directml")
PYTHON_NAMES = ("python{0}", "python3", "python")
TIMEOUT_S = 30.0
BYTES_MAX = 64 * 1024 * 1024
"""Of anything that the fabric serves here."""
MARKER = "installed.json"
"""In each environment that is complete: what was installed. The agent that finds it beside itself may upgrade itself."""
IS_WINDOWS = sys.platform == "win32"
WSL_DRIVER = Path("/usr/lib/wsl/lib/nvidia-smi")


class Stop(Exception):
    """It cannot go on; the message says why and what helps."""


def main(arguments: list[str] | None = None) -> int:
    """Install what is missing, then run `provider-join` with the same arguments; returns its exit code, or 1."""
    try:
        options, rest = _options(sys.argv[1:] if arguments is None else arguments)
        fabric = Fabric(options.url, options.ca_file, options.fingerprint, options.allow_plaintext)
        environment = install(fabric, options.home, options.flavour or best_flavour())
    except (Stop, OSError, subprocess.CalledProcessError) as error:
        print(f"Not installed: {error}", file=sys.stderr)
        return 1
    print(f"installed in {environment}", flush=True)
    if options.install_only:
        return 0
    return become(environment, [*rest, "--home", str(options.home)], {"FABRIC_URL": fabric.url})


def _options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="install.py", description="Install Fabric's agent and lend this machine.", allow_abbrev=False
    )
    parser.add_argument("--url", default=os.environ.get("FABRIC_URL"), help="the fabric's address (or FABRIC_URL)")
    parser.add_argument("--home", type=Path, help="where agent, environment and files are kept")
    parser.add_argument("--flavour", choices=FLAVOURS, help="which ONNX Runtime (default: by what is found here)")
    parser.add_argument("--install-only", action="store_true", help="install, and do not join")
    parser.add_argument("--ca-file", type=Path, default=os.environ.get("FABRIC_CA_FILE"))
    parser.add_argument("--fingerprint", default=os.environ.get("FABRIC_FINGERPRINT"))
    parser.add_argument("--allow-plaintext", action="store_true", default=bool(os.environ.get("FABRIC_ALLOW_PLAINTEXT")))
    options, rest = parser.parse_known_args(arguments)
    if not options.url:
        raise Stop("which fabric? Give --url https://host:port (or set FABRIC_URL)")
    options.home = Path(options.home or os.environ.get("FABRIC_PROVIDER_HOME") or default_home()).expanduser().absolute()
    trust = [("--ca-file", options.ca_file), ("--fingerprint", options.fingerprint)]
    rest += [word for name, value in trust if value for word in (name, str(value))]
    return options, rest + (["--allow-plaintext"] if options.allow_plaintext else [])


def default_home() -> Path:
    """Where the agent keeps its files, unless told otherwise."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/fabric-provider")
    return Path.home() / ".local/share/fabric-provider"


def best_flavour() -> str:
    """The ONNX Runtime for what this machine has. In WSL2 Windows lends its NVIDIA driver, with the same program beside it."""
    has_nvidia = bool(shutil.which("nvidia-smi")) or Path("/proc/driver/nvidia/version").exists() or WSL_DRIVER.exists()
    return flavour_for(sys.platform, platform.machine(), has_nvidia)


def flavour_for(system: str, machine: str, has_nvidia: bool) -> str:
    """Pure: CUDA with an NVIDIA driver, DirectML on other Windows machines, else the processor's, which on macOS drives CoreML too.

    CUDA's and DirectML's come for x86-64 only. All own one module name, so a machine gets exactly one.
    """
    is_x86 = machine.lower() in {"x86_64", "amd64"}
    if is_x86 and has_nvidia and system in {"linux", "win32"}:
        return "provider-cuda"
    return "provider-directml" if is_x86 and system == "win32" else "provider"


def install(fabric: Fabric, home: Path, flavour: str) -> Path:
    """Make the environment for what `fabric` runs now, unless it is there; the folder.

    It is built beside the present one and counts only when its marker was written, so an interruption leaves what was there.

    Raises:
        Stop: the fabric or this machine's Python does not fit.
        subprocess.CalledProcessError: pip could not install it; it has said why.
    """
    wanted: dict[str, Any] = json.loads(fabric.fetch("/join/versions.json"))
    environment = home / "environments" / f"{wanted['fabric_version']}-{wanted['wheel_sha256'][:12]}-{flavour}"
    if (environment / MARKER).exists():
        return environment
    python = find_python(wanted["python_version"])
    print(f"installing Fabric {wanted['fabric_version']} [{flavour}] into {environment}; a minute or two …", flush=True)
    shutil.rmtree(environment, ignore_errors=True)
    environment.mkdir(parents=True, mode=0o700)
    wheel = environment / wanted["wheel"]
    wheel.write_bytes(fabric.fetch(f"/join/{wheel.name}", wanted["wheel_sha256"]))
    constraints = environment / "constraints.txt"
    constraints.write_bytes(fabric.fetch("/join/constraints.txt", wanted["constraints_sha256"]))
    if python == sys.executable:
        venv.create(environment, with_pip=True)
    else:
        subprocess.run([python, "-m", "venv", str(environment)], check=True)
    pip = [str(program(environment, "python")), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "-c", str(constraints), f"{wheel}[{flavour}]"], check=True)
    record = {**wanted, "flavour": flavour, "url": fabric.url}
    (environment / MARKER).write_text(json.dumps(record))
    return environment


def remove_others(environment: Path) -> None:
    """Remove the environments that an upgrade left behind; call when the new one runs."""
    for other in environment.parent.iterdir():
        if other != environment and other.is_dir():
            shutil.rmtree(other, ignore_errors=True)


def find_python(wanted: str) -> str:
    """A Python of the wanted first two numbers: this one, or another on the PATH.

    Raises:
        Stop: there is none.
    """
    if sys.version_info[:2] == tuple(map(int, wanted.split("."))):
        return sys.executable
    tried = [[name.format(wanted)] for name in PYTHON_NAMES] + ([["py", f"-{wanted}"]] if IS_WINDOWS else [])
    for command in tried:
        if shutil.which(command[0]):
            say = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
            answer = subprocess.run([*command, "-c", say], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
            lines = answer.stdout.split("\n")
            if lines[0] == wanted:
                return lines[1]
    raise Stop(f"this fabric runs Python {wanted}, and this machine has none: install it, then try again")


def program(environment: Path, name: str) -> Path:
    """A program inside an environment."""
    return environment / ("Scripts" if IS_WINDOWS else "bin") / (f"{name}.exe" if IS_WINDOWS else name)


def become(environment: Path, arguments: list[str], changes: dict[str, str] | None = None) -> int:
    """Run the environment's `provider-join` in place of this process; where a process cannot be replaced, its exit code."""
    command = [str(program(environment, "python")), "-m", "provider_join", *arguments]
    variables = {**os.environ, **(changes or {})}
    if not IS_WINDOWS:
        sys.stdout.flush()
        os.execve(command[0], command, variables)  # noqa: S606
    return subprocess.run(command, env=variables, check=False).returncode


class Fabric:
    """What the fabric serves to new machines, over a connection that was verified."""

    def __init__(
        self, url: str, ca_file: Path | None = None, fingerprint: str | None = None, allow_plaintext: bool = False
    ) -> None:
        """Nothing is connected yet.

        Raises:
            Stop: programs would come from there over a network in clear.
        """
        self.url = url.rstrip("/")
        self._parts = urlsplit(self.url)
        self._fingerprint = (fingerprint or "").strip().lower().replace("sha256:", "").replace(":", "")
        if self._parts.scheme != "https" and not is_loopback(self._parts.hostname or "") and not allow_plaintext:
            raise Stop(f"{url} is not encrypted, and programs come from there: use https://, or say --allow-plaintext")
        self._context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        if self._fingerprint:
            self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE  # compared below instead

    def fetch(self, path: str, sha256: str | None = None) -> bytes:
        """The bytes at a path of the fabric, compared with their digest where one is given.

        Raises:
            Stop: it does not answer, shows another certificate, or serves something else.
        """
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_S, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.connect()
            self._verify(connection)
            connection.request("GET", f"{self._parts.path}{path}")
            response = connection.getresponse()
            content = response.read(BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Stop(f"{self.url} does not answer: {error}") from None
        finally:
            connection.close()
        if response.status != 200:
            raise Stop(f"{self.url}{path} answers {response.status}: {content[:200].decode(errors='replace')}")
        if len(content) > BYTES_MAX or (sha256 and hashlib.sha256(content).hexdigest() != sha256):
            raise Stop(f"{self.url}{path} is not what was announced; try again")
        return content

    def _verify(self, connection: http.client.HTTPConnection) -> None:
        if not self._fingerprint or not isinstance(connection.sock, ssl.SSLSocket):
            return
        shown = hashlib.sha256(connection.sock.getpeercert(binary_form=True) or b"").hexdigest()
        if not hmac.compare_digest(shown, self._fingerprint):
            raise Stop(f"{self.url} shows the certificate sha256:{shown}, expected was sha256:{self._fingerprint}")


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
