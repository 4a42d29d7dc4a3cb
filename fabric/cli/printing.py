"""How the command prints what the endpoint answers: tables, bills, results."""

import json
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

console = Console()
PIPE_WIDTH = 250


def show(rows: list[dict[str, Any]], columns: dict[str, Any], as_json: bool) -> None:
    """Print rows as a table, or as the JSON they came as."""
    if as_json:
        console.print_json(json.dumps(rows))
        return
    table = Table(box=None, pad_edge=False)
    for title in columns:
        table.add_column(title, overflow="fold", no_wrap=title == "id")  # an id is there to be copied
    for row in rows:
        table.add_row(*(str(cell(row)) for cell in columns.values()))
    # A pipe has no width: there nothing is folded.
    (console if console.is_terminal else Console(width=PIPE_WIDTH)).print(table)


def show_bill(bill: dict[str, Any]) -> None:
    """Print a job's bill: lines that are charged, lines that cost nothing and why, and the sums."""
    columns = {
        "machine": lambda line: line["provider_name"], "slot": lambda line: line["slot"],
        "subtasks": lambda line: line["subtasks"], "seconds": lambda line: f"{line['seconds']:.6f}",
        "USD/h": lambda line: line["rate"]["usd"], "USD": lambda line: line["amount"]["usd"],
        "commission": lambda line: line["commission"]["usd"], "costs nothing because": lambda line: line["detail"] or "",
    }  # fmt: skip
    console.print(f"{bill['job_id']}  {bill['model']}  {bill['status']}", highlight=False, markup=False)
    show([*bill["charged"], *bill["free"]], columns, as_json=False)
    sums = {"held": "held at submit, and what was added", "captured": "charged", "commission": "of that to the platform",
            "earned": "of that to the machines", "released": "given back at the end", "open": "still held",
            "clawed_back": "given back later for bad results", "cost": "what the job has cost"}  # fmt: skip
    for name, words in sums.items():
        console.print(f"{bill[name]['usd']:>18} USD  {words}", highlight=False)
    if not bill["livemode"]:
        console.print("Play money: nothing of this is real.")


def show_prices(prices: dict[str, Any]) -> None:
    """Print commission, device table, demand factors and the latest decisions."""
    table = prices["devices"]
    factors = {entry["device_class"]: entry["factor"] for entry in prices["factors"]}
    rows = [
        *table["devices"], {"match": "other", **table["other"]},
        {"match": "cpu", "usd_per_hour": table["cpu_thread_usd_per_hour"], "watts": "a thread"},
        {"match": "npu", "usd_per_hour": table["npu_usd_per_hour"], "watts": ""},
    ]  # fmt: skip
    columns = {
        "device": lambda row: row["match"], "USD/h": lambda row: row["usd_per_hour"], "watts": lambda row: row["watts"],
        "× demand": lambda row: f"{factors.get(row['match'], 1.0):.3f}",
    }  # fmt: skip
    show(rows, columns, as_json=False)
    console.print(
        f"{table['memory_gib_usd_per_hour']} USD/h for a GiB, {table['watt_usd_per_hour']} USD/h for a watt", highlight=False
    )
    console.print(f"Commission {prices['commission_bps']} basis points", highlight=False)
    decided = {
        "from": lambda c: c["effective_at"], "what": lambda c: c["kind"],
        "to": lambda c: c["commission_bps"] if c["kind"] == "commission" else f"{len(c['devices']['devices'])} devices",
        "by": lambda c: c["operator_id"], "decided": lambda c: c["decided_at"], "why": lambda c: c["reason"],
    }  # fmt: skip
    show(prices["changes"], decided, as_json=False)


def shapes(tensors: dict[str, Any]) -> str:
    """Named tensors in one short line."""
    return ", ".join(f"{name} {t['dtype']}{t['shape']}" for name, t in tensors.items())


def write_results(job: Any, output: Path) -> None:
    """Write a job's outputs to one file and say so."""
    try:
        job.save(output)
    except ValueError as error:
        console.print(str(error), highlight=False)
        raise typer.Exit(1) from None
    failed = job.refresh().facts["progress"]["items_failed"]
    console.print(f"{output} is written" + (f"; {failed} items failed, see `failed_items` or `errors` in it" if failed else ""))
