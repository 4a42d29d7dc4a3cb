"""How the command answers: tables, records, bills and results in words, or the endpoint's JSON."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from fabric.cli.commands import fail, manner
from fabric.client import display

console = Console()
PIPE_WIDTH = 250
GONE = ""

Columns = Mapping[str, Callable[[dict[str, Any]], Any]]


def tell(facts: Any, words: str | None = None) -> None:
    """Answer with one fact: `facts` as JSON, or in words."""
    if manner.as_json or words is None:
        _json(facts)
    else:
        console.print(words, highlight=False, markup=False, soft_wrap=True)


def tell_record(facts: dict[str, Any], fields: Columns) -> None:
    """Answer with one thing: its JSON, or a line for each field that has something to say."""
    if manner.as_json:
        _json(facts)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, cell in fields.items():
        if (value := cell(facts)) not in (None, "", {}, []):
            table.add_row(name, str(value))
    _print(table)


def show(rows: list[dict[str, Any]], columns: Columns, *, nothing: str = "none yet") -> None:
    """Answer with rows: as JSON, or as a table."""
    if manner.as_json:
        _json(rows)
    elif not rows:
        console.print(nothing, highlight=False, markup=False)
    else:
        _print(_table(rows, columns))


def show_bill(bill: dict[str, Any]) -> None:
    """Print a job's bill: lines that are charged, lines that cost nothing and why, and the sums."""
    columns = {
        "machine": lambda line: line["provider_name"], "slot": lambda line: line["slot"],
        "subtasks": lambda line: line["subtasks"], "seconds": lambda line: f"{line['seconds']:.6f}",
        "USD/h": lambda line: line["rate"]["usd"], "USD": lambda line: line["amount"]["usd"],
        "commission": lambda line: line["commission"]["usd"], "costs nothing because": lambda line: line["detail"] or "",
    }  # fmt: skip
    console.print(f"{bill['job_id']}  {bill['model']}  {bill['status']}", highlight=False, markup=False)
    _print(_table([*bill["charged"], *bill["free"]], columns))
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
    _print(_table(rows, columns))
    console.print(
        f"{table['memory_gib_usd_per_hour']} USD/h for a GiB, {table['watt_usd_per_hour']} USD/h for a watt", highlight=False
    )
    console.print(f"Commission {prices['commission_bps']} basis points", highlight=False)
    decided = {
        "from": lambda c: c["effective_at"], "what": lambda c: c["kind"],
        "to": lambda c: c["commission_bps"] if c["kind"] == "commission" else f"{len(c['devices']['devices'])} devices",
        "by": lambda c: c["operator_id"], "decided": lambda c: c["decided_at"], "why": lambda c: c["reason"],
    }  # fmt: skip
    _print(_table(prices["changes"], decided))


def shapes(tensors: dict[str, Any]) -> str:
    """Named tensors in one short line."""
    return ", ".join(f"{name} {t['dtype']}{t['shape']}" for name, t in tensors.items())


def dollars(money: Mapping[str, Any] | None) -> str:
    """An amount of the endpoint's, exact, without zeros that say nothing; nothing when there is none."""
    return display.dollars(money) if money else GONE


def usd(money: Mapping[str, Any] | None) -> str:
    """The same with its unit."""
    return display.money(money) if money else GONE


def write_results(job: Any, output: Path) -> None:
    """Write a job's outputs to one file and say so; of results that went meanwhile, that they did."""
    job.save(output)
    failed = job.refresh().facts["progress"]["items_failed"]
    words = f"{output} is written" + (f"; {failed} items failed, see `failed_items` or `errors` in it" if failed else "")
    tell({"path": str(output), "items_failed": failed}, words)


def write_bytes(content: bytes, output: Path, *, overwrite: bool = False) -> None:
    """Write a file and say so; one that is there already is not replaced unless that is wanted."""
    if output.exists() and not overwrite:
        fail(f"{output} is there already; choose another name, or --overwrite")
    output.write_bytes(content)
    tell({"path": str(output), "size": len(content)}, f"{output} is written ({len(content):,} bytes)")


def _table(rows: list[dict[str, Any]], columns: Columns) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in columns:
        table.add_column(title, overflow="fold", no_wrap=title == "id")  # an id is there to be copied
    for row in rows:
        table.add_row(*(str(cell(row)) for cell in columns.values()))
    return table


def _print(table: Table) -> None:
    # A pipe has no width: there nothing is folded.
    (console if console.is_terminal else Console(width=PIPE_WIDTH)).print(table)


def _json(facts: Any) -> None:
    if console.is_terminal:
        console.print_json(json.dumps(facts))
    else:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
