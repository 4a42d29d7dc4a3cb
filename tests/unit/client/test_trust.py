"""The client tells its key to nobody in clear, and to nobody who cannot prove who he is."""

import pytest

from fabric.client import Client
from fabric.client._sync.transport import Transport
from fabric.client.errors import PlaintextRefused, WrongCertificate
from fabric.client.trust import Trust


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    for name in ("FABRIC_CA_FILE", "FABRIC_FINGERPRINT", "FABRIC_ALLOW_PLAINTEXT", "FABRIC_URL", "FABRIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("url", ["http://192.0.2.7:8700", "http://fabric.example", "http://127.0.0.1.example.org"])
def test_a_key_is_not_sent_in_clear_beyond_this_machine(url, monkeypatch):
    with pytest.raises(PlaintextRefused, match=r"allow_plaintext=True.*--allow-plaintext"):
        Client(url, "fab_key")
    Client(url).close()  # nothing secret, nothing to refuse
    Client(url, "fab_key", allow_plaintext=True).close()
    monkeypatch.setenv("FABRIC_ALLOW_PLAINTEXT", "1")
    Client(url, "fab_key").close()
    with pytest.raises(PlaintextRefused):
        Client(url, "fab_key", allow_plaintext=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8700", "http://localhost:8700", "http://[::1]:8700", "https://fabric.example"])
def test_loopback_and_tls_need_no_permission(url):
    Client(url, "fab_key").close()


def test_a_signed_url_is_a_credential_too():
    transport = Transport("https://fabric.example", "fab_key")
    with pytest.raises(PlaintextRefused):
        transport.put_signed("http://store.example/key?s=signature", {}, b"content")
    transport.close()


def test_an_unknown_authority_is_refused_before_the_key_is_sent(encrypted_server):
    with Client(encrypted_server.url, "fab_key") as client, pytest.raises(WrongCertificate, match="could not prove who it is"):
        client.models.list()
    assert encrypted_server.credentials == []


def test_an_authority_from_a_file_is_accepted(encrypted_server, authority, monkeypatch):
    with Client(encrypted_server.url, "fab_key", ca_file=authority.ca_file) as client:
        assert client.models.list() == []
    monkeypatch.setenv("FABRIC_CA_FILE", str(authority.ca_file))
    with Client(encrypted_server.url, "fab_key") as client:
        assert client.models.list() == []
    assert encrypted_server.credentials == ["Bearer fab_key"] * 2


def test_a_fingerprint_is_one_certificate_and_no_other(encrypted_server, authority):
    shown = authority.folder / "1.pem"
    other = authority.issue("localhost")
    right = type(other)(shown, shown).fingerprint
    spelled = right.removeprefix("sha256:").upper()
    for fingerprint in (right, ":".join(spelled[i : i + 2] for i in range(0, 64, 2))):
        with Client(encrypted_server.url, "fab_key", fingerprint=fingerprint) as client:
            assert client.models.list() == []
    with (
        Client(encrypted_server.url, "fab_other", fingerprint=other.fingerprint) as client,
        pytest.raises(WrongCertificate, match=right),
    ):
        client.models.list()
    assert "Bearer fab_other" not in encrypted_server.credentials


def test_uploads_by_signed_url_go_by_the_same_trust(encrypted_server, authority):
    transport = Transport(encrypted_server.url, "fab_key", trust=Trust(ca_file=authority.ca_file))
    transport.put_signed(f"{encrypted_server.url}/objects/key?s=signature", {}, b"content")
    transport.close()
    assert encrypted_server.credentials == [None]  # the signature is the credential there; our own stays here


def test_a_ca_file_that_is_none_is_told(tmp_path):
    with pytest.raises(WrongCertificate, match=r"absent\.pem"):
        Client("https://fabric.example", "fab_key", ca_file=tmp_path / "absent.pem")
