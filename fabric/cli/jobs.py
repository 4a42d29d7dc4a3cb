"""The commands `fabric jobs …`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fabric.cli.commands import Commands, manner
from fabric.cli.printing import GONE, dollars, show, show_bill, tell, tell_record, usd, write_results
from fabric.cli.reach import connect
from fabric.cli.watching import watch_jobs, watch_recent
from fabric.client import Job

app = Commands(help="Submit, watch, search, repeat and cancel jobs.", no_args_is_help=True)

TOGETHER = {".npy", ".npz", ".json", ".jsonl", ".txt", ".zip"}
"""Kinds of files that hold many items; of any other kind each file is one."""

Files = Annotated[
    list[Path], typer.Argument(help=".npy, .npz, .json, .txt, .zip, or images, sounds, videos (one item each).", exists=True)
]
Model = Annotated[str, typer.Argument(help="Name, name:version or id.")]
InputName = Annotated[str | None, typer.Option("--input", help="Which input; needed when the model has several.")]
Budget = Annotated[str | None, typer.Option(help="Never spend more.")]
Deadline = Annotated[int | None, typer.Option(help="End after so long.")]
Price = Annotated[str | None, typer.Option("--max-price", help="USD per hour; dearer slots are not used.")]
Own = Annotated[bool | None, typer.Option("--own-machines", help="Also on machines of your own; there a job costs nothing.")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="NAME=VALUE; may be repeated.")]
Output = Annotated[Path | None, typer.Option(help="Wait, then write results to this .npz, .json or .zip.")]
Detach = Annotated[bool, typer.Option(help="Print the id and return at once.")]
Quote = Annotated[str | None, typer.Option(help="The id of a quote for the same work; its price is binding.")]

LIST_COLUMNS = {
    "id": lambda j: j["id"], "model": lambda j: j["model"], "status": lambda j: j["status"],
    "items": lambda j: f"{j['progress']['items_done']}/{j['progress']['items_total']}",
    "cost USD": lambda j: dollars(j["cost"]["captured"]), "waiting for": lambda j: j.get("waiting_reason") or GONE,
    "labels": lambda j: " ".join(f"{name}={value}" for name, value in j["labels"].items()), "created": lambda j: j["created_at"],
}  # fmt: skip

FIELDS = {
    "id": lambda j: j["id"], "model": lambda j: j["model"], "status": lambda j: j["status"],
    "waiting for": lambda j: j.get("waiting_reason"),
    "items": lambda j: "{items_done} done, {items_failed} failed, of {items_total}".format_map(j["progress"]),
    "cost": lambda j: usd(j["cost"]["captured"]), "held": lambda j: usd(j["cost"]["held"]),
    "run": lambda j: f"{j['run_s']:.3f} s, {j['queue_s']:.3f} s in the queue", "labels": lambda j: j["labels"],
    "error": lambda j: j["error"] and f"{j['error']['code']}: {j['error']['detail']}",
    "failed items": lambda j: "\n".join(f"{e['index']}: {e['detail']}" for e in (j.get("errors") or [])[:10]),
    "retries": lambda j: j.get("retry_of"), "created": lambda j: j["created_at"], "finished": lambda j: j["finished_at"],
    "results until": lambda j: j["results_expire_at"], "results deleted": lambda j: j["results_deleted_at"],
}  # fmt: skip


def labels_of(given: list[str] | None) -> dict[str, str]:
    """`NAME=VALUE` words as labels.

    Raises:
        ValueError: one has no `=`.
    """
    pairs = [label.partition("=") for label in given or []]
    if bad := [name for name, equals, _ in pairs if not equals]:
        raise ValueError(f"--label {bad[0]!r} is not of the form NAME=VALUE")
    return {name: value for name, _, value in pairs}


def inputs_of(files: list[Path], name: str | None) -> Any:
    """What a job gets from files on the command line."""
    value: Any = files[0] if len(files) == 1 and files[0].suffix.lower() in TOGETHER else list(files)
    return {name: value} if name else value


def options_of(**given: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in given.items() if value not in (None, {}, [])}


def follow(job: Job, *, output: Path | None, detach: bool) -> None:
    """What becomes of a job that was just submitted: its id, then its end and results.

    Raises:
        typer.Exit: with 1 when it did not succeed.
    """
    if detach:
        tell(job.facts, job.id)
        return
    if not manner.as_json:
        tell(job.facts, job.id)
    job = watch_jobs([job])[0]
    if output and job.status == "succeeded":
        write_results(job, output)
    if job.status != "succeeded":
        raise typer.Exit(1)


@app.command("submit")
def jobs_submit(
    model: Model,
    files: Files,
    name: InputName = None,
    budget_usd: Budget = None,
    deadline_s: Deadline = None,
    max_price_usd_per_hour: Price = None,
    own_machines: Own = None,
    quote: Quote = None,
    labels: Labels = None,
    output: Output = None,
    detach: Detach = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and price it, do nothing.")] = False,
) -> None:
    """Submit a job and watch it."""
    options = options_of(
        budget_usd=budget_usd, deadline_s=deadline_s, max_price_usd_per_hour=max_price_usd_per_hour,
        own_machines=own_machines, quote=quote, labels=labels_of(labels),
    )  # fmt: skip
    with connect() as client:
        inputs = inputs_of(files, name)
        if dry_run:
            show_dry_run(client.dry_run(model, inputs, **options))
            return
        follow(client.submit(model, inputs, **options), output=output, detach=detach)


def show_dry_run(found: dict[str, Any]) -> None:
    """What a job would be."""
    fields = {
        "model": lambda d: d["model"], "items": lambda d: d["items"],
        "subtasks": lambda d: f"{d['subtasks']} of {d['items_per_subtask']} items",
        "price": lambda d: f"{usd(d['quote']['price_expected'])} expected, at most {usd(d['quote']['price_max'])}",
        "held at submit": lambda d: usd(d["quote"]["hold"]),
        "time": lambda d: d["quote"]["seconds_expected"] and f"about {d['quote']['seconds_expected']:.1f} s",
        "your wallet": lambda d: "can cover it" if d["affordable"] else "cannot cover it: fabric wallet top-up",
    }  # fmt: skip
    tell_record(found, fields)


@app.command("list")
def jobs_list(
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    status: Annotated[str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")] = None,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    search: Annotated[str | None, typer.Option(help="A word in the model's name or a label.")] = None,
    labels: Labels = None,
) -> None:
    """Your jobs, newest first."""
    filters = options_of(status=status, model=model, q=search)
    with connect() as client:
        found = client.jobs.list(limit=limit, labels=labels_of(labels) or None, **filters)
    show(found, LIST_COLUMNS, nothing="no such jobs" if filters or labels else "no jobs yet: fabric jobs submit MODEL FILES")


@app.command("show")
def jobs_show(job_id: str) -> None:
    """One job: progress, cost, why it waits, what failed."""
    with connect() as client:
        tell_record(client.job(job_id).facts, FIELDS)


@app.command("watch")
def jobs_watch(
    job_ids: Annotated[list[str] | None, typer.Argument(help="Left out: all that are not finished, and new ones.")] = None,
) -> None:
    """A live table of jobs; ends when those that were named have ended, with exit code 1 when one did not succeed."""
    with connect() as client:
        if not job_ids:
            watch_recent(client)
            return
        ended = watch_jobs([client.job(job_id) for job_id in job_ids])
    if any(job.status != "succeeded" for job in ended):
        raise typer.Exit(1)


@app.command("results")
def jobs_results(job_id: str, output: Annotated[Path, typer.Argument(help="A .npz, .json or .zip to write.")]) -> None:
    """Write a job's outputs to one file."""
    with connect() as client:
        write_results(client.job(job_id), output)


