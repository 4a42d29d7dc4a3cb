"""Upgrades the agent when its fabric has become another: installs what the fabric serves, then becomes it.

Only an agent that `install.py` installed does so; whoever installed it by hand upgrades it by hand.
"""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from subprocess import CalledProcessError
from typing import Any

from provider_join import install
from provider_join.config import Home, Options

AGAIN_AFTER_S = 600.0
"""A build that could not be installed is tried again after so long."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What the present environment was made from."""

    build: str
    """SHA-256 of the wheel."""
    flavour: str


def installed(prefix: Path = Path(sys.prefix)) -> Installed | None:
    """What `install.py` wrote about this environment; None when it was made by other hands."""
    try:
        record = json.loads((prefix / install.MARKER).read_text())
        return Installed(str(record["wheel_sha256"]), str(record["flavour"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Upgrade:
    """Notices that the fabric serves another build, and installs it beside the present one while work goes on."""

    def __init__(self, options: Options, home: Home, inbox: SimpleQueue[Any], present: Installed | None) -> None:
        """`inbox` hears ("upgraded", None, environment) once, or ("note", …) when it could not be installed."""
        self._options, self._home, self._inbox, self._present = options, home, inbox, present
        self._is_under_way = False
        self._retry_at = 0.0

    def notice(self, build: object, now_s: float) -> bool:
        """The fabric says what it serves; whether an upgrade began just now."""
        if self._present is None or not isinstance(build, str) or build == self._present.build or now_s < self._retry_at:
            return False
        if self._is_under_way:
            return False
        self._retry_at, self._is_under_way = now_s + AGAIN_AFTER_S, True
        threading.Thread(target=self._install, name="upgrade", daemon=True).start()
        return True

    def _install(self) -> None:
        try:
            told = ("upgraded", None, str(fetch(self._options, self._home, self._present)))
        except (install.Stop, OSError, CalledProcessError) as error:
            told = ("note", None, f"the new version could not be installed: {error}; trying again later")
        finally:
            self._is_under_way = False  # before it is told, so that whoever hears it finds it over
        self._inbox.put(told)


def fetch(options: Options, home: Home, present: Installed | None) -> Path:
    """Install what the fabric serves now; the environment, which is another than the present one.

    Raises:
        install.Stop: the fabric does not answer, this machine does not fit, or it is what runs here already.
        OSError, CalledProcessError: it could not be installed.
    """
    if present is None:
        raise install.Stop("this agent was not installed by its fabric")
    fabric = install.Fabric(options.url, options.ca_file, options.fingerprint, options.allow_plaintext)
    environment = install.install(fabric, home.path, present.flavour)
    if environment == Path(sys.prefix):
        raise install.Stop("this fabric serves what runs here already")
    return environment


def become(environment: Path, arguments: list[str], say: Callable[[str], None]) -> int:
    """Go on as the agent of another environment; its exit code where a process cannot be replaced."""
    say(f"going on as {environment.name}")
    return install.become(environment, arguments)
