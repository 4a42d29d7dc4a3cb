"""The spelling of API keys."""

from hypothesis import given
from hypothesis import strategies as st

from fabric.identity.api_keys import PREFIX, checksum, is_well_formed, mint


def test_a_minted_key_is_well_formed_and_never_the_same():
    keys = {mint() for _ in range(50)}
    assert len(keys) == 50
    assert all(is_well_formed(key) and key.startswith(PREFIX) and len(key) == 50 for key in keys)


def test_a_key_with_one_wrong_character_is_noticed_without_a_look_up():
    key = mint()
    for position in range(len(PREFIX), len(key)):
        other = "a" if key[position] != "a" else "b"
        assert not is_well_formed(key[:position] + other + key[position + 1 :])


def test_a_checksum_is_what_it_was_in_every_release():
    assert checksum("0" * 40) == "2kaqcA"


@given(st.text(max_size=80))
def test_any_text_can_be_asked_about(text):
    assert is_well_formed(text) is False
    assert is_well_formed(PREFIX + text) is False