@app.command("bill")
def jobs_bill(job_id: str, as_csv: Annotated[bool, typer.Option("--csv", help="For a spreadsheet.")] = False) -> None:
    """What a job costs, item by item, and which attempts cost nothing and why."""
    with connect() as client:
        job = client.job(job_id)
        if as_csv:
            typer.echo(job.bill_csv(), nl=False)
        elif manner.as_json:
            tell(job.bill())
        else:
            show_bill(job.bill())


@app.command("parts")
def jobs_parts(job_id: str) -> None:
    """Who ran what: every subtask with its machine, seconds and price."""
    with connect() as client:
        found = client.job(job_id).subtasks()
    columns = {
        "part": lambda s: s["position"], "items": lambda s: f"{s['item_start']}+{s['item_count']}", "status": lambda s: s["status"],
        "machine": lambda s: s["provider_id"] or GONE, "slot": lambda s: GONE if s["slot"] is None else s["slot"],
        "attempts": lambda s: len(s["attempts"]), "USD": lambda s: dollars(s["cost"]),
        "items that failed": lambda s: "; ".join(f"{e['index']}: {e['detail']}" for e in s["errors"][:3]),
    }  # fmt: skip
    show(found, columns)


@app.command("cancel")
def jobs_cancel(job_id: str) -> None:
    """Stop a job; what is done is kept."""
    with connect() as client:
        job = client.job(job_id).cancel()
    tell(job.facts, job.status)


@app.command("retry")
def jobs_retry(job_id: str, budget_usd: Budget = None, output: Output = None, detach: Detach = False) -> None:
    """Do again what a finished job did not deliver, as a job of its own."""
    with connect() as client:
        follow(client.job(job_id).retry(**options_of(budget_usd=budget_usd)), output=output, detach=detach)


@app.command("rerun")
def jobs_rerun(
    job_id: str,
    files: Annotated[list[Path] | None, typer.Argument(help="Other inputs; left out: the same.", exists=True)] = None,
    name: InputName = None,
    budget_usd: Budget = None,
    deadline_s: Deadline = None,
    labels: Labels = None,
    output: Output = None,
    detach: Detach = False,
) -> None:
    """Submit a job as it was once submitted, with other inputs or limits if they are given."""
    options = options_of(budget_usd=budget_usd, deadline_s=deadline_s, labels=labels_of(labels))
    with connect() as client:
        job = client.jobs.rerun(job_id, inputs_of(files, name) if files else None, **options)
        follow(job, output=output, detach=detach)


@app.command("label")
def jobs_label(
    job_id: str, labels: Annotated[list[str] | None, typer.Argument(help="NAME=VALUE …; none at all: take them away.")] = None
) -> None:
    """Give a job these labels in place of those it has."""
    with connect() as client:
        job = client.job(job_id).label(**labels_of(labels))
    tell(job.facts, " ".join(f"{name}={value}" for name, value in job.facts["labels"].items()) or "no labels")


@app.command("add-budget")
def jobs_add_budget(job_id: str, usd_more: Annotated[str, typer.Argument(metavar="USD")]) -> None:
    """Let a job spend more; one that waits for funds goes on."""
    with connect() as client:
        job = client.job(job_id).add_budget(usd_more)
    tell(job.facts, f"{job.id} may spend {usd_more} USD more")
