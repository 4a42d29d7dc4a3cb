"""/api/v1/job-templates, and jobs that are tried out, retried or run again. Its domain package is jobs."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from fabric.api.dependencies import JobsCaller, RequestIdDep, ServicesDep
from fabric.api.idempotency import idempotent, replayed
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Page
from fabric.api.schemas.jobs import JobIn, JobOut
from fabric.api.schemas.quotes import QuoteOut
from fabric.api.schemas.repeats import DryRunOut, JobTemplateOut, TemplateIn, WorkChangesIn
from fabric.api.schemas.timelines import JobRequestOut
from fabric.billing import wallet
from fabric.core.errors import Invalid
from fabric.core.ids import JobId, QuoteId, UserId
from fabric.db.engine import Transaction
from fabric.identity.access import Principal
from fabric.jobs import store, template_store
from fabric.jobs.requirements import Format
from fabric.jobs.resolve import resolve_job
from fabric.jobs.retry import resolve_missing
from fabric.jobs.split import count_subtasks
from fabric.jobs.submit import Retry, hold_for, price_job, submit_job
from fabric.wiring import Services

router = APIRouter(prefix="/api/v1", tags=["jobs"])


@router.post("/jobs/dry-run", response_model=DryRunOut)
async def dry_run(body: JobIn, principal: JobsCaller, services: ServicesDep) -> DryRunOut:
    """Check and price a job as a submit would, and do nothing: nothing is held, queued or remembered."""
    spec = body.spec(body.inputs)
    resolved = await resolve_job(services.database, services.store, services.settings, principal.user_id, spec)
    async with services.database.reading() as reader:
        quote = await price_job(
            reader, principal.user_id, spec, items=resolved.items_total, item_us=resolved.item_us, settings=services.settings,
            memory_bytes=resolved.memory_bytes, model_format=Format.of(resolved.version.inspection),
            model_id=str(resolved.version.model_id),
        )  # fmt: skip
        balance = await wallet.balance(reader, principal.user_id)
    hold = hold_for(spec, quote)
    version = resolved.version
    shown = QuoteOut.of(QuoteId.new(), f"{version.name}:{version.version}", quote, hold, livemode=services.payments.livemode)
    return DryRunOut(
        model=shown.model, items=resolved.items_total, items_per_subtask=resolved.items_per_subtask,
        subtasks=count_subtasks(resolved.items_total, resolved.items_per_subtask), quote=shown,
        affordable=hold <= balance.available_nanos,
    )  # fmt: skip


@router.get("/jobs/{job_id}/request", response_model=JobRequestOut)
async def show_request(job_id: str, principal: JobsCaller, services: ServicesDep) -> JobRequestOut:
    """What a job was asked for: to run it again as it is at …/rerun, or as a form to fill in."""
    async with services.database.reading() as reader:
        job = await store.get_job(reader, principal.user_id, JobId.parse(job_id))
        said = await store.request_of(reader, job.id)
    said.pop("quote", None)  # a quote is good for one job
    return JobRequestOut(job_id=str(job.id), model=job.model, request=said)


@router.post("/jobs/{job_id}/retry", status_code=201, response_model=JobOut)
async def retry(
    request: Request, job_id: str, body: WorkChangesIn, principal: JobsCaller, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Do again what a finished job did not deliver, as a job of its own: the same version of the model on the same bytes.

    `retried_items` of the new job says which items of the old one these are.
    """
    raw = await request.body()
    if (replay := await replayed(request, principal, services, raw)) is not None:
        return replay
    if body.inputs is not None or body.model is not None:
        raise Invalid("a retry takes the inputs and the model that the job had; run it again with others at …/rerun")
    async with services.database.reading() as reader:
        job = await store.get_job(reader, principal.user_id, JobId.parse(job_id))
        said = await store.request_of(reader, job.id)
    wanted = _changed(said, body)
    spec = wanted.spec(wanted.inputs)
    resolved, missing = await resolve_missing(
        services.database, services.store, services.settings, principal.user_id, job, spec.items_per_subtask
    )

    async def act(tx: Transaction) -> JobOut:
        made = await submit_job(
            tx, principal.user_id, spec, resolved, settings=services.settings, request_id=request_id,
            retry=Retry(job.id, missing),
        )  # fmt: skip
        return JobOut.of(made)

    return await idempotent(request, principal, services, raw, act, status=201)


