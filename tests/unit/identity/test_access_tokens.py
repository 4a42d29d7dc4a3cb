"""Access tokens: whose they are, when they end, and what is no token."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from pydantic import SecretStr

from fabric.core import clock
from fabric.core.errors import CredentialExpired, Unauthenticated
from fabric.core.ids import SessionId, UserId
from fabric.core.settings import AuthSettings
from fabric.identity.tokens import claims_of_access_token, issue_access_token

KEY = "k" * 64
SETTINGS = AuthSettings(jwt_key=SecretStr(KEY))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def claims(**changes):
    whole = {"iss": "fabric", "sub": str(UserId.new()), "sid": str(SessionId.new()), "exp": int(NOON.timestamp()) + 60}
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def test_a_token_names_its_user_and_the_log_in_that_it_came_from():
    user_id, session_id = UserId.new(), SessionId.new()
    read = claims_of_access_token(SETTINGS, issue_access_token(SETTINGS, user_id, session_id).text)
    assert (read.user_id, read.session_id) == (user_id, session_id)


def test_a_token_ends_after_its_time_and_not_before():
    with clock.frozen(NOON):
        token = issue_access_token(SETTINGS, UserId.new(), SessionId.new())
    assert token.expires_s == 900
    with clock.frozen(NOON + timedelta(seconds=899)):
        claims_of_access_token(SETTINGS, token.text)
    with clock.frozen(NOON + timedelta(seconds=900)), pytest.raises(CredentialExpired):
        claims_of_access_token(SETTINGS, token.text)


@pytest.mark.parametrize(
    "token",
    [
        jwt.encode(claims(), "x" * 64, "HS256"),
        jwt.encode(claims(), KEY, "HS384"),
        jwt.encode(claims(), None, "none"),
        jwt.encode(claims(iss="somebody else"), KEY, "HS256"),
        jwt.encode(claims(exp=None), KEY, "HS256"),
        jwt.encode(claims(sid=None), KEY, "HS256"),
        jwt.encode(claims(sid="ses_none"), KEY, "HS256"),
        jwt.encode(claims(sub="usr_none"), KEY, "HS256"),
        "",
        "no.token.atall",
        "\x00",
    ],
    ids=[
        "another key",
        "another algorithm",
        "unsigned",
        "another issuer",
        "endless",
        "no log-in",
        "unknown log-in",
        "no user",
        "empty",
        "noise",
        "nul",
    ],
)
def test_what_we_did_not_sign_is_refused(token):
    with clock.frozen(NOON), pytest.raises(Unauthenticated):
        claims_of_access_token(SETTINGS, token)
