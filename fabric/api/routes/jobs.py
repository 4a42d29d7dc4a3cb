"""/api/v1/jobs: submit, read, list, follow, fetch, cancel, bill."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import AwareDatetime

from fabric.api.dependencies import EventsDep, JobsCaller, RequestIdDep, ServicesDep
from fabric.api.idempotency import idempotent, key_of, replayed
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.bills import BillOut
from fabric.api.schemas.common import Page
from fabric.api.schemas.jobs import BudgetIn, JobChangeIn, JobIn, JobOut, OutputOut, ResultsOut
from fabric.api.schemas.subtasks import SubtaskOut, subtask_out
from fabric.api.schemas.timelines import TimelineOut
from fabric.core.clock import monotonic_s
from fabric.core.errors import Invalid, NotFound
from fabric.core.ids import JobId, RequestId, UserId
from fabric.core.money import usd_nanos
from fabric.db.engine import Transaction
from fabric.events.event import Event
from fabric.events.stream import EventHub
from fabric.jobs import bill, budget, downloads, finish, results, store, subtask_store, timeline
from fabric.jobs.job import Job
from fabric.jobs.lifecycle import is_finished
from fabric.jobs.resolve import resolve_job
from fabric.jobs.submit import submit_job
from fabric.wiring import Services

WAIT_S_MAX = 55  # below the time-outs of clients and proxies
HEARTBEAT_S = 15.0
RECONNECT_MS = 2000
ERRORS_SHOWN_MAX = 100
PARTS_MEDIA_TYPE = "application/vnd.fabric.parts"
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])


@router.post("", status_code=201, response_model=JobOut)
async def submit(
    request: Request, body: JobIn, principal: JobsCaller, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Submit a job: validated, priced, its credit held and its subtasks queued, or nothing at all."""
    raw = await request.body()
    if (replay := await replayed(request, principal, services, raw)) is not None:
        return replay
    spec = body.spec(body.inputs)
    resolved = await resolve_job(services.database, services.store, services.settings, principal.user_id, spec)

    async def act(tx: Transaction) -> JobOut:
        job = await submit_job(tx, principal.user_id, spec, resolved, settings=services.settings, request_id=request_id)
        return JobOut.of(job)

    return await idempotent(request, principal, services, raw, act, status=201)


@router.get("", response_model=Page[JobOut])
async def list_jobs(
    principal: JobsCaller,
    services: ServicesDep,
    page: PageDep,
    status: Annotated[Literal["queued", "running", "succeeded", "failed", "cancelled"] | None, Query()] = None,
    label: Annotated[list[str], Query(max_length=20, description="`name:value`; all that are given must fit.")] = [],  # noqa: B006
    model: Annotated[str | None, Query(max_length=300, description="`name` or `name:version`.")] = None,
    q: Annotated[str | None, Query(max_length=200, description="Somewhere in the model's name or a label.")] = None,
    created_after: Annotated[AwareDatetime | None, Query()] = None,
    created_before: Annotated[AwareDatetime | None, Query()] = None,
) -> Page[JobOut]:
    """Your jobs, newest first."""
    before = None if page.before is None else JobId.of(page.before)
    wanted = store.JobFilter(status, _labels(label), model, q or None, created_after, created_before)
    async with services.database.reading() as reader:
        rows = await store.list_jobs(reader, principal.user_id, before=before, limit=page.fetch, wanted=wanted)
    return page_of(rows, page, cursor=lambda job: job.id, render=JobOut.of)


@router.get("/{job_id}", response_model=JobOut)
async def show(
    job_id: str,
    principal: JobsCaller,
    services: ServicesDep,
    hub: EventsDep,
    wait_s: Annotated[float, Query(ge=0, le=WAIT_S_MAX, description="Answer when the job ends, or after so many seconds.")] = 0.0,
) -> JobOut:
    """One job; with `wait_s` as soon as it has ended."""
    if wait_s > 0:
        await _wait_for_end(services, hub, principal.user_id, JobId.parse(job_id), wait_s)
    return await _shown(services, principal.user_id, JobId.parse(job_id))


@router.get("/{job_id}/subtasks", response_model=Page[SubtaskOut])
async def list_subtasks(job_id: str, principal: JobsCaller, services: ServicesDep, page: PageDep) -> Page[SubtaskOut]:
    """Who ran what, in input order: each subtask with its attempts, seconds and price."""
    after = -1 if page.before_number is None else page.before_number
    async with services.database.reading() as reader:
        job = await store.get_job(reader, principal.user_id, JobId.parse(job_id))
        rows = await subtask_store.list_subtasks(reader, job.id, after_position=after, limit=page.fetch)
    return page_of(rows, page, cursor=lambda subtask: subtask.position, render=subtask_out)


