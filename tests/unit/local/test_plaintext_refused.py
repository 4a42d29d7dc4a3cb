import pytest

from fabric.core.errors import Invalid
from fabric.core.settings import StorageSettings
from fabric.local.addresses import Addresses, check_encryption, check_store_encryption

OUTSIDE = Addresses("192.0.2.7", "192.0.2.7")


def test_beyond_loopback_credentials_are_encrypted_or_somebody_says_that_they_need_not_be():
    with pytest.raises(Invalid, match=r"(?s)in clear.*--tls-cert FILE --tls-key FILE.*--tls self-signed.*--allow-plaintext"):
        check_encryption(OUTSIDE, is_encrypted=False, allow_plaintext=False)
    check_encryption(OUTSIDE, is_encrypted=True, allow_plaintext=False)
    check_encryption(OUTSIDE, is_encrypted=False, allow_plaintext=True)
    check_encryption(Addresses("127.0.0.1", "127.0.0.1"), is_encrypted=False, allow_plaintext=False)


@pytest.mark.parametrize("setting", ["public_url", "endpoint_url"])
def test_a_store_elsewhere_is_held_to_the_same(setting):
    for harmless in ("http://127.0.0.1:9000", "http://localhost:9000", "https://store.example", None):
        check_store_encryption(StorageSettings(**{setting: harmless}), allow_plaintext=False)
    in_clear = StorageSettings(**{setting: "http://store.example:9000"})
    with pytest.raises(Invalid, match=f"FABRIC_STORAGE_{setting.upper()} is http://store.example:9000"):
        check_store_encryption(in_clear, allow_plaintext=False)
    check_store_encryption(in_clear, allow_plaintext=True)
