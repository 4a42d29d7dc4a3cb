"""Stands between Ray Serve and its HAProxy: closes the side doors, ties its life to Serve's, then becomes the real HAProxy.

Ray Serve writes the configuration and starts the binary that RAY_SERVE_HAPROXY_BINARY_PATH names; that is a two-line script
which runs this file (standard library only, no import of fabric: it must start in milliseconds). Here
1. the statistics page and the metrics port move from all interfaces to loopback, the admin socket becomes private;
2. the answers for "no server" and "no application yet" become a 503 problem with Retry-After, in place of a bare 500 and a 404 of
   Serve's: who asks for a job while the fabric restarts must not read that there is no such job;
3. access lines go nowhere: Fabric logs requests itself, and the machine's syslog is not ours;
4. the kernel is told to kill HAProxy when its parent ends, so that none outlives its cluster and holds its port;
then the process image is replaced by HAProxy, under the same process id.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
UNAVAILABLE_BODY = (
    '{"type":"about:blank","title":"Service Unavailable","status":503,'
    '"detail":"This fabric is starting or restarting; try again.","code":"unavailable"}'
)
UNAVAILABLE = (
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 2\r\n"
    f"Cache-Control: no-store\r\nContent-Length: {len(UNAVAILABLE_BODY)}\r\n\r\n{UNAVAILABLE_BODY}"
)
RETURN_UNAVAILABLE = f"return status 503 content-type application/problem+json hdr Retry-After 2 string '{UNAVAILABLE_BODY}'"
NO_APPLICATION = f"    http-request {RETURN_UNAVAILABLE}"
# Fabric's own 404 is a problem document; one in plain text is of Serve's proxies, which do not know the application yet.
NOT_OURS = f"    http-response {RETURN_UNAVAILABLE} if {{ status 404 }} {{ res.hdr(content-type) -m beg text/plain }}"


def closed(configuration: str) -> str:
    """The configuration with its side doors on loopback, and no answer but Fabric's own or that it is restarting."""
    section = ""
    lines = []
    for line in configuration.splitlines():
        words = line.split()
        if line and not line[0].isspace() and words:
            section = " ".join(words[:2])
        if section in {"frontend prometheus", "listen stats"} and words[:1] == ["bind"]:
            lines.append(f"    bind 127.0.0.1:{words[1].rpartition(':')[2]}")
        elif section == "global" and words[:2] == ["stats", "socket"]:
            lines.append(line.replace("mode 666", "mode 600"))
        elif section == "frontend http_frontend" and words[:1] == ["bind"]:
            lines += [line, NOT_OURS]
        elif section == "backend default_backend" and words[:4] == ["http-request", "return", "status", "404"]:
            lines.append(NO_APPLICATION)
        elif line != NOT_OURS and (section != "global" or words[:1] != ["log"]):
            lines.append(line)
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Become HAProxy: `arguments` are the path of the real binary and what Ray Serve passed."""
    binary = arguments[0]
    path = arguments[arguments.index("-f") + 1] if "-f" in arguments else None
    if path:
        with open(path) as file:  # noqa: PTH123 - pathlib would double the start-up time of this shim
            configuration = file.read()
        with open(path, "w") as file:  # noqa: PTH123
            file.write(closed(configuration))
        with open(os.path.join(os.path.dirname(path), "500.http"), "w", newline="") as file:  # noqa: PTH118, PTH120, PTH123
            file.write(UNAVAILABLE)
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(binary, [binary, *arguments[1:]])  # noqa: S606 - the very purpose


if __name__ == "__main__":
    main(sys.argv[1:])
