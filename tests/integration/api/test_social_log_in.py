"""Log-in through an identity provider: a real one (small), a browser with cookies, and everything that could go wrong between."""

import re
import uuid
from urllib.parse import urlsplit

import httpx
import pyotp
import pytest
from joserfc.jwk import RSAKey

from fabric import wiring
from fabric.api.app import create_app
from fabric.core import clock
from fabric.core.errors import Invalid
from fabric.core.settings import IdentityProviderSettings, OidcSettings
from fabric.identity.social import check_return
from tests.fixtures.api import PASSWORD, client_of, serving, started
from tests.fixtures.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider

AUTH = "/api/v1/auth"


@pytest.fixture
async def provider():
    made = IdentityProvider()
    async with serving(made.app()) as url:
        made.url = url
        yield made


@pytest.fixture
async def app(settings, provider):
    corp = IdentityProviderSettings(name="corp", issuer=provider.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    auth = settings.auth.model_copy(update={"public_url": "http://fabric"})
    configured = settings.model_copy(update={"oidc": OidcSettings(providers=(corp,)), "auth": auth})
    async with started(create_app(lambda: wiring.build(configured))) as app:
        yield app


async def callback_url(browser, return_to=None):
    """From the start to where the provider sends the browser back to."""
    begun = await browser.get(f"{AUTH}/social/corp/start", params={"return_to": return_to} if return_to else {})
    assert begun.status_code == 302, begun.text
    async with httpx.AsyncClient(trust_env=False) as elsewhere:
        back = (await elsewhere.get(begun.headers["location"])).headers["location"]
    parts = urlsplit(back)
    assert f"{parts.scheme}://{parts.netloc}" == "http://fabric"
    return f"{parts.path}?{parts.query}"


async def ticket_of(browser):
    shown = await browser.get(await callback_url(browser))
    assert shown.status_code == 200, shown.text
    return re.search(r"--ticket ([\w-]+)", shown.text).group(1)


async def log_in(browser, **more):
    answer = await browser.post(f"{AUTH}/social/exchange", json={"ticket": await ticket_of(browser), **more})
    return answer, {"Authorization": f"Bearer {answer.json().get('access_token')}"}


async def verified(owner_connection, email):
    await owner_connection.execute("UPDATE users SET email_verified_at = now() WHERE email = %s", [email])


async def test_somebody_new_is_registered_and_known_again_by_the_providers_id(api, provider):
    assert (await api.get(f"{AUTH}/social")).json() == {"data": ["corp"]}
    answer, headers = await log_in(api)
    assert answer.status_code == 200
    me = (await api.get(f"{AUTH}/me", headers=headers)).json()
    assert (me["email"], me["email_verified"], me["has_password"]) == ("ada@example.com", True, False)
    # Their address at the provider changes, they do not
    provider.person["email"] = "countess@example.com"
    _, again = await log_in(api)
    assert (await api.get(f"{AUTH}/me", headers=again)).json()["id"] == me["id"]
    assert (await api.get(f"{AUTH}/sessions", headers=again)).json()["data"][0]["method"] == "corp"
    # Nothing else opens the account, so the identity stays
    [identity] = (await api.get(f"{AUTH}/identities", headers=again)).json()["data"]
    assert (await api.delete(f"{AUTH}/identities/{identity['id']}", headers=again)).status_code == 409
    # Without a password a fresh log-in is the proof
    assert (await api.patch(f"{AUTH}/me", json={"new_password": "a new password"}, headers=again)).status_code == 200
    assert (await api.post(f"{AUTH}/login", json={"email": "ada@example.com", "password": "a new password"})).status_code == 200


async def test_an_account_is_linked_by_an_address_that_both_sides_have_verified(api, alice, provider, owner_connection):
    provider.person["email"] = alice.email.upper()
    await verified(owner_connection, alice.email)
    _, headers = await log_in(api)
    assert (await api.get(f"{AUTH}/me", headers=headers)).json()["id"] == str(alice.id)
    told = await (await owner_connection.execute("SELECT subject FROM mails WHERE recipient = %s", [alice.email])).fetchall()
    assert ("You can log in with corp",) in told
    acts = (await api.get(f"{AUTH}/audit-log", headers=headers)).json()["data"]
    assert "identity_linked" in [line["act"] for line in acts]
    [identity] = (await api.get(f"{AUTH}/identities", headers=headers)).json()["data"]
    assert (await api.delete(f"{AUTH}/identities/{identity['id']}", headers=headers)).status_code == 204


async def test_an_account_whose_address_was_never_confirmed_is_not_taken_over(api, alice, provider):
    provider.person["email"] = alice.email
    shown = await api.get(await callback_url(api))
    assert shown.status_code == 409
    assert "never confirmed" in shown.text


@pytest.mark.parametrize("verified_there", [False, None, "false"])
async def test_an_address_that_the_provider_has_not_verified_opens_nothing(
    api, alice, provider, owner_connection, verified_there
):
    await verified(owner_connection, alice.email)
    provider.person |= {"email": alice.email, "email_verified": verified_there}
    assert (await api.get(await callback_url(api))).status_code == 403


async def test_the_answer_is_good_in_the_browser_that_began_and_once(api, app):
    url = await callback_url(api)
    async with client_of(app) as stranger:
        assert (await stranger.get(url)).status_code == 401
        await stranger.get(f"{AUTH}/social/corp/start")  # a cookie of another log-in does not help
        assert (await stranger.get(url)).status_code == 401
    cookies = dict(api.cookies)
    assert (await api.get(url)).status_code == 200
    assert (await api.get(url, cookies=cookies)).status_code == 401
    assert (await api.get(re.sub("state=[^&]+", "state=x", url), cookies=cookies)).status_code == 401
    assert (await api.get(f"{AUTH}/social/corp/callback", params={"error": "access_denied"})).status_code == 401


@pytest.mark.parametrize(
    "wrong", [{"nonce": "another"}, {"aud": "somebody-else"}, {"iss": "https://elsewhere.example"}, {"exp": 1}, {"sub": ""},
              {"aud": [CLIENT_ID, "other"]}],
    ids=["nonce", "audience", "issuer", "expired", "nobody", "meant for several"],
)  # fmt: skip
async def test_a_statement_that_is_not_about_this_log_in_is_not_believed(api, provider, wrong):
    provider.wrong = wrong
    assert (await api.get(await callback_url(api))).status_code == 401


async def test_a_statement_with_another_signature_is_not_believed(api, provider):
    provider.signing_key = RSAKey.generate_key(2048, {"kid": "one"})
    assert (await api.get(await callback_url(api))).status_code == 401


async def test_new_keys_of_the_provider_are_found(api, provider):
    await log_in(api)
    provider.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
    answer, _ = await log_in(api)
    assert answer.status_code == 200


async def test_a_ticket_is_good_once_and_asks_for_the_second_factor(api, provider, owner_connection):
    _, headers = await log_in(api)
    enrolled = (await api.post(f"{AUTH}/second-factor", json={}, headers=headers)).json()
    totp = pyotp.TOTP(enrolled["secret"])
    confirmed = await api.post(f"{AUTH}/second-factor/confirm", json={"code": totp.at(clock.now())}, headers=headers)
    ticket = {"ticket": await ticket_of(api)}
    asked = await api.post(f"{AUTH}/social/exchange", json=ticket)
    assert asked.json()["code"] == "second_factor_needed"
    ticket["code"] = confirmed.json()["recovery_codes"][0]
    assert (await api.post(f"{AUTH}/social/exchange", json=ticket)).status_code == 200
    assert (await api.post(f"{AUTH}/social/exchange", json=ticket)).status_code == 401


async def test_the_browser_ends_where_it_wanted_with_the_ticket_where_no_server_sees_it(api):
    ended = await api.get(await callback_url(api, "/console"))
    assert ended.status_code == 303
    assert re.fullmatch(r"/console#ticket=[\w-]+", ended.headers["location"])


@pytest.mark.parametrize(
    "return_to", ["https://evil.example", "//evil.example", "/\\evil.example", "console", "/x#y", "/a b", "/é"]
)
def test_the_browser_is_never_sent_elsewhere(return_to):
    with pytest.raises(Invalid):
        check_return(return_to)


async def test_a_provider_that_is_away_is_trouble_that_passes(settings):
    away = IdentityProviderSettings(name="corp", issuer="http://127.0.0.1:1", client_id="x", client_secret="y")
    configured = settings.model_copy(update={"oidc": OidcSettings(providers=(away,))})
    async with started(create_app(lambda: wiring.build(configured))) as app, client_of(app) as api:
        answer = await api.get(f"{AUTH}/social/corp/start")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await api.get(f"{AUTH}/social/{uuid.uuid4().hex}/start")).status_code == 404


def test_a_provider_over_plain_http_elsewhere_is_refused_before_anything_starts(settings):
    plain = IdentityProviderSettings(name="corp", issuer="http://corp.example", client_id="x", client_secret="y")
    wrong = wiring.missing_settings(settings.model_copy(update={"oidc": OidcSettings(providers=(plain, plain))}))
    assert [line.split(":")[0] for line in wrong] == ["FABRIC_OIDC_PROVIDERS"] * 3
    assert PASSWORD not in str(wrong)
