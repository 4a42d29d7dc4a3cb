"""The agent tells its token to nobody in clear, and to nobody who cannot prove who he is."""

import ssl
import urllib.request

import pytest

from provider_join.api import ControlPlane, Unreachable
from provider_join.config import Credential, Home, Stop, read_options
from provider_join.ray_node import clean_environment
from provider_join.trust import Trust, trust_of
from tests.fixtures.certificates import Issued

ME = Credential("prv_1", "fpc_secret")


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    for name in ("FABRIC_CA_FILE", "FABRIC_FINGERPRINT", "FABRIC_ALLOW_PLAINTEXT", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def heartbeat(url, trust):
    control = ControlPlane(url, trust)
    try:
        return control.heartbeat(ME, {})
    finally:
        control.close()


@pytest.mark.parametrize("url", ["http://192.0.2.7:8700", "http://fabric.example"])
def test_a_token_is_not_sent_in_clear_beyond_this_machine(url, monkeypatch):
    said = ["--url", url, "--token", "fjt_x"]
    with pytest.raises(Stop, match="--allow-plaintext") as stop:
        ControlPlane(url, trust_of(read_options(said)))
    assert stop.value.code == 2
    ControlPlane(url, trust_of(read_options([*said, "--allow-plaintext"]))).close()
    monkeypatch.setenv("FABRIC_ALLOW_PLAINTEXT", "1")
    ControlPlane(url, trust_of(read_options(said))).close()


def test_an_unknown_authority_is_no_contact_and_hears_no_credential(encrypted_server):
    with pytest.raises(Unreachable, match=r"(?i)certificate verify failed"):
        heartbeat(encrypted_server.url, Trust())
    assert encrypted_server.credentials == []


def test_an_authority_from_a_file_is_accepted(encrypted_server, authority):
    assert heartbeat(encrypted_server.url, Trust(ca_file=authority.ca_file)) == {"data": []}
    assert encrypted_server.credentials == ["Bearer fpc_secret"]


def test_a_fingerprint_is_one_certificate_and_no_other(encrypted_server, authority):
    shown = authority.folder / "1.pem"
    assert heartbeat(encrypted_server.url, Trust(fingerprint=Issued(shown, shown).fingerprint)) == {"data": []}
    other = authority.issue("localhost").fingerprint
    with pytest.raises(Unreachable, match="expected was sha256:"):
        heartbeat(encrypted_server.url, Trust(fingerprint=other))
    assert encrypted_server.credentials == ["Bearer fpc_secret"]


def test_a_ca_file_that_is_none_stops_the_agent(tmp_path):
    with pytest.raises(Stop, match=r"absent\.pem"):
        ControlPlane("https://fabric.example", Trust(ca_file=tmp_path / "absent.pem"))


def test_the_ray_node_accepts_what_the_agent_accepts_beside_the_usual_authorities(encrypted_server, authority, tmp_path):
    home = Home(tmp_path / "agent")
    assert "SSL_CERT_FILE" not in clean_environment(home, tmp_path, {})
    control = ControlPlane(encrypted_server.url, Trust(ca_file=authority.ca_file))
    control.heartbeat(ME, {})
    control.share_trust(home)
    control.close()
    trusted = clean_environment(home, tmp_path, {})["SSL_CERT_FILE"]
    context = ssl.create_default_context(cafile=trusted)
    assert urllib.request.urlopen(encrypted_server.url, context=context, timeout=20).status == 200
    assert len(context.get_ca_certs()) > 100
    # A fabric that needs none of that takes it away again.
    ControlPlane("https://fabric.example", Trust()).share_trust(home)
    assert "SSL_CERT_FILE" not in clean_environment(home, tmp_path, {})
