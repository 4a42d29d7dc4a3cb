"""Many items through one model, results in order as they come: batches as jobs, several under way at once.

What is under way is bounded by a window of items and a number of jobs; the items are read only as there is room. Batches begin small,
so that the first results come soon, and grow while jobs are quick, so that many small items are not many small jobs.
"""

import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from fabric.client._async.job import AsyncJob
from fabric.client._async.models import Models
from fabric.client.batches import Batch, Items, items_of
from fabric.client.errors import ApiError, FabricClientError, Invalid, ItemFailed, JobFailed, NotConnected
from fabric.client.inputs import fields_of
from fabric.client.pace import Pace

FILL_S = 1.0
"""Items that come slowly do not keep results waiting for longer."""

Submit = Callable[[dict[str, Any]], Awaitable[AsyncJob]]


class Underway:
    """A batch and its job, or the error for which there is none."""

    def __init__(self, batch: Batch, job: AsyncJob | None, error: Exception | None) -> None:
        """Wait for nothing yet."""
        self.batch, self.job, self.error = batch, job, error

    async def outcomes(self) -> list[Any]:
        """What each item delivers, or the ItemFailed that says why it does not.

        Raises:
            Exception: the one of the items' iterable, or what the endpoint refused that is not about these items.
        """
        if self.job is None:
            return self._refused()
        try:
            await self.job.wait(progress=False)
        except JobFailed:
            pass  # what it did before is there to be had
        found = await self.job.outcomes()
        return [self._placed(index, outcome, self.job) for index, outcome in enumerate(found)]

    def _refused(self) -> list[Any]:
        if not isinstance(self.error, Invalid):
            raise self.error or AssertionError("a batch without a job has an error")
        told = {"code": self.error.code, "detail": str(self.error)}
        unborn = {"id": "refused at submit", "status": "refused"}
        return [ItemFailed.of(i, told, unborn, self.batch.start + i) for i in range(self.batch.count)]

    def _placed(self, index: int, outcome: Any, job: AsyncJob) -> Any:
        if isinstance(outcome, ItemFailed):
            told = {"code": outcome.code, "detail": outcome.detail}
            return ItemFailed.of(index, told, job.facts, self.batch.start + index)
        return items_of(outcome.items())


async def map_items(
    models: Models, model: str, inputs: Any, submit: Submit, *, pace: Pace, on_error: str
) -> AsyncGenerator[Any, None]:
    """What each item delivers, in the order of `inputs`. Ending it early cancels what is under way.

    Args:
        models: Tells what the model takes.
        model: Which.
        inputs: The items.
        submit: Makes a job of a batch's inputs.
        pace: How many items go at once.
        on_error: "raise" or "return".

    Raises:
        ItemFailed: an item failed, unless failures are returned.
        ApiError: the endpoint refused what is not about single items, such as for want of credit.
    """
    items = Items(inputs, fields_of(await models.get(model)))
    under_way: deque[Underway] = deque()
    more = True
    try:
        while True:
            since_s = time.monotonic()
            while more and pace.has_room(len(under_way)):
                if under_way and time.monotonic() - since_s > FILL_S:
                    break
                batch = items.take(pace.batch_items())
                if batch is None:
                    more = False
                    break
                begun = await begin(batch, submit)
                more = begun.error is None or isinstance(begun.error, Invalid)
                pace.began(batch.count)
                under_way.append(begun)
            if not under_way:
                return
            first = under_way[0]
            outcomes = await first.outcomes()
            under_way.popleft()
            if first.job is not None:
                pace.took(float(first.job.facts["run_s"]))
            for outcome in outcomes:
                if isinstance(outcome, ItemFailed) and on_error == "raise":
                    raise outcome
                pace.delivered(1)
                yield outcome
    finally:
        await cancel_all([one.job for one in under_way if one.job is not None])


async def begin(batch: Batch, submit: Submit) -> Underway:
    """Submit a batch; an error is kept for when its turn comes, so that what came before it is delivered first."""
    if batch.error is not None:
        return Underway(batch, None, batch.error)
    try:
        return Underway(batch, await submit(batch.inputs()), None)
    except (FabricClientError, ValueError, OSError) as error:
        return Underway(batch, None, error)


async def cancel_all(jobs: list[AsyncJob]) -> None:
    """Cancel jobs as far as that is still possible; an endpoint that is away is not waited for."""
    for job in jobs:
        try:
            await job.cancel()
        except ApiError:
            continue  # it has ended
        except NotConnected:
            return
