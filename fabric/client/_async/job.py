"""One job as a handle: watch it, wait for it, fetch what it gave, see who did what."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fabric.client._async.transport import Transport
from fabric.client.display import BillFacts, Rows, job_html
from fabric.client.errors import ItemFailed, JobTimeout, PartialResult, job_failed, waiting
from fabric.client.frames import frame_of
from fabric.client.options import job_options
from fabric.client.outages import OUTAGE_S_MAX
from fabric.client.progress import Progress
from fabric.client.streams import FINISHED, Arrays, Assembly, Event, PartReader, finished
from fabric.client.timeline import TIMELINE_SUBTASKS_MAX, Timeline

if TYPE_CHECKING:
    import pandas

POLL_S = 20
RESULTS_TIMEOUT_S = 600.0


class AsyncJob:
    """One job. `wait()` shows progress and cost; `results()` gives NumPy arrays in input order."""

    def __init__(self, transport: Transport, facts: dict[str, Any]) -> None:
        """Hold on to the job that the endpoint showed."""
        self._transport = transport
        self.facts = facts

    @property
    def id(self) -> str:
        """Its id, good for `client.job(id)` anywhere."""
        return str(self.facts["id"])

    @property
    def status(self) -> str:
        """queued, running, succeeded, failed or cancelled, as last seen."""
        return str(self.facts["status"])

    @property
    def cost(self) -> dict[str, Any]:
        """Held, captured, released and by provider, as last seen."""
        return dict(self.facts["cost"])

    def __repr__(self) -> str:
        progress = self.facts["progress"]
        return f"<AsyncJob {self.id} {self.status} {progress['items_done']}/{progress['items_total']} items>"

    def _repr_html_(self) -> str:
        return job_html(self.facts)

    async def refresh(self, *, wait_s: int = 0, patience_s: float = 0.0) -> "AsyncJob":
        """Look again; with `wait_s` the endpoint answers when the job ends, or after so many seconds.

        An endpoint that is away is asked again for `patience_s` seconds, or else a few times.
        """
        params = {"wait_s": wait_s} if wait_s else None
        self.facts = await self._transport.request("GET", f"/api/v1/jobs/{self.id}", params=params, patience_s=patience_s)
        return self

    async def wait(self, timeout_s: float | None = None, *, progress: bool = True) -> "AsyncJob":
        """Until the job has ended, with a live bar of items, cost and time left. Outages of two minutes are sat out.

        Raises:
            JobTimeout: not ended within `timeout_s`.
            JobFailed: it ended as failed or cancelled.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if self.status not in FINISHED:
            if progress:
                await self._watch(deadline)
            while self.status not in FINISHED:
                left = OUTAGE_S_MAX if deadline is None else min(OUTAGE_S_MAX, deadline - time.monotonic())
                if left <= 0:
                    raise JobTimeout(f"{self.id} is {self.status} after {timeout_s:g} s: {waiting(self.facts)}")
                await self.refresh(wait_s=max(1, min(POLL_S, int(left))), patience_s=left)
        if self.status != "succeeded":
            raise job_failed(self.facts)
        return self

    async def events(self, last_id: int = 0) -> AsyncGenerator[Event, None]:
        """What happens, as it happens: (id, type, data)."""
        async with aclosing(self._transport.events(f"/api/v1/jobs/{self.id}/events", last_id)) as events:
            async for event in events:
                yield event

    async def cancel(self) -> "AsyncJob":
        """Stop it. What is done is kept and paid; nothing more is charged.

        Raises:
            AlreadyFinished: too late.
        """
        self.facts = await self._transport.request("POST", f"/api/v1/jobs/{self.id}/cancel")
        return self

    async def retry(self, **options: Any) -> "AsyncJob":
        """What this finished job did not deliver, as a job of its own; `facts["retried_items"]` says which items these are.

        Args:
            options: Other limits than this job had: budget_usd, max_price_usd_per_hour, deadline_s, priority, labels …

        Raises:
            Conflict: it has not ended, delivered everything, or its inputs were deleted.
        """
        body = job_options(options)
        return AsyncJob(self._transport, await self._transport.request("POST", f"/api/v1/jobs/{self.id}/retry", json=body))

    async def label(self, **labels: str) -> "AsyncJob":
        """Give it these labels in place of those it has."""
        self.facts = await self._transport.request("PATCH", f"/api/v1/jobs/{self.id}", json={"labels": labels})
        return self

    async def add_budget(self, usd: str | Decimal) -> "AsyncJob":
        """Let the job spend more; one that waits for funds goes on.

        Raises:
            AlreadyFinished: it has ended.
            InsufficientFunds: the wallet does not have it.
        """
        self.facts = await self._transport.request("POST", f"/api/v1/jobs/{self.id}/budget", json={"add_usd": str(usd)})
        return self

    async def subtasks(self, *, limit: int | None = None) -> Rows:
        """Who ran what: every subtask, or the first `limit`, with its attempts, provider, seconds and price."""
        return await self._transport.rows(f"/api/v1/jobs/{self.id}/subtasks", limit=limit)

    async def timeline(self) -> Timeline:
        """Who did what when; a picture in a notebook where matplotlib is installed, a list of spans anywhere.

        Of a job with very many subtasks it is the first `TIMELINE_SUBTASKS_MAX`.
        """
        if self.facts["cost"].get("by_provider") is None or self.status not in FINISHED:
            await self.refresh()
        return Timeline.of(self.facts, await self.subtasks(limit=TIMELINE_SUBTASKS_MAX))

    async def bill(self) -> BillFacts:
        """What it costs, item by item: `charged` and `free` lines by slot and rate, and sums that equal the ledger's."""
        return BillFacts(await self._transport.request("GET", f"/api/v1/jobs/{self.id}/bill"))

    async def bill_csv(self) -> str:
        """The same for a spreadsheet."""
        return (await self._transport.send("GET", f"/api/v1/jobs/{self.id}/bill", params={"format": "csv"})).text

    async def results(self, *, on_error: str = "raise") -> Arrays:
        """Every output by name, in input order: arrays with one row for each item.

        Outputs of texts and files are arrays of objects: `str`, `bytes`, and for JSON what it says, such as a list of detections.

        Args:
            on_error: "raise" raises PartialResult when items failed; "mask" gives masked arrays instead.

        Raises:
            PartialResult: some items failed.
            FabricClientError: the job has no results yet.
        """
        if on_error not in {"raise", "mask"}:
            raise ValueError("on_error is 'raise' or 'mask'")
        outputs, present, manifest = await self._fetch()
        if present.all() or on_error == "mask":
            return outputs
        missing, total = int((~present).sum()), len(present)
        raise PartialResult(f"{self.id}: {missing} of {total} items have no result", outputs, manifest.get("errors", []))

    async def result(self, name: str | None = None) -> "np.ndarray[Any, Any]":
        """One output as an array; the name may be left out when there is only one."""
        outputs = await self.results()
        if name is None:
            if len(outputs) != 1:
                raise ValueError(f"name one of {sorted(outputs)}")
            return next(iter(outputs.values()))
        return outputs[name]

    async def outcomes(self, *, delivers: Mapping[str, Any] | None = None) -> list[Any]:
        """For each item, in input order, its outputs by name, or the ItemFailed that says why there are none.

        Args:
            delivers: What the model delivers, as it says itself (`results`); saves a question where it is known.
        """
        outputs, present, manifest = await self._fetch(delivers)
        errors = {error["index"]: error for error in manifest.get("errors", [])}
        return [
            {name: array[index] for name, array in outputs.items()} if present[index]
            else ItemFailed.of(index, errors.get(index), self.facts)
            for index in range(len(present))
        ]  # fmt: skip

    async def to_frame(self, *, index: Any = None) -> "pandas.DataFrame":
        """A table with a row for each item: numbers and texts a column each, short vectors a column for each entry.

        Items that failed have empty cells, and a column `error` says why.

        Args:
            index: Of the table; such as that of the table that was submitted.

        Raises:
            FabricClientError: pandas is not installed.
        """
        return frame_of(await self.outcomes(), index=index)

    async def item(self, index: int) -> dict[str, Any]:
        """One item: its `outputs` by name, or the `error` for which it failed, or neither while it is not done.

        Raises:
            NotFound: the job has no such item.
        """
        params: dict[str, Any] = {"format": "json", "item": index}
        path = f"/api/v1/jobs/{self.id}/results"
        return dict((await self._transport.request("GET", path, params=params, timeout=RESULTS_TIMEOUT_S))["items"][0])

    async def save(self, path: str | Path) -> Path:
        """Write all results to one file: `.npz` (an array for each output), `.json` (by item) or `.zip` (a file for each item).

        Raises:
            ValueError: another suffix.
            TooLarge: too much for this form; use `results()`.
        """
        target = Path(path)
        form = target.suffix.removeprefix(".").lower()
        if form not in {"npz", "json", "zip"}:
            raise ValueError(f"{target.name!r} must end in .npz, .json or .zip")
        if self.status not in FINISHED:
            await self.wait(progress=False)
        unfinished = target.with_name(f"{target.name}.part")
        async with self._results(form) as response:
            with unfinished.open("wb") as file:
                async for chunk in response.aiter_bytes():
                    file.write(chunk)
        unfinished.replace(target)
        return target

    async def _fetch(self, delivers: Mapping[str, Any] | None = None) -> "tuple[Arrays, np.ndarray[Any, Any], dict[str, Any]]":
        """The outputs, masked where items have none; which items have some; and the manifest."""
        if self.status not in FINISHED:
            await self.wait(progress=False)
        progress = self.facts["progress"]
        if delivers is not None and progress["items_done"] == progress["items_total"]:
            outputs = [{"name": name, **tensor} for name, tensor in delivers.items()]
            manifest = {"items_total": progress["items_total"], "outputs": outputs}
        else:
            manifest = await self._transport.request("GET", f"/api/v1/jobs/{self.id}/results")
        assembly = Assembly(int(manifest["items_total"]), {error["index"] for error in manifest.get("errors", [])})
        reader = PartReader()
        async with self._results("parts") as response:
            async for chunk in response.aiter_bytes():
                for part in reader.feed(chunk):
                    assembly.add(part)
        reader.end()
        return finished(assembly.outputs(), assembly.present, manifest), assembly.present, manifest

    def _results(self, form: str) -> Any:
        return self._transport.opened(f"/api/v1/jobs/{self.id}/results", params={"format": form}, timeout=RESULTS_TIMEOUT_S)

    async def _watch(self, deadline: float | None) -> None:
        with Progress(self.facts) as bar:
            async with aclosing(self.events()) as events:
                async for _, kind, data in events:
                    bar.update(data)
                    if kind.removeprefix("job.") in FINISHED:
                        await self.refresh()
                        bar.finish(self.facts)
                        return
                    if deadline is not None and time.monotonic() > deadline:
                        return