@router.post("/jobs/{job_id}/rerun", status_code=201, response_model=JobOut)
async def rerun(
    request: Request, job_id: str, body: WorkChangesIn, principal: JobsCaller, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Submit a job as it was once submitted, with other inputs or whatever else the body says."""
    async with services.database.reading() as reader:
        job = await store.get_job(reader, principal.user_id, JobId.parse(job_id))
        said = await store.request_of(reader, job.id)
    return await _submit(request, principal, services, request_id, said, body)


@router.post("/job-templates", response_model=JobTemplateOut)
async def write_template(body: TemplateIn, principal: JobsCaller, services: ServicesDep) -> JobTemplateOut:
    """Save what a job body may say under a name, with inputs or without; one of the same name is replaced."""
    said = body.model_dump(exclude_unset=True, exclude={"name"}, mode="json")
    async with services.database.transaction() as tx:
        most = services.settings.limits.job_templates_max
        return JobTemplateOut.of(await template_store.write_template(tx, principal.user_id, body.name, said, most))


@router.get("/job-templates", response_model=Page[JobTemplateOut])
async def list_templates(principal: JobsCaller, services: ServicesDep, page: PageDep) -> Page[JobTemplateOut]:
    """Your templates, youngest first."""
    async with services.database.reading() as reader:
        rows = await template_store.list_templates(reader, principal.user_id, before=page.before, limit=page.fetch)
    return page_of(rows, page, cursor=lambda saved: saved.id, render=JobTemplateOut.of)


@router.get("/job-templates/{template}", response_model=JobTemplateOut)
async def show_template(template: str, principal: JobsCaller, services: ServicesDep) -> JobTemplateOut:
    """One of your templates."""
    async with services.database.reading() as reader:
        return JobTemplateOut.of(await template_store.get_template(reader, principal.user_id, template))


@router.delete("/job-templates/{template}", status_code=204)
async def delete_template(template: str, principal: JobsCaller, services: ServicesDep) -> Response:
    """Forget a template; jobs that were made from it stay as they are."""
    async with services.database.transaction() as tx:
        await template_store.delete_template(tx, principal.user_id, template)
    return Response(status_code=204)


@router.post("/job-templates/{template}/jobs", status_code=201, response_model=JobOut)
async def submit_template(
    request: Request, template: str, body: WorkChangesIn, principal: JobsCaller, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Submit a job from a template; what the body says goes before what the template says."""
    async with services.database.reading() as reader:
        saved = await template_store.get_template(reader, principal.user_id, template)
    return await _submit(request, principal, services, request_id, saved.request, body)


async def _submit(
    request: Request, principal: Principal, services: Services, request_id: str, said: Any, body: WorkChangesIn
) -> Response:
    raw = await request.body()
    if (replay := await replayed(request, principal, services, raw)) is not None:
        return replay
    wanted = _changed(said, body)
    spec = wanted.spec(wanted.inputs)
    owner_id: UserId = principal.user_id
    resolved = await resolve_job(services.database, services.store, services.settings, owner_id, spec)

    async def act(tx: Transaction) -> JobOut:
        return JobOut.of(await submit_job(tx, owner_id, spec, resolved, settings=services.settings, request_id=request_id))

    return await idempotent(request, principal, services, raw, act, status=201)


def _changed(said: Any, body: WorkChangesIn) -> JobIn:
    """A job body with changes; what is missing or does not fit together is told as for any body."""
    changes = body.model_dump(exclude_unset=True, mode="json")
    try:
        return JobIn.model_validate({**said, "quote": None, **changes})  # a quote is good for one job
    except ValidationError as error:
        errors = [{"loc": list(one["loc"]), "msg": one["msg"]} for one in error.errors()]
        raise Invalid("What was saved and what the body says do not make a job.", errors=errors) from None