@router.get("/{job_id}/timeline", response_model=TimelineOut)
async def show_timeline(job_id: str, principal: JobsCaller, services: ServicesDep) -> TimelineOut:
    """Who ran which part when, as lanes to draw: every try of a small job, neighbouring tries as one of a large job."""
    async with services.database.reading() as reader:
        job = await store.get_job(reader, principal.user_id, JobId.parse(job_id))
        return TimelineOut.of(job.id, await timeline.read_timeline(reader, job.id))


@router.get("/{job_id}/bill", response_model=BillOut)
async def show_bill(
    job_id: str, principal: JobsCaller, services: ServicesDep, format: Annotated[Literal["json", "csv"], Query()] = "json"
) -> BillOut | Response:
    """The itemised bill so far: what each slot did at which rate, which attempts cost nothing and why, commission, and the hold."""
    async with services.database.reading() as reader:
        found = await bill.read_bill(reader, principal.user_id, JobId.parse(job_id), livemode=services.payments.livemode)
    if format == "json":
        return BillOut.of(found)
    headers = {"Content-Disposition": f'attachment; filename="bill-{found.job.id}.csv"'}
    return Response(bill.as_csv(found), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/{job_id}/results", response_model=ResultsOut)
async def show_results(
    job_id: str,
    principal: JobsCaller,
    services: ServicesDep,
    format: Annotated[
        Literal["manifest", "parts", "npz", "json", "zip"],
        Query(description="`parts`: a stream of tensor frames. The others: everything in one file."),
    ] = "manifest",
    item: Annotated[int | None, Query(ge=0, description="With `json`: only this item.")] = None,
) -> Response | ResultsOut:
    """What results there are so far; with another `format` the results themselves, in input order.

    `parts` repeats `u32 item_start, u32 item_count, u64 length` (little-endian) and a tensor frame of that length, with one row for
    each item that did not fail. `npz` holds an array for each output, and `failed_items`. `json` lists the items, each with its
    `outputs`, or with the `error` for which it failed. `zip` holds a file for each item and output, and `errors.json`.
    """
    async with services.database.reading() as reader:
        job = await store.get_job(reader, principal.user_id, JobId.parse(job_id))
        results.require_kept(job)
        manifest = await results.manifest(reader, job)
    if format != "manifest":
        chunks, media_type = await _download(services, job, format, item, len(manifest["outputs"]))
        return StreamingResponse(chunks, media_type=media_type, headers=STREAM_HEADERS)
    base = f"/api/v1/jobs/{job.id}/results"
    outputs = [OutputOut(**output, url=f"{base}/{output['name']}") for output in manifest.pop("outputs")]
    return ResultsOut(job_id=str(job.id), **manifest, outputs=outputs, parts_url=f"{base}?format=parts")


@router.get("/{job_id}/results/{name:path}", response_class=Response)
async def download_output(job_id: str, name: str, principal: JobsCaller, services: ServicesDep) -> Response:
    """One output as a `.npy` file with a row for each item, in input order.

    Rows of items that failed or are not done yet are NaN, 0 where the output holds no floating numbers, empty where it holds texts.
    """
    async with services.database.reading() as reader:
        job = await store.get_job(reader, principal.user_id, JobId.parse(job_id))
    results.require_kept(job)
    npy = await results.stream_output(services.database, services.store, job, name)
    headers = {**STREAM_HEADERS, "Content-Length": str(npy.total_bytes)}
    return StreamingResponse(npy.chunks, media_type="application/octet-stream", headers=headers)


@router.get("/{job_id}/events", response_class=StreamingResponse)
async def follow(
    job_id: str,
    principal: JobsCaller,
    services: ServicesDep,
    hub: EventsDep,
    last_event_id: Annotated[int, Header(ge=0, description="Go on after this event.")] = 0,
) -> StreamingResponse:
    """What happens to the job, as server-sent events; the stream ends with the job."""
    async with services.database.reading() as reader:
        job = await store.get_job(reader, principal.user_id, JobId.parse(job_id))
    nothing_more = is_finished(job.status) and last_event_id >= job.event_seq
    stream = _event_stream(hub, job.id, last_event_id, nothing_more=nothing_more)
    opening = await anext(stream)  # one watcher too many is refused here, before the answer has begun
    return StreamingResponse(_after(opening, stream), media_type="text/event-stream", headers=STREAM_HEADERS)


@router.patch("/{job_id}", response_model=JobOut)
async def change(job_id: str, body: JobChangeIn, principal: JobsCaller, services: ServicesDep) -> JobOut:
    """Give a job other labels."""
    wanted = JobId.parse(job_id)
    async with services.database.transaction() as tx:
        await store.set_labels(tx, principal.user_id, wanted, body.labels)
    return await _shown(services, principal.user_id, wanted)


@router.post("/{job_id}/cancel", response_model=JobOut)
async def cancel(job_id: str, principal: JobsCaller, services: ServicesDep) -> JobOut:
    """Stop a job: what is done is kept, nothing more is charged, the rest of the hold comes back at once."""
    wanted = JobId.parse(job_id)
    await services.database.retrying(lambda tx: finish.cancel_job(tx, principal.user_id, wanted))
    return await _shown(services, principal.user_id, wanted)


@router.post("/{job_id}/budget", response_model=JobOut)
async def add_to_budget(request: Request, job_id: str, body: BudgetIn, principal: JobsCaller, services: ServicesDep) -> Response:
    """Let an unfinished job spend more. One that waits for `funds` goes on; without that it ends after a while with what it has."""
    wanted, amount = JobId.parse(job_id), usd_nanos(body.add_usd)
    key = key_of(request) or str(RequestId.new())

    async def act(tx: Transaction) -> JobOut:
        await budget.add_to_budget(tx, principal.user_id, wanted, amount, key)
        return JobOut.of(await store.get_job(tx, principal.user_id, wanted))

    return await idempotent(request, principal, services, await request.body(), act)


def _labels(given: list[str]) -> dict[str, str]:
    labels = {}
    for text in given:
        name, separator, value = text.partition(":")
        if not separator:
            raise Invalid("a label is asked for as name:value")
        labels[name] = value
    return labels


async def _download(
    services: Services, job: Job, format: str, item: int | None, outputs: int
) -> tuple[AsyncIterator[bytes], str]:
    """The results in one format, and its media type; what would be too much is refused before a byte is sent."""
    database, objects = services.database, services.store
    if item is not None and (format != "json" or item >= job.items_total):
        raise NotFound(f"there is no item {item} in this form; `item` goes with format=json and counts from 0")
    if format == "parts":
        return results.stream_parts(database, objects, job.id), PARTS_MEDIA_TYPE
    if format == "npz":
        return await downloads.stream_npz(database, objects, job), "application/zip"
    if format == "zip":
        downloads.check_zip_files(job, outputs)
        await downloads.check_size(database, job, downloads.ZIP_BYTES_MAX)
        return downloads.stream_zip(database, objects, job), "application/zip"
    if item is None:
        await downloads.check_size(database, job, downloads.JSON_BYTES_MAX)
    return downloads.stream_json(database, objects, job, item), "application/json"


async def _shown(services: Services, owner_id: UserId, job_id: JobId) -> JobOut:
    async with services.database.reading() as reader:
        job = await store.get_job(reader, owner_id, job_id)
        shares = await subtask_store.shares_of_providers(reader, job_id)
        errors = await subtask_store.item_errors(reader, job_id, ERRORS_SHOWN_MAX) if job.items_failed else []
    return JobOut.of(job, shares, errors)


async def _wait_for_end(services: Services, hub: EventHub, owner_id: UserId, job_id: JobId, wait_s: float) -> None:
    async with services.database.reading() as reader:
        job = await store.get_job(reader, owner_id, job_id)
    if is_finished(job.status):
        return
    seq, ends_at = job.event_seq, monotonic_s() + wait_s
    with hub.watching():
        while (left := ends_at - monotonic_s()) > 0:
            events = await hub.wait(job_id, seq, left)
            if any(event.is_ending for event in events):
                return
            seq = events[-1].seq if events else seq


async def _event_stream(hub: EventHub, job_id: JobId, seq: int, *, nothing_more: bool) -> AsyncGenerator[str, None]:
    with hub.watching():
        yield f"retry: {RECONNECT_MS}\n\n"
        while not nothing_more:
            events = await hub.wait(job_id, seq, HEARTBEAT_S)
            if not events:
                yield ": still here\n\n"
            for event in events:
                yield _sse(event)
                seq = event.seq
                if event.is_ending:
                    return


async def _after(opening: str, stream: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    async with aclosing(stream):
        yield opening
        async for chunk in stream:
            yield chunk


def _sse(event: Event) -> str:
    return f"id: {event.seq}\nevent: {event.type}\ndata: {json.dumps(event.data)}\n\n"
