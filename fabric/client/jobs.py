"""Submit, watch, wait for and fetch jobs; Job as a handle."""

import json
import struct
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fabric.client.errors import FabricClientError, JobFailed, JobTimeout, PartialResult
from fabric.client.progress import Progress
from fabric.client.transport import OUTAGE_S_MAX, Transport, checked
from fabric.codecs.frame import decode_frame

if TYPE_CHECKING:
    import httpx

FINISHED = {"succeeded", "failed", "cancelled"}
POLL_S = 20
PART_HEADER = struct.Struct("<IIQ")  # item_start, item_count, frame bytes


class Jobs:
    """`client.jobs`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    def get(self, job_id: str) -> "Job":
        """A handle on a job, from any process."""
        return Job(self._transport, self._transport.request("GET", f"/api/v1/jobs/{job_id}"))

    def list(self, *, limit: int = 50, labels: dict[str, str] | None = None, **filters: Any) -> list[dict[str, Any]]:
        """Your jobs, newest first.

        Args:
            limit: At most so many.
            labels: Only jobs with all of these.
            filters: status, model, q (a word in the model's name or a label), created_after, created_before (RFC 3339).
        """
        params = {"limit": limit, **filters}
        if labels:
            params["label"] = [f"{name}:{value}" for name, value in labels.items()]
        return list(self._transport.request("GET", "/api/v1/jobs", params=params)["data"])


class Job:
    """One job. `wait()` shows progress and cost; `results()` gives NumPy arrays in input order."""

    def __init__(self, transport: Transport, facts: dict[str, Any]) -> None:
        """Hold on to the job that the endpoint showed."""
        self._transport = transport
        self.facts = facts

    @property
    def id(self) -> str:
        """Its id, good for `client.jobs.get` anywhere."""
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
        return f"<Job {self.id} {self.status} {progress['items_done']}/{progress['items_total']} items>"

    def refresh(self, *, wait_s: int = 0, patience_s: float = 0.0) -> "Job":
        """Look again; with `wait_s` the endpoint answers when the job ends, or after so many seconds.

        An endpoint that is away is asked again for `patience_s` seconds, or else a few times.
        """
        params = {"wait_s": wait_s} if wait_s else None
        self.facts = self._transport.request("GET", f"/api/v1/jobs/{self.id}", params=params, patience_s=patience_s)
        return self

    def wait(self, timeout_s: float | None = None, *, progress: bool = True) -> "Job":
        """Until the job has ended, with a live progress bar of items, items/s and cost. Outages of two minutes are sat out.

        Raises:
            JobTimeout: not ended within `timeout_s`.
            JobFailed: it ended as failed or cancelled.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if self.status not in FINISHED:
            if progress:
                self._watch(deadline)
            while self.status not in FINISHED:
                left = OUTAGE_S_MAX if deadline is None else min(OUTAGE_S_MAX, deadline - time.monotonic())
                if left <= 0:
                    raise JobTimeout(
                        f"{self.id} is {self.status} after {timeout_s:g} s: {self.facts.get('waiting_reason') or 'running'}"
                    )
                self.refresh(wait_s=max(1, min(POLL_S, int(left))), patience_s=left)
        if self.status != "succeeded":
            error = self.facts.get("error") or {}
            raise JobFailed(f"{self.id} {self.status}: {error.get('code', '')} {error.get('detail', '')}".rstrip(), self.facts)
        return self

    def events(self, last_id: int = 0) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """What happens, as it happens: (id, type, data)."""
        yield from self._transport.events(f"/api/v1/jobs/{self.id}/events", last_id)

    def cancel(self) -> "Job":
        """Stop it. What is done is kept and paid; nothing more is charged.

        Raises:
            AlreadyFinished: too late.
        """
        self.facts = self._transport.request("POST", f"/api/v1/jobs/{self.id}/cancel")
        return self

    def retry(self, **options: Any) -> "Job":
        """What this finished job did not deliver, as a job of its own; `facts["retried_items"]` says which items these are.

        Args:
            options: Other limits than this job had: budget_usd, max_price_usd_per_hour, deadline_s, priority, labels …

        Raises:
            Conflict: it has not ended, delivered everything, or its inputs were deleted.
        """
        body = {name: str(value) if name.endswith(("_usd", "_per_hour")) else value for name, value in options.items()}
        return Job(self._transport, self._transport.request("POST", f"/api/v1/jobs/{self.id}/retry", json=body))

    def label(self, **labels: str) -> "Job":
        """Give it these labels in place of those it has."""
        self.facts = self._transport.request("PATCH", f"/api/v1/jobs/{self.id}", json={"labels": labels})
        return self

    def add_budget(self, usd: str | Decimal) -> "Job":
        """Let the job spend more; one that waits for funds goes on.

        Raises:
            AlreadyFinished: it has ended.
            InsufficientFunds: the wallet does not have it.
        """
        self.facts = self._transport.request("POST", f"/api/v1/jobs/{self.id}/budget", json={"add_usd": str(usd)})
        return self

    def subtasks(self) -> list[dict[str, Any]]:
        """Who ran what: every subtask with provider, seconds and price."""
        found: list[dict[str, Any]] = []
        params: dict[str, Any] = {"limit": 200}
        while True:
            page = self._transport.request("GET", f"/api/v1/jobs/{self.id}/subtasks", params=params)
            found += page["data"]
            if not page.get("next_cursor"):
                return found
            params["cursor"] = page["next_cursor"]

    def bill(self) -> dict[str, Any]:
        """What it costs, item by item: `charged` and `free` lines by slot and rate, and sums that equal the ledger's."""
        return dict(self._transport.request("GET", f"/api/v1/jobs/{self.id}/bill"))

    def bill_csv(self) -> str:
        """The same for a spreadsheet."""
        return self._transport.send("GET", f"/api/v1/jobs/{self.id}/bill", params={"format": "csv"}).text

    def results(self, *, on_error: str = "raise") -> "dict[str, np.ndarray[Any, Any]]":
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
        if self.status not in FINISHED:
            self.wait(progress=False)
        manifest = self._transport.request("GET", f"/api/v1/jobs/{self.id}/results")
        failed = [e["index"] for e in manifest.get("errors", [])]
        total = int(manifest["items_total"])
        with self._transport.stream(f"/api/v1/jobs/{self.id}/results", params={"format": "parts"}, timeout=600.0) as response:
            outputs, present = assemble(parts_of(checked(response)), total, set(failed))
        for output in manifest["outputs"]:
            if output.get("media_type") == "application/json" and output["name"] in outputs:
                outputs[output["name"]] = _parsed(outputs[output["name"]])
        if present.all():
            return outputs
        masked: dict[str, np.ndarray[Any, Any]] = {
            name: np.ma.array(array, mask=_mask(array, present)) for name, array in outputs.items()
        }
        if on_error == "mask":
            return masked
        errors = manifest.get("errors", [])
        raise PartialResult(f"{self.id}: {int((~present).sum())} of {total} items have no result", masked, errors)

    def result(self, name: str | None = None) -> "np.ndarray[Any, Any]":
        """One output as an array; the name may be left out when there is only one."""
        outputs = self.results()
        if name is None:
            if len(outputs) != 1:
                raise ValueError(f"name one of {sorted(outputs)}")
            return next(iter(outputs.values()))
        return outputs[name]

    def item(self, index: int) -> dict[str, Any]:
        """One item: its `outputs` by name, or the `error` for which it failed, or neither while it is not done.

        Raises:
            NotFound: the job has no such item.
        """
        params: dict[str, Any] = {"format": "json", "item": index}
        return dict(self._transport.request("GET", f"/api/v1/jobs/{self.id}/results", params=params, timeout=600.0)["items"][0])

    def save(self, path: str | Path) -> Path:
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
            self.wait(progress=False)
        with self._transport.stream(f"/api/v1/jobs/{self.id}/results", params={"format": form}, timeout=600.0) as response:
            checked(response)
            unfinished = target.with_name(f"{target.name}.part")
            with unfinished.open("wb") as file:
                for chunk in response.iter_bytes():
                    file.write(chunk)
        unfinished.replace(target)
        return target

    def _watch(self, deadline: float | None) -> None:
        with Progress(self.facts) as bar:
            for _, kind, data in self.events():
                bar.update(data)
                if kind.removeprefix("job.") in FINISHED:
                    self.refresh()
                    bar.finish(self.facts)
                    return
                if deadline is not None and time.monotonic() > deadline:
                    return


def parts_of(response: "httpx.Response") -> Iterator[tuple[int, int, bytes]]:
    """A stream of parts as (item_start, item_count, tensor frame).

    Raises:
        FabricClientError: the stream ends in the middle of a part.
    """
    buffer = bytearray()
    for chunk in response.iter_bytes():
        buffer += chunk
        while len(buffer) >= PART_HEADER.size:
            start, count, size = PART_HEADER.unpack_from(buffer)
            if len(buffer) < PART_HEADER.size + size:
                break
            yield start, count, bytes(buffer[PART_HEADER.size : PART_HEADER.size + size])
            del buffer[: PART_HEADER.size + size]
    if buffer:
        raise FabricClientError("the results ended in the middle of a part")


def assemble(
    parts: Iterator[tuple[int, int, bytes]], total: int, failed: set[int]
) -> "tuple[dict[str, np.ndarray[Any, Any]], np.ndarray[Any, Any]]":
    """Put parts into whole arrays. A part holds rows for its items that did not fail, in order.

    Returns the outputs by name (object arrays of one array each where shapes differ) and which items are present.
    """
    present = np.zeros(total, dtype=bool)
    rows: dict[str, list[Any]] = {}
    whole: dict[str, np.ndarray[Any, Any]] = {}
    for start, count, frame in parts:
        good = np.array([i for i in range(start, start + count) if i not in failed], dtype=np.int64)
        present[good] = True
        for name, tensor in decode_frame(frame).items():
            array = whole.get(name)
            if array is None and name not in rows:
                array = whole[name] = _blank(total, tensor)
            if array is not None and array.shape[1:] == tensor.shape[1:]:
                array[good] = tensor
                continue
            ragged = rows.setdefault(name, [None] * total)
            if array is not None:
                for index in np.flatnonzero(present):
                    ragged[index] = array[index]
                del whole[name]
            for index, row in zip(good, tensor, strict=True):
                ragged[index] = row
    for name, listed in rows.items():
        whole[name] = np.empty(total, dtype=object)
        whole[name][:] = listed
    return whole, present


def _parsed(texts: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """JSON texts as what they say."""
    values = np.empty(len(texts), dtype=object)
    for index, text in enumerate(texts):
        values[index] = json.loads(text) if isinstance(text, str) and text else None
    return values


def _blank(total: int, tensor: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    fill: Any = np.nan if tensor.dtype.kind in "fc" else 0
    if tensor.dtype == object:
        fill = b"" if tensor.size and isinstance(tensor.flat[0], bytes) else ""
    return np.full((total, *tensor.shape[1:]), fill, dtype=tensor.dtype)


def _mask(array: "np.ndarray[Any, Any]", present: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    return np.broadcast_to(~present.reshape(-1, *[1] * (array.ndim - 1)), array.shape)
