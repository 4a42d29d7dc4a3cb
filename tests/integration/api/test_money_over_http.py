"""Refunds, limits, payouts, budgets and statements over HTTP: once is once, and play money says that it is none."""

from dataclasses import replace

import pytest

from fabric.billing import payouts, refunds
from fabric.core.ids import UserId
from tests.fixtures.api import PASSWORD, Person
from tests.fixtures.money import USD, Till

WALLET, PAYOUTS = "/api/v1/wallet", "/api/v1/payouts"


@pytest.fixture
async def till(services) -> Till:
    return Till(services.database)


@pytest.fixture
async def rich(api, alice, till: Till) -> Person:
    """Alice, whose machine has earned 40 USD that have matured."""
    machine = await till.machine(alice.id, "box")
    await till.earn(machine, 40 * USD)
    await till.mature(machine, alice.id)
    return alice


async def post(api, path, person, body, key=None):
    return await api.post(path, json=body, headers=person.headers | ({"Idempotency-Key": key} if key else {}))


def problem(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_unspent_credit_is_refunded_once_for_a_key(api, alice, services):
    await post(api, f"{WALLET}/top-ups", alice, {"amount_usd": "5"})
    first, second = [await post(api, f"{WALLET}/refunds", alice, {"amount_usd": "2.00"}, "k") for _ in range(2)]
    assert (first.status_code, first.json()) == (201, second.json())
    (made,) = first.json()["data"]
    assert (made["amount"]["usd"], made["status"], first.json()["livemode"]) == ("2.000000000", "reserved", False)
    for _ in range(2):
        await refunds.advance_refunds(services.database, services.payouts)
        await Till(services.database).now()
    listed = (await api.get(f"{WALLET}/refunds", headers=alice.headers)).json()["data"]
    assert [refund["status"] for refund in listed] == ["done"]
    assert (await api.get(WALLET, headers=alice.headers)).json()["available"]["usd"] == "3.000000000"
    problem(await post(api, f"{WALLET}/refunds", alice, {"amount_usd": "4"}), 409, "conflict")


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "1e3", "0.001", "9" * 31, 5, "5 EUR", ""])
async def test_an_amount_that_is_none_is_refused_everywhere(api, rich, till, amount):
    await till.onboard(rich.id)
    for path, body in [(f"{WALLET}/refunds", {"amount_usd": amount}), (PAYOUTS, {"amount_usd": amount})]:
        problem(await post(api, path, rich, body), 422, "invalid")


async def test_limits_are_shown_set_and_taken_away(api, alice):
    async def patch(**body):
        return (await api.patch(f"{WALLET}/limits", json=body, headers=alice.headers)).json()

    assert (await api.get(f"{WALLET}/limits", headers=alice.headers)).json() == {"day": None, "job": None, "livemode": False}
    assert (await patch(day_usd="5"))["day"]["usd"] == "5.000000000"
    both = await patch(job_usd="1.50")
    assert (both["day"]["usd"], both["job"]["usd"]) == ("5.000000000", "1.500000000")
    assert (await patch(day_usd=None))["day"] is None
    assert (await patch(job_usd="0"))["code"] == "invalid"


async def test_only_an_operator_gives_credit_and_it_is_spent_but_not_refunded(api, alice, bob, owner_connection):
    body = {"user_id": str(bob.id), "amount_usd": "3", "reason": "welcome"}
    problem(await post(api, f"{WALLET}/promotions", alice, body), 403, "forbidden")
    await owner_connection.execute("UPDATE users SET role = 'operator' WHERE email = %s", [alice.email])
    again = await api.post("/api/v1/auth/login", json={"email": alice.email, "password": PASSWORD})
    alice = replace(alice, headers={"Authorization": f"Bearer {again.json()['access_token']}"})
    given = await post(api, f"{WALLET}/promotions", alice, body, "k")
    assert (given.status_code, given.json()["livemode"]) == (201, False)
    assert (await post(api, f"{WALLET}/promotions", alice, body, "k")).json() == given.json()
    shown = (await api.get(WALLET, headers=bob.headers)).json()
    assert (shown["promotional"]["usd"], shown["available"]["usd"]) == ("3.000000000", "0.000000000")
    problem(await post(api, f"{WALLET}/refunds", bob, {}), 422, "invalid")
    unknown = body | {"user_id": str(UserId.new())}
    problem(await post(api, f"{WALLET}/promotions", alice, unknown), 404, "not_found")


