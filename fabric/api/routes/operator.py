"""/api/v1/operator: what only an operator of this fabric may do to others' machines."""

import structlog
from fastapi import APIRouter
from fastapi.responses import Response

from fabric.api.dependencies import OperatorCaller, ServicesDep
from fabric.api.schemas.operator import BanIn
from fabric.core.ids import ProviderId
from fabric.providers import presence

router = APIRouter(prefix="/api/v1/operator", tags=["operator"])
log = structlog.get_logger(__name__)


@router.post("/providers/{provider_id}/ban", status_code=204)
async def ban_provider(provider_id: str, body: BanIn, principal: OperatorCaller, services: ServicesDep) -> Response:
    """Cut a machine off for good: its credential is refused, the gate ends its connections and its node, all at once."""
    banned = ProviderId.parse(provider_id)
    async with services.database.transaction() as tx:
        await presence.ban(tx, banned, body.reason)
    log.warning("provider_banned", provider_id=provider_id, operator=str(principal.user_id), reason=body.reason)
    return Response(status_code=204)
