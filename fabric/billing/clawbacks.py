"""Bad results that are found after they were paid: the requestor is made whole, whatever has become of the money."""

from fabric.billing import flows
from fabric.billing.flows import Clawback
from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import NotFound
from fabric.core.ids import SubtaskId, UserId
from fabric.db.engine import Transaction


async def claw_back(tx: Transaction, subtask_id: SubtaskId, reason: str) -> Clawback:
    """Take the price of a subtask back; again, and it is the same clawback.

    The requestor gets the gross, the platform gives up its commission, the machine's pending earnings lose the rest. When those have
    matured, the machine's owner owes it: it is taken from what matures next, and before anything is paid out.

    Raises:
        NotFound: nothing was captured for this subtask.
    """
    row = (await tx.execute(STATEMENTS["owner_of_capture"], {"subtask": subtask_id})).one_or_none()
    if row is None:
        raise NotFound(f"Nothing was captured for subtask {subtask_id}.")
    return await flows.claw_back(tx, subtask_id, UserId.of(row.owner_id), reason)
