"""A forgotten password, a confirmed address and a changed one, by the mails that go out."""

import pytest

from fabric.identity import throttle
from tests.fixtures.api import PASSWORD
from tests.fixtures.mails import Letters

AUTH = "/api/v1/auth"
NEW = "another horse battery"


@pytest.fixture
def letters(services):
    return Letters(services)


async def log_in(api, email, password):
    return (await api.post(f"{AUTH}/login", json={"email": email, "password": password})).status_code


async def test_who_forgot_the_password_chooses_a_new_one_once(api, alice, letters):
    asked = await api.post(f"{AUTH}/password/forgot", json={"email": alice.email.upper()})
    assert asked.status_code == 202
    token = await letters.token(alice.email, "new password")
    reset = {"token": token, "new_password": NEW}
    assert (await api.post(f"{AUTH}/password/reset", json=reset | {"new_password": "short"})).status_code == 422
    assert (await api.post(f"{AUTH}/password/reset", json=reset)).status_code == 204
    # The new password counts, the old does not, every log-in is ended, and the token was good once
    assert (await log_in(api, alice.email, NEW), await log_in(api, alice.email, PASSWORD)) == (200, 401)
    assert (await api.get(f"{AUTH}/me", headers=alice.headers)).status_code == 401
    assert (await api.post(f"{AUTH}/password/reset", json=reset)).status_code == 422
    assert "was changed" in (await letters.of(alice.email))[-1][0]


async def test_nobody_learns_whether_somebody_has_an_address(api, alice, letters, owner_connection):
    known = await api.post(f"{AUTH}/password/forgot", json={"email": alice.email})
    unknown = await api.post(f"{AUTH}/password/forgot", json={"email": "nobody@example.com"})
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    assert await letters.of("nobody@example.com") == []
    lines = await (await owner_connection.execute("SELECT user_id FROM audit_log WHERE act = 'password_reset_asked'")).fetchall()
    assert lines == [(alice.id,)]


async def test_a_reset_token_is_kept_hashed_ends_in_time_and_is_replaced_by_the_next(api, alice, letters, owner_connection):
    await api.post(f"{AUTH}/password/forgot", json={"email": alice.email})
    first = await letters.token(alice.email, "new password")
    await api.post(f"{AUTH}/password/forgot", json={"email": alice.email})
    second = await letters.token(alice.email, "new password")
    [(kept,)] = await (
        await owner_connection.execute("SELECT emailed_tokens::text FROM emailed_tokens WHERE purpose = 'reset_password'")
    ).fetchall()
    assert first not in kept
    assert second not in kept
    assert (await api.post(f"{AUTH}/password/reset", json={"token": first, "new_password": NEW})).status_code == 422
    await owner_connection.execute("UPDATE emailed_tokens SET expires_at = now()")
    assert (await api.post(f"{AUTH}/password/reset", json={"token": second, "new_password": NEW})).status_code == 422


async def test_nobody_is_flooded_with_mails(api, alice):
    ask = {"email": alice.email}
    statuses = [
        (await api.post(f"{AUTH}/password/forgot", json=ask)).status_code for _ in range(throttle.MAIL_BY_RECIPIENT.attempts + 1)
    ]
    assert statuses == [202] * throttle.MAIL_BY_RECIPIENT.attempts + [429]


async def test_a_new_user_confirms_the_address_by_the_page_that_the_mail_leads_to(api, alice, letters):
    assert (await api.get(f"{AUTH}/me", headers=alice.headers)).json()["email_verified"] is False
    token = await letters.token(alice.email, "Confirm your e-mail")
    shown = await api.get("/account/confirm", params={"token": token})
    assert (shown.status_code, token in shown.text) == (200, True)
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert (await api.get(f"{AUTH}/me", headers=alice.headers)).json()["email_verified"] is False, "looking changes nothing"
    pressed = await api.post("/account/confirm", data={"token": token})
    assert (pressed.status_code, "Confirmed" in pressed.text) == (200, True)
    assert (await api.get(f"{AUTH}/me", headers=alice.headers)).json()["email_verified"] is True
    assert (await api.post("/account/confirm", data={"token": token})).status_code == 422


async def test_a_page_shows_no_markup_that_its_address_brings(api):
    shown = await api.get("/account/reset", params={"token": '"><script>alert(1)</script>'})
    assert "<script>" not in shown.text


async def test_another_address_counts_once_it_is_confirmed_there(api, alice, letters):
    change = {"current_password": PASSWORD, "email": "new@example.com"}
    assert (await api.patch(f"{AUTH}/me", json={"email": "new@example.com"}, headers=alice.headers)).status_code == 403
    asked = (await api.patch(f"{AUTH}/me", json=change, headers=alice.headers)).json()
    assert (asked["email"], asked["pending_email"]) == (alice.email, "new@example.com")
    assert "about to change" in (await letters.of(alice.email))[-1][0]
    token = await letters.token("new@example.com", "new e-mail address")
    assert (await api.post(f"{AUTH}/email/confirm", json={"token": token})).status_code == 204
    me = (await api.get(f"{AUTH}/me", headers=alice.headers)).json()
    assert (me["email"], me["email_verified"], me["pending_email"]) == ("new@example.com", True, None)
    assert await log_in(api, "new@example.com", PASSWORD) == 200


async def test_an_address_that_somebody_took_meanwhile_is_not_taken_over(api, alice, letters):
    change = {"current_password": PASSWORD, "email": "new@example.com"}
    await api.patch(f"{AUTH}/me", json=change, headers=alice.headers)
    await api.post(f"{AUTH}/register", json={"email": "new@example.com", "password": PASSWORD})
    token = await letters.token("new@example.com", "new e-mail address")
    assert (await api.post(f"{AUTH}/email/confirm", json={"token": token})).status_code == 409
    assert (await api.get(f"{AUTH}/me", headers=alice.headers)).json()["email"] == alice.email
