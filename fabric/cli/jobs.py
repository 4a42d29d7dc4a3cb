"""The commands `fabric jobs …`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fabric.cli.printing import console, show, show_bill, write_results
from fabric.cli.reach import AsJson, connect

app = typer.Typer(help="Submit, watch, list and cancel jobs.", no_args_is_help=True)


@app.command("submit")
def jobs_submit(
    model: Annotated[str, typer.Argument(help="Name, name:version or id.")],
    files: Annotated[
        list[Path], typer.Argument(help=".npy, .npz, .json, .txt, .zip, or images, sounds, videos (one item each).", exists=True)
    ],
    name: Annotated[str | None, typer.Option("--input", help="Which input; needed when the model has several.")] = None,
    budget_usd: Annotated[str | None, typer.Option(help="Never spend more.")] = None,
    deadline_s: Annotated[int | None, typer.Option(help="End after so long.")] = None,
    output: Annotated[Path | None, typer.Option(help="Wait, then write results to this .npz, .json or .zip.")] = None,
    detach: Annotated[bool, typer.Option(help="Print the id and return at once.")] = False,
) -> None:
    """Submit a job and watch it."""
    with connect() as client:
        value: Any = (
            files[0]
            if len(files) == 1 and files[0].suffix in {".npy", ".npz", ".json", ".jsonl", ".txt", ".zip"}
            else list(files)
        )
        options = {k: v for k, v in {"budget_usd": budget_usd, "deadline_s": deadline_s}.items() if v is not None}
        job = client.submit(model, {name: value} if name else value, **options)
        console.print(job.id)
        if detach:
            return
        job.wait()
        console.print(f"{job.status}: {job.cost['captured']['usd']} USD")
        if output:
            write_results(job, output)


@app.command("list")
def jobs_list(limit: int = 20, as_json: AsJson = False) -> None:
    """Your jobs, newest first."""
    with connect() as client:
        found = client.jobs.list(limit=limit)
    columns = {
        "id": lambda j: j["id"], "model": lambda j: j["model"], "status": lambda j: j["status"],
        "items": lambda j: f"{j['progress']['items_done']}/{j['progress']['items_total']}",
        "cost USD": lambda j: j["cost"]["captured"]["usd"], "waiting for": lambda j: j.get("waiting_reason") or "",
        "created": lambda j: j["created_at"],
    }  # fmt: skip
    show(found, columns, as_json)


@app.command("show")
def jobs_show(job_id: str) -> None:
    """One job as the endpoint shows it."""
    with connect() as client:
        console.print_json(json.dumps(client.job(job_id).facts))


@app.command("watch")
def jobs_watch(job_id: str) -> None:
    """Follow a job to its end."""
    with connect() as client:
        job = client.job(job_id).wait()
        console.print(f"{job.status}: {job.cost['captured']['usd']} USD")


@app.command("results")
def jobs_results(job_id: str, output: Path) -> None:
    """Write a job's outputs to an .npz, .json or .zip."""
    with connect() as client:
        write_results(client.job(job_id), output)


@app.command("bill")
def jobs_bill(
    job_id: str, as_json: AsJson = False, as_csv: Annotated[bool, typer.Option("--csv", help="For a spreadsheet.")] = False
) -> None:
    """What a job costs, item by item, and which attempts cost nothing and why."""
    with connect() as client:
        job = client.job(job_id)
        if as_csv:
            typer.echo(job.bill_csv(), nl=False)
        elif as_json:
            console.print_json(json.dumps(job.bill()))
        else:
            show_bill(job.bill())


@app.command("cancel")
def jobs_cancel(job_id: str) -> None:
    """Stop a job; what is done is kept."""
    with connect() as client:
        console.print(client.job(job_id).cancel().status)