async def test_a_frozen_wallet_says_so_and_takes_no_money(api, alice, till):
    paid = await post(api, f"{WALLET}/top-ups", alice, {"amount_usd": "5"})
    await till.open_dispute("dp_1", paid.json()["payment_id"], 5 * USD)
    assert (await api.get(WALLET, headers=alice.headers)).json()["status"] == "frozen"
    problem(await post(api, f"{WALLET}/top-ups", alice, {"amount_usd": "5"}), 403, "wallet_frozen")


async def test_an_owner_is_onboarded_and_paid_out(api, rich, services):
    account = (await api.get(f"{PAYOUTS}/account", headers=rich.headers)).json()
    assert (account["status"], account["available"]["usd"], account["payout_min"]["usd"]) == (
        "none",
        "40.000000000",
        "30.000000000",
    )
    problem(await post(api, PAYOUTS, rich, {}), 409, "not_onboarded")
    problem(await api.patch(f"{PAYOUTS}/account", json={"schedule": "weekly"}, headers=rich.headers), 409, "not_onboarded")
    link = await post(api, f"{PAYOUTS}/account/onboarding", rich, {"return_url": "https://here.example/back"})
    assert link.json() == {"url": "https://here.example/back", "status": "ready", "livemode": False}
    weekly = await api.patch(f"{PAYOUTS}/account", json={"schedule": "weekly"}, headers=rich.headers)
    assert weekly.json()["schedule"] == "weekly"
    problem(await post(api, PAYOUTS, rich, {"amount_usd": "29.99"}), 422, "invalid")
    problem(await post(api, PAYOUTS, rich, {"amount_usd": "41"}), 402, "insufficient_funds")
    first, second = [await post(api, PAYOUTS, rich, {"amount_usd": "35"}, "k") for _ in range(2)]
    assert (first.status_code, first.json()) == (201, second.json())
    for _ in range(3):
        await payouts.advance_payouts(services.database, services.payouts)
        await Till(services.database).now()
    shown = (await api.get(f"{PAYOUTS}/{first.json()['id']}", headers=rich.headers)).json()
    assert (shown["status"], shown["livemode"]) == ("paid", False)
    assert [p["id"] for p in (await api.get(PAYOUTS, headers=rich.headers)).json()["data"]] == [shown["id"]]


async def test_nobody_sees_the_payouts_of_somebody_else(api, rich, bob, till):
    await till.onboard(rich.id)
    made = (await post(api, PAYOUTS, rich, {})).json()
    problem(await api.get(f"{PAYOUTS}/{made['id']}", headers=bob.headers), 404, "not_found")
    problem(await api.get(f"{PAYOUTS}/pay_x", headers=rich.headers), 404, "not_found")
    assert (await api.get(PAYOUTS, headers=bob.headers)).json()["data"] == []


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://x", "", "https://a b"])
async def test_a_place_to_come_back_to_is_a_web_page(api, alice, url):
    problem(await post(api, f"{PAYOUTS}/account/onboarding", alice, {"return_url": url}), 422, "invalid")


async def test_a_statement_comes_as_json_csv_or_pdf(api, rich):
    async def fetch(**params):
        return await api.get("/api/v1/providers/statements", params=params, headers=rich.headers)

    as_json = await fetch(month="2026-07")
    assert (as_json.json()["month"], as_json.json()["rows"], as_json.json()["livemode"]) == ("2026-07", [], False)
    table = await fetch(month="2026-07", format="csv")
    assert (table.headers["content-type"], table.text.split("\r\n")[0]) == (
        "text/csv; charset=utf-8", "date,kind,machine,subtasks,seconds,gross_usd,commission_usd,net_usd",
    )  # fmt: skip
    assert 'filename="statement-2026-07.csv"' in table.headers["content-disposition"]
    assert (await fetch(month="2026-07", format="pdf")).content.startswith(b"%PDF-")
    for bad in ({"month": "July"}, {"month": "2026-13"}, {}, {"month": "2026-07", "format": "xls"}):
        problem(await fetch(**bad), 422, "invalid")


async def test_more_budget_for_a_job_that_is_none_is_not_found_and_nothing_is_added(api, alice):
    answer = await post(api, "/api/v1/jobs/job_00000000000000000000000000/budget", alice, {"add_usd": "1"})
    problem(answer, 404, "not_found")
    problem(await post(api, "/api/v1/jobs/job_00000000000000000000000000/budget", alice, {"add_usd": "NaN"}), 422, "invalid")
