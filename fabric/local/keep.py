"""`fabric up` as people see it: starts a fabric, says how to reach it, keeps it until it is told to end."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType

from rich.console import Console

from fabric.core.errors import FabricError
from fabric.local.bootstrap import BootstrapFailed
from fabric.local.parts import PartFailed
from fabric.local.tls import choose_tls
from fabric.local.up import LocalFabric


def keep_fabric(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    providers: int = 2,
    gate: bool | None = None,
    gate_host: str | None = None,
    trust_providers: bool = False,
    tls: str | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    name: str | None = None,
    allow_plaintext: bool = False,
    home: Path | None = None,
) -> int:
    """Start a fabric, print what people need, keep it until SIGINT or SIGTERM; returns the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    ending = threading.Event()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {line}")

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not ending.is_set():  # the second Ctrl-C must not cut the orderly end short
            ending.set()
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    fabric = None
    try:
        fabric = LocalFabric(
            home=home, host=host, port=port, providers=providers, gate=gate, gate_host=gate_host,
            trust_providers=trust_providers,
            tls=choose_tls(tls, tls_cert, tls_key), name=name, allow_plaintext=allow_plaintext, tell=tell,
        )  # fmt: skip
        started_s = time.monotonic()
        fabric.start()
        tell(f"ready after {time.monotonic() - started_s:.1f} s")
        console.print(welcome(fabric), markup=False)
        ending.wait()
    except KeyboardInterrupt:
        ending.set()
    except (FabricError, PartFailed, BootstrapFailed, OSError) as error:
        ending.set()
        console.print(str(error), markup=False, style="red")
        return 1
    tell("ending everything")
    if fabric is not None:
        fabric.stop()
    tell("ended")
    return 0


def trust_advice(fabric: LocalFabric) -> str:
    """How clients come to trust the endpoint: the rest of an `export`, and words; empty when nothing is needed."""
    tls = fabric.assembly.tls
    if tls is None:
        return "" if fabric.addresses.is_loopback else " FABRIC_ALLOW_PLAINTEXT=1"
    if not tls.certificate.is_self_signed:
        return ""
    return f""" FABRIC_FINGERPRINT={tls.certificate.fingerprint}
  certificate  self-signed, good until {tls.certificate.ends_at:%Y-%m-%d}; clients trust it by its fingerprint as above, or by a copy of
               {tls.public_file} (FABRIC_CA_FILE, --ca-file, Client(url, ca_file=…))"""


def mail_advice(fabric: LocalFabric) -> str:
    """Where mails to users go."""
    settings = fabric.assembly.settings
    if settings.mail.host is None:
        return f"{settings.mail_path}   (.eml files: FABRIC_MAIL_HOST names no SMTP server)"
    return f"sent through {settings.mail.host}:{settings.mail.port}"


def welcome(fabric: LocalFabric) -> str:
    """What people need to know of a running fabric."""
    trust = trust_advice(fabric)
    return f"""
  console      {fabric.url}/   (sign in as you@localhost; the password is in {fabric.home.secrets}/you.password)
  endpoint     {fabric.url}   (documentation: {fabric.url}/docs)
  API key      {fabric.api_key}
               export FABRIC_URL={fabric.url} FABRIC_API_KEY={fabric.api_key}{trust}
  data         {fabric.home.path}
  logs         {fabric.home.logs}   (Ray's while it runs: {fabric.assembly.temp_dir}/r/session_latest/logs)
  mails        {mail_advice(fabric)}
  join         {fabric.join_command}
               lets one more machine join; on this machine add --home with a folder of its own

  Play money only. `fabric doctor` checks everything. Ctrl-C ends it.
"""
