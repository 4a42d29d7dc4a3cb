"""The HAProxy in front of everything that HTTP reaches: its configuration, as text.

One port serves it all: TLS is ended here, `/objects/…` goes to the object server, everything else to Ray Serve's own HAProxy
(which speaks no TLS); both listen on loopback only. Nothing is buffered beyond HAProxy's 16 KiB, so uploads, ranges and event
streams pass as they come. Who the caller is, is written here and nowhere else: what a request brings along about that is removed.
The API believes it because it comes from loopback, where strangers cannot come from.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from fabric.local.serve_environment import STREAM_S

OBJECTS_PATH = "/objects"
HSTS_S = 31_536_000
HELLO_S = 10  # a connection that has not said by then what it wants is closed
KEEP_ALIVE_S = 75
UPLOAD_WINDOW_BYTES = 1024 * 1024  # of one HTTP/2 stream; the 64 KiB of the standard make uploads wait for each round trip
CIPHERS_12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
CIPHERS_13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
CLAIMS = ("forwarded", "x-real-ip", "x-client-ip", "true-client-ip")
"""Headers beside X-Forwarded-… by which a caller could pretend to be somebody else."""

NO_DELAY = "    option http-no-delay"  # an event is sent when it happens, not when a packet is full
IN_CLEAR = (
    "This port speaks HTTPS; use https:// in the address. If this request carried a credential, it has crossed the network in "
    "clear: revoke it."
)
STARTING = "This fabric is starting or restarting; try again."


@dataclass(frozen=True)
class FrontConfig:
    """What the front listens on and what stands behind it."""

    host: str
    port: int
    serve_port: int
    objects_port: int | None
    """None: objects are in S3."""
    folder: Path
    """Short and private: the certificate and two sockets lie here."""
    is_tls: bool
    is_strict: bool
    """Whether browsers are told to insist on TLS."""
    threads: int
    connections_max: int
    trusted_proxies: tuple[str, ...] = ()
    """Networks of the operator's own proxies before this one: whom they name is passed on, for the API to believe."""

    @property
    def certificate_file(self) -> Path:
        """Key, certificate and chain."""
        return self.folder / "tls.pem"

    @property
    def admin_socket(self) -> Path:
        """By which a renewed certificate is handed over."""
        return self.folder / "a.sock"


def front_configuration(config: FrontConfig) -> str:
    """The whole configuration."""
    lines = [*_global(config), *_defaults(), *(_encrypted(config) if config.is_tls else ["frontend http", _bind(config)])]
    lines += [*_rules(config), *_behind(config)]
    return "\n".join(lines) + "\n"


def problem(status: int, title: str, detail: str, code: str) -> str:
    """The rest of an HAProxy rule that answers with a problem document."""
    body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code})
    assert "'" not in body, "HAProxy's quotes"
    return f"status {status} content-type application/problem+json string '{body}'"


def _global(config: FrontConfig) -> list[str]:
    lines = [
        "global",
        f"    maxconn {config.connections_max}",
        f"    nbthread {config.threads}",
        f"    stats socket {config.admin_socket} mode 600 level admin",
    ]
    if config.is_tls:
        lines += [
            "    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets",
            f"    ssl-default-bind-ciphers {CIPHERS_12}",
            f"    ssl-default-bind-ciphersuites {CIPHERS_13}",
            f"    tune.h2.fe.initial-window-size {UPLOAD_WINDOW_BYTES}",
        ]
    return lines


