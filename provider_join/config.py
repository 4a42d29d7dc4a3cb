"""The agent's few settings and where they are kept.

One home is one machine of one fabric: `credential.json` (mode 0600) holds what enrolment gave, so that a second start needs no
token; `settings.json` what the owner allows; `run/` the lock, the way to talk to the agent, and the processes to end after a
crash; `logs/` what ran here, and the Ray node's logs.
"""

import argparse
import contextlib
import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from provider_join.accelerators import KINDS, WORDS, Wishes
from provider_join.install import default_home


class Stop(Exception):
    """The agent cannot go on; the message says why and what helps, `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        self.code = code
        super().__init__(message)


YES = {"1", "true", "yes", "on"}
CA_FILE_HELP = "certificates (PEM) to accept beside the usual authorities (or FABRIC_CA_FILE)"
FINGERPRINT_HELP = "sha256:… of the fabric's certificate; no other is accepted (or FABRIC_FINGERPRINT)"
PLAINTEXT_HELP = "use http:// beyond this machine: the network is encrypted already (or FABRIC_ALLOW_PLAINTEXT=1)"
DEVICE_WORD = re.compile(rf"({'|'.join(KINDS)})(:\d{{1,2}}(:\d{{1,2}})?)?")
PREFER_WORD = re.compile("|".join(WORDS))
WORDS_HELP = (
    "For the agent that runs: provider-join doctor | status | why | pause | resume | drain | log | service install|remove"
)
EXIT_REFUSED = 3  # the fabric does not know this machine (any more)
EXIT_VERSIONS = 4  # other versions are wanted
EXIT_UPGRADE = 6  # never leaves the process: the newer agent takes its place
EXIT_RUNNING = 5  # another agent uses this home
EXIT_NOT_RUNNING = 7  # no agent runs from this home, or it does not answer


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line and the environment say."""

    url: str
    token: str | None
    name: str
    home: Path
    slots: int | None
    threads: int | None
    price: str | None  # USD per hour and slot
    region: str
    check: bool
    ca_file: Path | None = None
    fingerprint: str | None = None
    allow_plaintext: bool = False
    without: tuple[str, ...] = ()  # devices that are not lent
    prefer: tuple[str, ...] = ()  # execution providers to take first
    limits: dict[str, Any] = field(default_factory=dict)  # those that the command line names

    @property
    def wishes(self) -> Wishes:
        """What they say about slots."""
        return Wishes(self.slots, self.threads, self.without, self.prefer)


@dataclass(frozen=True, slots=True)
class Credential:
    """What enrolment gave this machine."""

    provider_id: str
    credential: str


def read_options(arguments: list[str] | None = None) -> Options:
    """Parse the command line; FABRIC_URL and FABRIC_JOIN_TOKEN fill in what it leaves out.

    Raises:
        Stop: something on it cannot be right.
    """
    from provider_join.limits import add_options, said_limits

    parser = argparse.ArgumentParser(prog="provider-join", description="Lend this machine to a fabric.", epilog=WORDS_HELP)
    parser.add_argument("--url", default=os.environ.get("FABRIC_URL"), help="the fabric's address (or FABRIC_URL)")
    parser.add_argument("--token", help="the join token; needed the first time only (or FABRIC_JOIN_TOKEN, or --token-file)")
    parser.add_argument("--token-file", type=Path, help="a file that holds the join token")
    parser.add_argument("--name", default=socket.gethostname(), help="how you recognise this machine (default: its host name)")
    parser.add_argument("--slots", type=int, help="CPU slots: models that run at once (default: by cores and memory)")
    parser.add_argument("--threads", type=int, help="threads of each CPU slot (default: cores / slots)")
    parser.add_argument(
        "--without", default="", help="devices not to lend, such as cpu,cuda:1 (provider-join --check names them)"
    )
    parser.add_argument("--prefer", default="", help=f"execution providers to take first, of {', '.join(WORDS)}")
    parser.add_argument("--price", help="USD per hour for each slot (default: suggested by the fabric)")
    parser.add_argument("--region", default="unknown", help="where this machine stands, such as eu")
    parser.add_argument("--home", type=Path, default=None, help=f"where the agent keeps its files (default: {default_home()})")
    parser.add_argument("--ca-file", type=Path, default=os.environ.get("FABRIC_CA_FILE") or None, help=CA_FILE_HELP)
    parser.add_argument("--fingerprint", default=os.environ.get("FABRIC_FINGERPRINT") or None, help=FINGERPRINT_HELP)
    parser.add_argument("--allow-plaintext", action="store_true", help=PLAINTEXT_HELP)
    parser.add_argument("--check", action="store_true", help="say whether joining would work, then end")
    add_options(parser)
    given = parser.parse_args(arguments)
    if not given.url:
        raise Stop("Which fabric? Give --url http://host:port (or set FABRIC_URL).", 2)
    if given.slots is not None and given.slots < 0:
        raise Stop("--slots is 0 or more.", 2)
    if given.threads is not None and given.threads < 1:
        raise Stop("--threads is 1 or more.", 2)
    return Options(
        given.url.rstrip("/"), _token(given.token, given.token_file), given.name[:100], home_path(given.home),
        given.slots, given.threads, _price(given.price), given.region, given.check,
        ca_file=given.ca_file, fingerprint=given.fingerprint,
        allow_plaintext=given.allow_plaintext or os.environ.get("FABRIC_ALLOW_PLAINTEXT", "").lower() in YES,
        without=_words("--without", given.without, DEVICE_WORD), prefer=_words("--prefer", given.prefer, PREFER_WORD),
        limits=said_limits(given),
    )  # fmt: skip


