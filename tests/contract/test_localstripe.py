"""A second opinion on the gateway: localstripe, written by others, for what it knows (customers, payment intents, refunds, webhooks)."""

import asyncio
import socket
import sys
from urllib.parse import urlencode

import httpx
import pytest

from fabric.billing.gateway import GatewayRefused
from fabric.billing.stripe_gateway import StripeGateway
from fabric.core.errors import Malformed
from fabric.core.ids import RefundId, UserId

pytest.importorskip("localstripe", reason="the extra `dev` has it")

USD = 10**9
KEY = "sk_test_12345"
SECRET = "whsec_localstripe"
# Its own command listens on every interface and keeps a file in the temporary folder.
PROGRAM = """
import socket, sys
from aiohttp import web
from localstripe import server
server.store.dump_to_disk = lambda: None
web.run_app(server.app, sock=socket.socket(fileno=int(sys.argv[1])), print=None)
"""


@pytest.fixture
async def url():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-c", PROGRAM, str(listener.fileno()), pass_fds=[listener.fileno()]
        )
    yield address
    process.terminate()
    await process.wait()


@pytest.fixture
async def gateway(url):
    gateway = StripeGateway(KEY, api_url=url, webhook_secrets=[SECRET])
    yield gateway
    await gateway.close()


@pytest.fixture
async def ask(url):
    async with httpx.AsyncClient(base_url=url, auth=(KEY, ""), timeout=30) as client:

        async def send(path, **fields):
            answer = await client.post(
                path, content=urlencode(fields), headers={"Content-Type": "application/x-www-form-urlencoded"}
            )
            assert answer.status_code == 200, answer.text
            return answer

        yield send


@pytest.fixture
async def saved(gateway, ask):
    """Somebody with a saved card."""
    user = UserId.new()
    customer = await gateway.open_customer(user, f"{user.hex}@example.com", f"customer:{user.hex}")

    async def card(number):
        fields = {"type": "card", "card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2030", "card[cvc]": "123"}
        method = (await ask("/v1/payment_methods", **fields)).json()["id"]
        await ask(f"/v1/payment_methods/{method}/attach", customer=customer)
        return method

    return user, customer, card


async def test_a_saved_card_is_charged_and_can_be_read_again(gateway, saved):
    user, customer, card = saved
    made = await gateway.charge_saved(user, 12 * USD, customer, await card("4242424242424242"), "automatic:1")
    assert (made.payment.status, made.payment.amount_nanos, made.payment.user_id) == ("paid", 12 * USD, user)
    again = await gateway.charge(made.payment.id)
    assert (again.payment, again.ended) == (made.payment, False)


@pytest.mark.parametrize("number", ["4000000000000341", "4000002760003184"])
async def test_a_card_that_is_declined_or_wants_its_owner_is_refused(gateway, saved, number):
    user, customer, card = saved
    with pytest.raises(GatewayRefused):
        await gateway.charge_saved(user, 12 * USD, customer, await card(number), "automatic:1")


async def test_a_refund_is_made_and_found_again(gateway, saved):
    user, customer, card = saved
    paid = await gateway.charge_saved(user, 12 * USD, customer, await card("4242424242424242"), "automatic:1")
    refund = RefundId.new()
    made = await gateway.make_refund("refund:1", paid.payment.id, 5 * USD, refund)
    assert made.status == "done"
    assert await gateway.refund_of(made.id) == (made, refund)


async def test_its_signature_is_believed_and_an_altered_body_is_not(gateway, ask):
    heard: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()

    async def hear(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        signature = next(line.split(": ", 1)[1] for line in head.split("\r\n") if line.lower().startswith("stripe-signature"))
        heard.put_nowait((await reader.readexactly(int(headers["content-length"])), signature))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    await ask("/_config/webhooks/ours", url=address, secret=SECRET)
    await ask("/v1/products", name="something", type="service")
    body, signature = await asyncio.wait_for(heard.get(), 60)
    event = gateway.verify_event(body, signature, thin=False)
    assert (event.kind, event.type, event.livemode) == ("snapshot", "product.created", False)
    with pytest.raises(Malformed):
        gateway.verify_event(body + b" ", signature, thin=False)
    server.close()
