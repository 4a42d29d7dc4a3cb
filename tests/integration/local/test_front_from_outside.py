"""The front as another machine sees it: in a network namespace with an address beyond loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.trivial_fabric import REPOSITORY

SCRIPT = """
import json, subprocess, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import httpx
from fabric.local.front import FrontConfig
from fabric.local.front_part import FrontPart
from fabric.local.processes import scrubbed_environment

for command in ("ip link set lo up", "ip link add f0 type veth peer name f1", "ip addr add 192.0.2.7/24 dev f0",
                "ip link set f0 up", "ip link set f1 up"):
    subprocess.run(command.split(), check=True)

class Behind(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "caller": self.headers["X-Forwarded-For"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

behind = ThreadingHTTPServer(("127.0.0.1", 0), Behind)
threading.Thread(target=behind.serve_forever, daemon=True).start()
folder = Path(sys.argv[1])
config = FrontConfig(host="0.0.0.0", port=8700, serve_port=behind.server_address[1], objects_port=None, folder=folder, is_tls=False,
                     is_strict=False, threads=1, connections_max=100)
front = FrontPart(config, None, log=folder / "front.log", environment=scrubbed_environment({}))
front.start()
seen = {}
for host in ("192.0.2.7", "127.0.0.1"):
    for path in ("/livez", "/metrics", "/%6detrics", "/-/routes", "/%2d/routes"):
        answer = httpx.get(f"http://{host}:8700{path}", headers={"X-Forwarded-For": "127.0.0.1"}, trust_env=False, timeout=30)
        seen[f"{host}{path}"] = [answer.status_code, answer.json().get("caller")]
front.stop()
print(json.dumps(seen))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_outside_is_told_apart_from_loopback_whatever_it_claims(tmp_path: Path):
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    # Who is outside is named by the kernel's word for it, and sees neither figures nor Serve's own pages
    assert seen["192.0.2.7/livez"] == [200, "192.0.2.7"]
    for path in ("/metrics", "/%6detrics", "/-/routes", "/%2d/routes"):
        assert seen[f"192.0.2.7{path}"] == [404, None]
    # Who is on the machine itself may read the figures
    assert seen["127.0.0.1/metrics"] == [200, "127.0.0.1"]
    assert seen["127.0.0.1/-/routes"] == [404, None]
