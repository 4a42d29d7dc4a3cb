"""How answers look in a notebook: small HTML that is legible in light and dark, everything in it escaped.

Answers stay what they are, dicts and lists; these classes add only `_repr_html_`, which notebooks call.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, ClassVar

ROWS_SHOWN_MAX = 50
COLUMNS_SHOWN_MAX = 8
TEXT_CHARACTERS_MAX = 80
FAINT = "opacity:.65"
LINE = "1px solid rgba(128,128,128,.35)"
CELL = f"text-align:left;padding:.15em .8em .15em 0;border-bottom:{LINE};vertical-align:top;background:transparent"
COLORS = {"succeeded": "#2e9e5b", "running": "#3b82f6", "queued": "#9a7d0a", "failed": "#d64545", "cancelled": "#888888"}

Facts = Mapping[str, Any]
Column = Callable[[Facts], Any]


class Shown(dict[str, Any]):
    """An answer that shows itself as a table of names and values."""

    title: ClassVar[str] = ""

    def lines(self) -> Iterable[tuple[str, Any]]:
        """What is worth showing: names and values."""
        return ((name.replace("_", " "), value) for name, value in self.items() if is_plain(value))

    def _repr_html_(self) -> str:
        return card(self.title, self.lines())


class ModelFacts(Shown):
    """One version of a model."""

    def lines(self) -> Iterable[tuple[str, Any]]:
        """Inputs and outputs, how fast, whose."""
        profile = self.get("profile") or {}
        yield "model", f"{self['name']}:{self['version']} · {self['visibility']}{'' if self.get('own') else ', not yours'}"
        yield "about", self.get("description") or "–"
        yield "inputs", shapes(self.get("inputs") or {})
        yield "delivers", shapes(self.get("results") or self.get("outputs") or {})
        if profile:
            batches = f"batches of up to {profile['batch_items_max']}" if profile["batchable"] else "one at a time"
            yield "runs", f"{profile['item_us'] / 1000:.3g} ms an item, {batches}"
        yield "size", f"{self['size'] / 1e6:.3g} MB, {self.get('parameters', 0):,} parameters"


class QuoteFacts(Shown):
    """What a job would cost and how long it would take."""

    def lines(self) -> Iterable[tuple[str, Any]]:
        """The price, what is held, and how busy it is."""
        capacity = self.get("capacity") or {}
        yield "work", f"{self['items']:,} items of {self['model']}"
        yield "price", f"about {money(self['price_expected'])} ({money(self['price_min'])} to {money(self['price_max'])})"
        yield "held", f"{money(self['hold'])}; what is not used comes back"
        if self.get("seconds_expected") is not None:
            yield "takes", duration(self["seconds_expected"])
        if capacity:
            yield "slots", f"{capacity['slots_free']} free of {capacity['slots_matching']}"
        yield "good until", f"{self['expires_at']}, as quote={self['id']!r}"
        yield from play_money(self)


class DryRunFacts(Shown):
    """What a submit would do."""

    def lines(self) -> Iterable[tuple[str, Any]]:
        """How it is cut, and whether there is money for it."""
        yield "work", f"{self['items']:,} items of {self['model']}"
        yield "cut", f"{self['subtasks']:,} subtasks of {self['items_per_subtask']:,} items"
        yield "price", f"about {money(self['quote']['price_expected'])}, {money(self['quote']['hold'])} held"
        yield "affordable", "yes" if self["affordable"] else "no: top up, or lower budget_usd"


class WalletFacts(Shown):
    """Your money."""

    def lines(self) -> Iterable[tuple[str, Any]]:
        """What can be spent, what is held, what was earned."""
        yield "available", money(self["available"])
        yield "held for jobs", money(self["held"])
        for name in ("promotional", "earned_available", "earned_pending"):
            if self.get(name, {}).get("usd_nanos"):
                yield name.replace("_", " "), money(self[name])
        if self.get("status") != "active":
            yield "status", self.get("status")
        yield from play_money(self)


class BillFacts(Shown):
    """A job's bill."""

    def lines(self) -> Iterable[tuple[str, Any]]:
        """Each charged line, then the sum."""
        for line in self["charged"]:
            what = f"{line['subtasks']} subtasks, {line['seconds']:.3f} s at {money(line['rate'])}/h"
            yield f"{line['provider_name']}, slot {line['slot']}", f"{what} = {money(line['amount'])}"
        yield "costs nothing", f"{sum(line['subtasks'] for line in self['free'])} attempts"
        yield "cost", money(self["cost"])
        yield from play_money(self)


class Rows(list[dict[str, Any]]):
    """A list that shows itself as a table."""

    columns: ClassVar[dict[str, Column]] = {}

    def _repr_html_(self) -> str:
        columns = self.columns or guessed_columns(self)
        if not self:
            return f'<div style="{FAINT}">nothing</div>'
        head = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in columns)
        body = "".join(
            "<tr>" + "".join(f'<td style="{CELL}">{text(cell(row))}</td>' for cell in columns.values()) + "</tr>"
            for row in self[:ROWS_SHOWN_MAX]
        )
        more = len(self) - ROWS_SHOWN_MAX
        rest = f'<div style="{FAINT}">and {more:,} more</div>' if more > 0 else ""
        return f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}'


