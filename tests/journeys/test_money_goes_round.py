"""A requestor pays with a card, a job is run, its machine's owner is paid out, a bank fails, a dispute is lost.

Stripe is a fakestripe behind a socket; the endpoint, its webhooks, its loops, the database and the operator's commands are the real ones.
After each step `fabric ledger audit` and `fabric ledger reconcile` find nothing.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest

from fabric import loops, wiring
from fabric.api.app import create_app
from fabric.codecs.frame import encode_frame
from fabric.codecs.tensor import json_of_tensor
from fabric.core.ids import JobId
from fabric.core.settings import load_settings
from fabric.wiring import Services
from tests.fakestripe import money_in, money_out
from tests.fakestripe.app import KEY
from tests.fakestripe.delivery import SECRET, SECRET_THIN, deliver, plan_all
from tests.fixtures.api import Person, register, serving, started
from tests.fixtures.jobs import Workbench, completion_of
from tests.fixtures.stripe import USD, Stripe

X = np.arange(20, dtype=np.float32).reshape(10, 2)
WORK = {"model": "m", "inputs": [{"name": "x", "tensor": json_of_tensor("x", X)}], "budget_usd": "60"}
RATE_NANOS_PER_HOUR = 3600 * 5 * USD  # dear, so that ten seconds are worth a payout
SECOND_US = 1_000_000
TURN = (
    loops.act_on_events, loops.mature_earnings, loops.advance_payouts, loops.advance_refunds, loops.look_at_silent_payments,
)  # fmt: skip


@dataclass
class Town:
    """Everybody who has to do with the money."""

    http: httpx.AsyncClient
    stripe: Stripe
    services: Services
    commands: dict[str, str]
    owner_connection: object
    told: int = 0
    people: dict[str, Person] = field(default_factory=dict)

    async def ask(self, who: str, method: str, path: str, body: dict | None = None, status: int = 200) -> dict:
        answer = await self.http.request(method, f"/api/v1{path}", json=body, headers=self.people[who].headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def time_passes(self) -> None:
        """What happened at Stripe is told to the endpoint, and every loop has its turns, as if all waits were over."""
        statuses = await deliver(self.stripe.world, plan_all(self.stripe.world, self.told), self._post)
        assert set(statuses) <= {200}
        self.told = len(self.stripe.world.events)
        for _ in range(3):
            for table in ("stripe_events", "payouts", "refunds"):
                await self.owner_connection.execute(f"UPDATE {table} SET next_try_at = NULL")
            for act in TURN:
                await act(self.services)

    async def books_are_right(self) -> None:
        """The commands themselves say so, and nothing is merely on its way."""
        audit, reconciled = await asyncio.gather(
            self.command("ledger", "audit"), self.command("ledger", "reconcile", "--days", "0")
        )
        assert audit[0] == 0 and "every audit is empty" in audit[1], audit[1]
        assert reconciled[0] == 0 and "both sides agree" in reconciled[1] and " 0 on their way" in reconciled[1], reconciled[1]

    async def command(self, *words: str) -> tuple[int, str]:
        """What `fabric …` answers, in a process of its own."""
        run = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from fabric.cli import main; main()", *words,
            env={**os.environ, **self.commands}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = await run.communicate()
        return run.returncode, printed.decode()

    async def _post(self, path: str, body: bytes, signature: str) -> int:
        return (await self.http.post(path, content=body, headers={"Stripe-Signature": signature})).status_code


@pytest.fixture
async def town(app_url, tmp_path, fake_stripe, owner_connection) -> AsyncIterator[Town]:
    settings = load_settings(
        home=tmp_path, log_level="critical", database={"app_url": app_url, "pool_size": 5},
        storage={"public_url": "http://127.0.0.1:9", "signing_key": "k" * 43}, auth={"jwt_key": "j" * 43},
        billing={
            "stripe_key": KEY, "stripe_webhook_secrets": f"{SECRET},{SECRET_THIN}", "stripe_api_url": fake_stripe.url,
            "stripe_return_url": "https://fabric.test", "maturation_days": 0.0, "maturation_days_good": 0.0,
        },
    )  # fmt: skip
    commands = {
        "FABRIC_HOME": str(tmp_path), "FABRIC_DATABASE_APP_URL": app_url, "FABRIC_BILLING_STRIPE_KEY": KEY,
        "FABRIC_BILLING_STRIPE_API_URL": fake_stripe.url,
    }  # fmt: skip
    services = wiring.build(settings)
    async with (
        started(create_app(lambda: wiring.build(settings))) as app,
        serving(app) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
    ):
        commands["FABRIC_URL"] = url
        people = {"requestor": await register(http), "owner": await register(http)}
        yield Town(http, fake_stripe, services, commands, owner_connection, people=people)
    await services.close()


async def run_a_job(town: Town) -> dict:
    """A job over HTTP, done by a machine of the owner for 50 USD."""
    requestor, owner = town.people["requestor"], town.people["owner"]
    bench = Workbench(town.services.database, owner=requestor.id, lender=owner.id)
    await bench.model(requestor.id)
    machine = await bench.provider()
    job = await town.ask("requestor", "POST", "/jobs", WORK, 201)
    wish = {"rate_nanos_per_hour": RATE_NANOS_PER_HOUR, "cap_us_per_item": SECOND_US}
    for lease in await bench.claim(JobId.parse(job["id"]), machine, 100, **wish):
        rows = slice(lease.item_start, lease.item_start + lease.item_count)
        output = encode_frame({"y": X[rows] * 2})
        await bench.settle([completion_of(lease, billed_us=lease.item_count * SECOND_US, output=output)])
    return await town.ask("requestor", "GET", f"/jobs/{job['id']}")


async def test_money_goes_round_and_the_books_are_right_after_each_step(town: Town):
    world = town.stripe.world
    await town.books_are_right()

    # A requestor tops up with a card
    page = await town.ask("requestor", "POST", "/wallet/top-ups", {"amount_usd": "100"}, 201)
    assert (page["status"], page["livemode"]) == ("pending", False)
    session = money_in.pay(world, page["payment_id"])
    await town.time_passes()
    assert (await town.ask("requestor", "GET", "/wallet"))["available"]["usd"] == "100.000000000"
    await town.books_are_right()

    # … and runs a job: the machine's owner earns 50 USD less 10 % commission
    job = await run_a_job(town)
    assert (job["status"], job["cost"]["captured"]["usd"]) == ("succeeded", "50.000000000")
    assert (await town.ask("requestor", "GET", "/wallet"))["available"]["usd"] == "50.000000000"
    await town.time_passes()
    await town.books_are_right()

    # The owner is onboarded
    town.commands["FABRIC_API_KEY"] = (await town.ask("owner", "POST", "/api-keys", {"label": "shell"}, 201))["key"]
    status, printed = await town.command("wallet", "onboard", "https://fabric.test/back")
    assert status == 0 and printed.startswith("https://connect.") and "a bank account for payouts" in printed, printed
    (account,) = [made["id"] for made in world.all("v2.core.account")]
    money_out.complete_account(world, account)
    await town.time_passes()
    shown = await town.ask("owner", "GET", "/payouts/account")
    assert (shown["status"], shown["requirements"], shown["available"]["usd"]) == ("ready", [], "45.000000000")
    await town.books_are_right()

    # … and asks for a payout, which the bank does not take
    payout = await town.ask("owner", "POST", "/payouts", {"amount_usd": "45"}, 201)
    await town.time_passes()
    (first,) = world.all("payout", account)
    money_out.bank_refuses(world, account, first["id"])
    await deliver(world, plan_all(world, town.told), town._post)
    town.told = len(world.events)
    await loops.act_on_events(town.services)
    shown = await town.ask("owner", "GET", f"/payouts/{payout['id']}")
    assert (shown["status"], shown["failure"]) == ("in_stripe", "The bank account has been closed.")
    await town.books_are_right()

    # … so it is tried again, and arrives
    await town.time_passes()
    second, _ = world.all("payout", account)
    assert second["id"] != first["id"]
    money_out.bank_takes(world, account, second["id"])
    await town.time_passes()
    shown = await town.ask("owner", "GET", f"/payouts/{payout['id']}")
    assert (shown["status"], shown["amount"]["usd"]) == ("paid", "45.000000000")
    assert len(world.all("transfer")) == 1
    await town.books_are_right()

    # The requestor's bank takes the payment back, and Fabric loses the dispute
    dispute = money_in.dispute(world, session["payment_intent"])
    await town.time_passes()
    wallet = await town.ask("requestor", "GET", "/wallet")
    assert (wallet["status"], wallet["available"]["usd"]) == ("frozen", "0.000000000")
    await town.ask("requestor", "POST", "/jobs", WORK, 403)
    await town.books_are_right()
    money_in.close_dispute(world, dispute["id"], won=False)
    await town.time_passes()
    found = await town.owner_connection.execute(
        "SELECT balance_nanos FROM ledger.balances WHERE kind = 'platform:chargeback_loss'"
    )
    assert await found.fetchone() == (50 * USD,)
    await town.books_are_right()
