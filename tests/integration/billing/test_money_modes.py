"""Play money, test money and real money never share a ledger: the first start decides, and others are refused in words."""

import pytest
from pydantic import SecretStr

from fabric import wiring
from fabric.api.app import create_app
from fabric.billing import modes
from fabric.core.errors import WrongMoney
from fabric.core.settings import BillingSettings, load_settings
from fabric.db.migrate import MIGRATIONS
from fabric.local.database import prepare_database
from fabric.local.parts import PartFailed
from tests.fixtures.api import client_of, started

PLAY = BillingSettings()
TEST = BillingSettings(stripe_key=SecretStr("sk_test_1"))
LIVE = BillingSettings(stripe_key=SecretStr("rk_live_1"))


@pytest.mark.parametrize(("first", "others"), [(PLAY, (TEST, LIVE)), (TEST, (PLAY, LIVE)), (LIVE, (PLAY, TEST))])
async def test_the_first_start_decides_for_good(database, first, others):
    assert await modes.claim(database, first) == await modes.claim(database, first)
    for other in others:
        with pytest.raises(WrongMoney) as refusal:
            await modes.claim(database, other)
        assert "another FABRIC_HOME" in refusal.value.detail
    assert await modes.claim(database, first) == modes.mode_of(first)


def test_a_fabric_refuses_to_start_on_books_of_another_kind_of_money(owner_url, tmp_path):
    prepare_database(owner_url, load_settings(home=tmp_path))
    with pytest.raises(PartFailed, match=r"are of play money .* say test money"):
        prepare_database(owner_url, load_settings(home=tmp_path, billing={"stripe_key": "sk_test_1"}))


async def test_no_endpoint_serves_books_of_another_kind_of_money(settings, database):
    await modes.claim(database, LIVE)
    with pytest.raises(WrongMoney, match="real money"):
        async with started(create_app(lambda: wiring.build(settings))):
            raise AssertionError("it has started")


async def test_the_endpoint_starts_while_the_database_is_away(tmp_path):
    nowhere = load_settings(
        home=tmp_path, database={"app_url": f"postgresql://a:b@/c?host={tmp_path}"}, auth={"jwt_key": "j" * 43},
        storage={"public_url": "http://127.0.0.1:9", "signing_key": "k" * 43},
    )  # fmt: skip
    async with started(create_app(lambda: wiring.build(nowhere))) as app, client_of(app) as client:
        assert (await client.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    ("payment", "livemode", "mode"), [("play_1", False, "play"), ("cs_test_1", False, "test"), ("cs_live_1", True, "live")]
)
async def test_books_from_before_say_by_their_payments_what_they_are_of(owner_connection, payment, livemode, mode):
    # Given a payment in books that were begun before modes were written down
    await owner_connection.execute("DELETE FROM money_modes")
    await owner_connection.execute(
        "INSERT INTO payments (id, user_id, amount_nanos, livemode) VALUES (%s, gen_random_uuid(), 1, %s)", [payment, livemode]
    )
    # When the migration's own statement looks at them
    (migration,) = (MIGRATIONS / "versions").glob("*_money_mode.sql")
    await owner_connection.execute("INSERT INTO" + migration.read_text().partition("INSERT INTO")[2])
    # Then it claims that kind
    found = await (await owner_connection.execute("SELECT mode FROM money_modes")).fetchall()
    assert found == [(mode,)]


async def test_every_answer_says_whether_money_is_real(api, alice):
    for method, path, body in (
        ("GET", "/api/v1/wallet", None), ("GET", "/api/v1/wallet/limits", None), ("GET", "/api/v1/wallet/auto-top-up", None),
        ("POST", "/api/v1/wallet/top-ups", {"amount_usd": "5"}), ("POST", "/api/v1/wallet/refunds", {"amount_usd": "1"}),
        ("GET", "/api/v1/payouts/account", None), ("GET", "/api/v1/providers/statements?month=2026-07", None),
    ):  # fmt: skip
        answer = await api.request(method, path, json=body, headers=alice.headers)
        assert answer.status_code < 300, answer.text
        assert (answer.json()["livemode"], answer.headers["fabric-livemode"]) == (False, "false"), path
    for path in ("/api/v1/wallet/entries", "/api/v1/wallet/refunds"):
        rows = (await api.get(path, headers=alice.headers)).json()["data"]
        assert rows and all(row["livemode"] is False for row in rows), path
    for path in ("/livez", "/nowhere", "/docs", "/topped-up"):
        assert (await api.get(path)).headers["fabric-livemode"] == "false", path
    assert "No real money" in (await api.get("/topped-up")).text
    assert "not real" in (await api.get("/openapi.json")).json()["info"]["description"]