def _defaults() -> list[str]:
    return [
        "defaults",
        "    mode http",
        "    option splice-auto",
        "    timeout connect 5s",
        f"    timeout http-request {HELLO_S}s",
        f"    timeout http-keep-alive {KEEP_ALIVE_S}s",
        f"    timeout client {STREAM_S}s",
        f"    timeout server {STREAM_S}s",
        f"    http-error {problem(400, 'Bad Request', 'This is no HTTP request.', 'malformed')}",
        f"    http-error {problem(408, 'Request Timeout', 'The request did not come in time.', 'malformed')}",
        f"    http-error {problem(502, 'Bad Gateway', STARTING, 'unavailable')} hdr Retry-After 2",
        f"    http-error {problem(503, 'Service Unavailable', STARTING, 'unavailable')} hdr Retry-After 2",
        f"    http-error {problem(504, 'Gateway Timeout', 'There was no answer in time.', 'unavailable')} hdr Retry-After 2",
    ]


def _bind(config: FrontConfig) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"    bind {host}:{config.port}"


def _encrypted(config: FrontConfig) -> list[str]:
    """A port that tells TLS from plaintext by its first bytes, and answers plaintext in words a person understands."""
    inner = f"unix@{config.folder / 't.sock'}"
    return [
        "frontend entrance",
        "    mode tcp",
        _bind(config),
        f"    tcp-request inspect-delay {HELLO_S}s",
        "    tcp-request content accept if { req.ssl_hello_type 1 }",
        "    tcp-request content switch-mode http if HTTP",
        "    tcp-request content reject",
        "    use_backend plaintext if HTTP",
        "    default_backend tls",
        "backend plaintext",
        "    acl reads method GET HEAD",
        "    acl credential req.hdr(authorization) -m found",
        "    http-request redirect scheme https code 308 if reads !credential",
        f"    http-request return {problem(400, 'Bad Request', IN_CLEAR, 'malformed')}",
        "backend tls",
        "    mode tcp",
        f"    server tls {inner} send-proxy-v2",
        "frontend https",
        f"    bind {inner} mode 600 accept-proxy ssl crt {config.certificate_file} alpn h2,http/1.1",
    ]


def _rules(config: FrontConfig) -> list[str]:
    # Serve's own pages, and figures about the whole fabric, tell strangers what is none of their business.
    nothing = problem(404, "Not Found", "There is no such resource.", "not_found")
    lines = [NO_DELAY]
    if config.trusted_proxies:
        lines += [
            f"    acl from_proxy src {' '.join(config.trusted_proxies)}",
            "    http-request set-var(txn.named) req.fhdr(x-forwarded-for) if from_proxy",
        ]
    lines += ["    http-request del-header x-forwarded- -m beg"]
    lines += [f"    http-request del-header {name}" for name in CLAIMS]
    lines += [
        "    http-request set-header x-forwarded-for %[src]",
        *(
            ["    http-request set-header x-forwarded-for %[var(txn.named)],%[src] if { var(txn.named) -m found }"]
            if config.trusted_proxies
            else []
        ),
        f"    http-request set-header x-forwarded-proto {'https' if config.is_tls else 'http'}",
        f"    http-request return {nothing} if {{ path,url_dec -m beg /-/ }}",
        f"    http-request return {nothing} if {{ path,url_dec -m beg /metrics }} !{{ src 127.0.0.0/8 ::1 }}",
    ]
    if config.is_strict:
        lines.append(f"    http-after-response set-header strict-transport-security max-age={HSTS_S}")
    if config.objects_port is not None:
        lines.append(f"    use_backend objects if {{ path_beg {OBJECTS_PATH}/ }}")
    return [*lines, "    default_backend api"]


def _behind(config: FrontConfig) -> list[str]:
    lines = ["backend api", NO_DELAY, f"    server api 127.0.0.1:{config.serve_port}"]
    if config.objects_port is not None:
        lines += [
            "backend objects",
            NO_DELAY,
            f"    http-request replace-path ^{OBJECTS_PATH}/(.*)$ /\\1",
            # What users upload shares the API's origin; no browser may take it for a page of ours.
            "    http-response set-header x-content-type-options nosniff",
            "    http-response set-header content-security-policy sandbox",
            f"    server objects 127.0.0.1:{config.objects_port}",
        ]
    return lines
