"""/webhooks/stripe and /webhooks/stripe/v2: what Stripe tells. Its domain package is billing.

An event is stored if its signature is good, and answered at once; a loop acts upon it. The signature is the credential.
"""

from fastapi import APIRouter, Request, Response

from fabric.api.dependencies import ServicesDep
from fabric.billing import webhooks
from fabric.core.errors import NotFound, TooLarge
from fabric.wiring import Services

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

EVENT_BYTES_MAX = 256 * 1024
SIGNATURE = "Stripe-Signature"


@router.post("/stripe", status_code=200, response_model=None)
async def snapshot_event(request: Request, services: ServicesDep) -> Response:
    """An event that carries a snapshot of its object (v1). 400: the signature is not good."""
    return await _receive(request, services, thin=False)


@router.post("/stripe/v2", status_code=200, response_model=None)
async def thin_event(request: Request, services: ServicesDep) -> Response:
    """An event that names its object and says nothing of it (v2). 400: the signature is not good."""
    return await _receive(request, services, thin=True)


async def _receive(request: Request, services: Services, *, thin: bool) -> Response:
    if services.cards is None:
        raise NotFound("This fabric deals in play money; nobody sends webhooks.")
    payload = await request.body()
    if len(payload) > EVENT_BYTES_MAX:
        raise TooLarge(f"An event is at most {EVENT_BYTES_MAX} bytes.", bytes_max=EVENT_BYTES_MAX)
    await webhooks.receive(services.database, services.cards, payload, request.headers.get(SIGNATURE), thin=thin)
    return Response(status_code=200)