class JobRows(Rows):
    """Jobs."""

    columns: ClassVar[dict[str, Column]] = {
        "job": lambda job: job["id"], "model": lambda job: job["model"], "status": lambda job: job["status"],
        "items": lambda job: f"{job['progress']['items_done']:,}/{job['progress']['items_total']:,}",
        "cost": lambda job: money(job["cost"]["captured"]), "waits for": lambda job: job.get("waiting_reason") or "",
        "submitted": lambda job: job["created_at"],
    }  # fmt: skip


class ModelRows(Rows):
    """Models."""

    columns: ClassVar[dict[str, Column]] = {
        "model": lambda model: f"{model['name']}:{model['version']}", "about": lambda model: model.get("description") or "",
        "inputs": lambda model: shapes(model["inputs"]), "delivers": lambda model: shapes(model.get("results") or model["outputs"]),
        "ms/item": lambda model: f"{model['profile']['item_us'] / 1000:.3g}",
    }  # fmt: skip


def job_html(facts: Facts) -> str:
    """A job: how far it is, what it costs, and why it waits or failed."""
    progress, status = facts["progress"], str(facts["status"])
    total = max(1, progress["items_total"])
    done = min(100.0, 100.0 * (progress["items_done"] + progress.get("items_failed", 0)) / total)
    color = COLORS.get(status, "#888888")
    bar = (
        f'<div style="height:.35em;width:100%;max-width:24em;background:rgba(128,128,128,.25);border-radius:.2em;margin:.3em 0">'
        f'<div style="height:100%;width:{done:.1f}%;background:{color};border-radius:.2em"></div></div>'
    )
    dot = f'<span style="color:{color}">●</span> <b>{text(facts["model"])}</b> <span style="{FAINT}">{text(facts["id"])}</span>'
    return f"<div>{dot}{bar}{card('', job_lines(facts))}</div>"


def job_lines(facts: Facts) -> Iterable[tuple[str, Any]]:
    """What a job's table says."""
    progress, cost = facts["progress"], facts["cost"]
    failed = progress.get("items_failed", 0)
    yield "status", facts["status"] + (f", waits for {facts['waiting_reason']}" if facts.get("waiting_reason") else "")
    yield "items", f"{progress['items_done']:,} of {progress['items_total']:,}" + (f", {failed:,} failed" if failed else "")
    yield "time", f"{duration(facts['queue_s'])} waiting, {duration(facts['run_s'])} running"
    yield "cost", f"{money(cost['captured'])} of {money(cost['held'])} held"
    if machines := cost.get("by_provider"):
        yield "machines", ", ".join(f"{one['name']} ({one['subtasks']})" for one in machines)
    if error := facts.get("error"):
        yield "why", f"{error['code']}: {error['detail']}"
    if labels := facts.get("labels"):
        yield "labels", ", ".join(f"{name}={value}" for name, value in labels.items())


def card(title: str, lines: Iterable[tuple[str, Any]]) -> str:
    """Names and values, one below the other."""
    rows = "".join(
        f'<tr><th style="{CELL};font-weight:normal;{FAINT}">{text(name)}</th><td style="{CELL}">{text(value)}</td></tr>'
        for name, value in lines
    )
    head = f"<b>{escape(title)}</b>" if title else ""
    return f'{head}<table style="border-collapse:collapse"><tbody>{rows}</tbody></table>'


def text(value: Any) -> str:
    """Any value as escaped text of bounded length."""
    shown = money(value) if is_money(value) else str(value)
    return escape(shown if len(shown) <= TEXT_CHARACTERS_MAX * 4 else shown[: TEXT_CHARACTERS_MAX * 4] + "…")


def money(amount: Facts) -> str:
    """`{"usd_nanos", "usd"}` as a person reads it: cents, and further digits only where there are any."""
    return f"{dollars(amount)} USD"


def dollars(amount: Facts) -> str:
    """The same without its unit."""
    whole, _, digits = str(amount["usd"]).partition(".")
    return f"{whole}.{digits.rstrip('0').ljust(2, '0')}"


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def shapes(tensors: Facts) -> str:
    """Inputs or outputs in one line."""
    return ", ".join(
        f"{name} {tensor['dtype']}[{', '.join('?' if size is None else str(size) for size in tensor['shape'])}]"
        for name, tensor in tensors.items()
    )


def play_money(facts: Facts) -> Iterable[tuple[str, Any]]:
    """A line that says so when the money is not real."""
    if facts.get("livemode") is False:
        yield "money", "play money, nothing of this is real"


def is_money(value: Any) -> bool:
    """Whether this is an amount."""
    return isinstance(value, Mapping) and set(value) == {"usd_nanos", "usd"}


def is_plain(value: Any) -> bool:
    """Whether this fits a cell."""
    return value is None or isinstance(value, str | int | float) or is_money(value)


def guessed_columns(rows: Sequence[Facts]) -> dict[str, Column]:
    """The first plain fields of the first row."""
    names = [name for name, value in (rows[0] if rows else {}).items() if is_plain(value)][:COLUMNS_SHOWN_MAX]

    def column(name: str) -> Column:
        return lambda row: "" if row.get(name) is None else row[name]

    return {name: column(name) for name in names}