def home_path(given: Path | None) -> Path:
    """The agent's folder: as given, else as FABRIC_PROVIDER_HOME says, else the usual one."""
    return (given or Path(os.environ.get("FABRIC_PROVIDER_HOME") or default_home())).expanduser().absolute()


def _token(given: str | None, file: Path | None) -> str | None:
    if given:
        return given
    if file is not None:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise Stop(f"The token file cannot be read: {error}", 2) from None
    return os.environ.get("FABRIC_JOIN_TOKEN") or None


def _words(option: str, text: str, allowed: re.Pattern[str]) -> tuple[str, ...]:
    words = tuple(word.strip().lower() for word in text.split(",") if word.strip())
    for word in words:
        if not allowed.fullmatch(word):
            raise Stop(f"{option}: {word!r} is none of those that there are; see provider-join --help.", 2)
    return words


def _price(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise Stop(f"--price {text!r} is not an amount of USD, such as 0.02.", 2)
    return format(amount, "f")


class Home:
    """The agent's folder."""

    def __init__(self, path: Path) -> None:
        """Make what is missing, closed to other users."""
        self.path = path
        self.logs = path / "logs"
        self.run = path / "run"
        self.ray_home = path / "ray-home"
        self.work_log = self.logs / "work.jsonl"
        self.settings_path = path / "settings.json"
        for folder in (path, self.logs, self.run, self.ray_home):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this home for one agent; the system lets go by itself when the agent dies.

        Raises:
            Stop: another agent holds it.
        """
        with (self.run / "lock").open("a") as file:
            if sys.platform != "win32":
                import fcntl

                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise Stop(
                        f"An agent is running from {self.path} already; another one needs its own --home.", EXIT_RUNNING
                    ) from None
            else:
                import msvcrt

                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                except OSError:
                    raise Stop(
                        f"An agent is running from {self.path} already; another one needs its own --home.", EXIT_RUNNING
                    ) from None
            yield

    def is_locked(self) -> bool:
        """Whether an agent holds this home; where the system cannot say (Windows), False."""
        try:
            with self.locked():
                return False
        except Stop:
            return True

    def settings(self) -> dict[str, Any]:
        """What is kept beside the credential: the fabric's address, the owner's limits and pause.

        Raises:
            Stop: the file is damaged.
        """
        try:
            kept = json.loads(self.settings_path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Stop(f"{self.settings_path} is damaged ({error}); remove it and give your limits again.") from None
        if not isinstance(kept, dict):
            raise Stop(f"{self.settings_path} is damaged; remove it and give your limits again.")
        return kept

    def keep_settings(self, **changes: Any) -> None:
        """Write some of them, leave the others.

        Raises:
            Stop: the file is damaged.
        """
        self.write_private(self.settings_path, json.dumps({**self.settings(), **changes}, indent=1))

    def credential(self) -> Credential | None:
        """What an earlier enrolment gave; None when there was none."""
        try:
            return Credential(**json.loads((self.path / "credential.json").read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise Stop(f"{self.path / 'credential.json'} is damaged ({error}); remove it and give a new --token.") from None

    def keep(self, credential: Credential) -> None:
        """Write the credential so that a crash leaves the old file or the new one."""
        self.write_private(self.path / "credential.json", json.dumps(asdict(credential)))

    def write_private(self, path: Path, text: str) -> None:
        """Replace a file at once, readable by its owner only."""
        temporary = path.with_name(path.name + ".new")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
