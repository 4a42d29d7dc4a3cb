import stat
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fabric.core import clock
from fabric.core.errors import Invalid
from fabric.local.home import Home
from fabric.local.tls import SELF_SIGNED, TlsChoice, choose_tls, prepare_tls, read_certificate
from tests.fixtures.certificates import key_pem

HERE = {"host": "127.0.0.1", "advertised": "127.0.0.1", "name": None}


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def test_a_certificate_covers_its_names_and_one_label_of_its_wildcard(authority):
    issued = authority.issue("fabric.example", "*.machines.example", "192.0.2.7")
    certificate = read_certificate(issued.certificate, issued.key)
    assert all(map(certificate.covers, ("fabric.example", "FABRIC.example", "a.machines.example", "192.0.2.7")))
    assert not any(map(certificate.covers, ("machines.example", "b.a.machines.example", "192.0.2.8", "example")))
    assert certificate.fingerprint == issued.fingerprint
    assert not certificate.is_self_signed


def test_key_and_certificate_may_lie_in_one_file(authority):
    issued = authority.issue("fabric.example")
    both = authority.folder / "both.pem"
    both.write_bytes(issued.key.read_bytes() + issued.certificate.read_bytes())
    assert read_certificate(both).fingerprint == issued.fingerprint


def test_what_cannot_work_is_refused_with_the_reason(authority, tmp_path):
    good, other = authority.issue("fabric.example"), authority.issue("fabric.example")
    past, future = authority.issue("fabric.example", days=(-9, -1)), authority.issue("fabric.example", days=(1, 9))
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1()), b"word"))
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for certificate, key, why in [
        (good.certificate, other.key, "not that of the first certificate"),
        (past.certificate, past.key, "not now"),
        (future.certificate, future.key, "not now"),
        (good.certificate, encrypted, "encrypted"),
        (good.certificate, None, "--tls-key"),
        (empty, good.key, "no certificate"),
        (tmp_path / "absent.pem", good.key, "cannot be read"),
    ]:
        with pytest.raises(Invalid, match=why):
            read_certificate(certificate, key)


def test_others_are_given_a_name_that_the_certificate_is_for(authority, home):
    issued = authority.issue("fabric.example", "192.0.2.7")
    choice = TlsChoice(issued.certificate, issued.key)
    by_name = prepare_tls(choice, home, host="0.0.0.0", advertised="198.51.100.1", name=None)
    assert (by_name.name, by_name.is_strict) == ("fabric.example", True)
    by_address = prepare_tls(choice, home, host="0.0.0.0", advertised="192.0.2.7", name=None)
    assert (by_address.name, by_address.is_strict) == ("192.0.2.7", False)  # browsers keep no such promise for addresses
    with pytest.raises(Invalid, match=r"is for fabric\.example, 192\.0\.2\.7; it cannot prove who other\.example is"):
        prepare_tls(choice, home, host="0.0.0.0", advertised="192.0.2.7", name="other.example")


def test_a_self_signed_certificate_is_made_once_for_every_name_of_the_endpoint_and_kept_private(home):
    made = prepare_tls(TlsChoice(None, None), home, host="0.0.0.0", advertised="192.0.2.7", name="fabric.example")
    assert all(map(made.certificate.covers, ("fabric.example", "192.0.2.7", "localhost", "127.0.0.1", "::1")))
    assert made.certificate.is_self_signed
    assert not made.is_strict
    assert timedelta(days=364) < made.certificate.ends_at - clock.now() < timedelta(days=366)
    kept = home.secrets / "tls.pem"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert b"PRIVATE KEY" in kept.read_bytes()
    assert made.public_file.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    assert b"PRIVATE KEY" not in made.public_file.read_bytes()
    # A second start shows the same one; a start under another name needs another.
    again = prepare_tls(TlsChoice(None, None), home, host="0.0.0.0", advertised="192.0.2.7", name="fabric.example")
    assert again.certificate == made.certificate
    elsewhere = prepare_tls(TlsChoice(None, None), home, host="0.0.0.0", advertised="192.0.2.8", name=None)
    assert elsewhere.certificate.fingerprint != made.certificate.fingerprint
    assert elsewhere.certificate.covers("192.0.2.8")


def test_a_damaged_self_signed_certificate_is_replaced(home):
    home.keep_secret("tls.pem", "damaged")
    assert prepare_tls(TlsChoice(None, None), home, **HERE).certificate.covers("localhost")


def test_the_command_line_asks_for_one_certificate_or_none(tmp_path):
    pem = tmp_path / "x.pem"
    assert choose_tls(None, None, None) is None
    assert choose_tls(SELF_SIGNED, None, None) == TlsChoice(None, None)
    assert choose_tls(None, pem, None) == TlsChoice(pem, None)
    for kind, certificate, key in [("letsencrypt", None, None), (SELF_SIGNED, pem, None), (None, None, pem)]:
        with pytest.raises(Invalid, match="--tls"):
            choose_tls(kind, certificate, key)
