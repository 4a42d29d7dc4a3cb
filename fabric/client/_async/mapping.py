"""Many items through one model, results in order as they come: batches as jobs, several under way at once.

What is under way is bounded by a window of items and a number of jobs; the items are read only as there is room. Batches begin small,
so that the first results come soon, and grow while jobs are quick, so that many small items are not many small jobs.
"""

import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from fabric.client._async.job import AsyncJob
from fabric.client._async.models import Models
from fabric.client.batches import Batch, Items, items_of
from fabric.client.errors import ApiError, FabricClientError, Invalid, ItemFailed, JobFailed, NotConnected
from fabric.client.inputs import fields_of
from fabric.client.pace import Pace

FILL_S = 0.1
"""Submitting more does not keep results waiting for longer, nor do items that come slowly."""

Submit = Callable[[str, dict[str, Any]], Awaitable[AsyncJob]]


class Underway:
    """A batch and its job, or the error for which there is none."""

    def __init__(self, batch: Batch, job: AsyncJob | None, error: Exception | None) -> None:
        """Wait for nothing yet, and keep none of the items: they may be large."""
        self.start, self.count = batch.start, batch.count
        self.job, self.error = job, error

    async def outcomes(self, delivers: Mapping[str, Any]) -> list[Any]:
        """What each item delivers, or the ItemFailed that says why it does not.

        Args:
            delivers: The model's outputs.

        Raises:
            Exception: the one of the items' iterable, or what the endpoint refused that is not about these items.
        """
        if self.job is None:
            return self._refused()
        try:
            await self.job.wait(progress=False)
        except JobFailed:
            pass  # what it did before is there to be had
        found = await self.job.outcomes(delivers=delivers)
        return [self._placed(index, outcome, self.job) for index, outcome in enumerate(found)]

    def _refused(self) -> list[Any]:
        if not isinstance(self.error, Invalid):
            raise self.error or AssertionError("a batch without a job has an error")
        told = {"code": self.error.code, "detail": str(self.error)}
        unborn = {"id": "refused at submit", "status": "refused"}
        return [ItemFailed.of(i, told, unborn, self.start + i) for i in range(self.count)]

    def _placed(self, index: int, outcome: Any, job: AsyncJob) -> Any:
        if isinstance(outcome, ItemFailed):
            told = {"code": outcome.code, "detail": outcome.detail}
            return ItemFailed.of(index, told, job.facts, self.start + index)
        return items_of(outcome.items())


async def map_items(
    models: Models, model: str, inputs: Any, submit: Submit, *, pace: Pace, on_error: str
) -> AsyncGenerator[Any, None]:
    """What each item delivers, in the order of `inputs`. Ending it early cancels what is under way.

    Args:
        models: Tells what the model takes.
        model: Which; the version that is the newest at the beginning does it all.
        inputs: The items.
        submit: Makes a job of a version's id and a batch's inputs.
        pace: How many items go at once.
        on_error: "raise" or "return".

    Raises:
        ItemFailed: an item failed, unless failures are returned.
        ApiError: the endpoint refused what is not about single items, such as for want of credit.
    """
    version = await models.get(model)
    items = Items(inputs, fields_of(version))
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
                begun = await begin(batch, submit, version)
                more = begun.error is None or isinstance(begun.error, Invalid)
                pace.began(batch.count)
                under_way.append(begun)
            if not under_way:
                return
            first = under_way[0]
            outcomes = await first.outcomes(version["results"])
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


async def begin(batch: Batch, submit: Submit, version: Mapping[str, Any]) -> Underway:
    """Submit a batch; an error is kept for when its turn comes, so that what came before it is delivered first."""
    if batch.error is not None:
        return Underway(batch, None, batch.error)
    try:
        return Underway(batch, await submit(str(version["version_id"]), batch.inputs()), None)
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
