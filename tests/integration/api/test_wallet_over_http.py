"""Money over HTTP: exact, play money says so, and once is once."""

import asyncio

import pytest

WALLET = "/api/v1/wallet"


@pytest.fixture
async def top_up(api, alice):
    async def send(amount, key=None, person=alice):
        headers = person.headers | ({"Idempotency-Key": key} if key else {})
        return await api.post(f"{WALLET}/top-ups", json={"amount_usd": amount}, headers=headers)

    return send


@pytest.fixture
async def available(api, alice):
    async def read(person=alice):
        return (await api.get(WALLET, headers=person.headers)).json()["available"]["usd"]

    return read


async def test_a_new_wallet_is_empty(api, alice):
    nothing = {"usd_nanos": 0, "usd": "0.000000000"}
    assert (await api.get(WALLET, headers=alice.headers)).json() == {
        "available": nothing, "held": nothing, "earned_pending": nothing, "earned_available": nothing, "promotional": nothing,
        "status": "active", "livemode": False,
    }  # fmt: skip
    assert (await api.get(f"{WALLET}/entries", headers=alice.headers)).json() == {"data": [], "next_cursor": None}


async def test_play_money_is_credited_to_the_nano_dollar_and_says_that_it_is_none(api, alice, bob, top_up, available):
    answer = await top_up("25.000000001")
    assert answer.status_code == 201
    assert answer.json()["livemode"] is False
    assert answer.json()["amount"] == {"usd_nanos": 25_000_000_001, "usd": "25.000000001"}
    assert await available() == "25.000000001"
    (entry,) = (await api.get(f"{WALLET}/entries", headers=alice.headers)).json()["data"]
    assert (entry["id"], entry["kind"], entry["livemode"]) == (answer.json()["id"], "topup", False)
    assert await available(bob) == "0.000000000"
    assert (await api.get(f"{WALLET}/entries", headers=bob.headers)).json()["data"] == []


async def test_the_same_top_up_sent_again_credits_once(top_up, available):
    first, second = await top_up("5", "k"), await top_up("5", "k")
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert await available() == "5.000000000"


async def test_the_same_key_with_another_amount_is_refused(top_up, available):
    await top_up("5", "k")
    other = await top_up("6", "k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert await available() == "5.000000000"


async def test_a_key_that_was_forgotten_still_credits_once(top_up, available, owner_connection):
    first = await top_up("5", "k")
    await owner_connection.execute("DELETE FROM idempotency_keys")
    second = await top_up("5", "k")
    assert second.json() == first.json()
    assert "idempotency-replayed" not in second.headers
    assert await available() == "5.000000000"


async def test_many_copies_at_once_credit_once_and_two_users_may_use_the_same_key(top_up, available, bob):
    answers = await asyncio.gather(*(top_up("5", "k") for _ in range(6)), top_up("7", "k", bob))
    assert {a.status_code for a in answers} <= {201, 409}
    assert await available() == "5.000000000"
    assert await available(bob) == "7.000000000"


async def test_without_a_key_each_top_up_counts_and_entries_come_in_pages(api, alice, top_up, available):
    for amount in ("1", "2", "3"):
        await top_up(amount)
    assert await available() == "6.000000000"
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get(f"{WALLET}/entries", params=params, headers=alice.headers)).json()
        seen += [(e["amount"]["usd_nanos"] // 10**9, e["balance"]["usd_nanos"] // 10**9) for e in page["data"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [(3, 6), (2, 3), (1, 1)]


@pytest.mark.parametrize("amount", ["0", "0.001", "1000.01", "-5", "1e3", "5.0000000001", "NaN", "", "9" * 31, 5, None])
async def test_an_amount_that_is_none_or_out_of_range_is_refused(top_up, available, amount):
    answer = await top_up(amount)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert await available() == "0.000000000"
