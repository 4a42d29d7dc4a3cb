"""What a notebook shows: legible, short, and everything in it escaped, whatever things are called."""

from html.parser import HTMLParser

from fabric.client import AsyncClient, AsyncJob, Timeline
from fabric.client._async.transport import Transport
from fabric.client.display import (
    BillFacts,
    DryRunFacts,
    JobRows,
    ModelFacts,
    ModelRows,
    QuoteFacts,
    Rows,
    Shown,
    WalletFacts,
    duration,
    money,
)  # fmt: skip
from fabric.client.progress import Progress

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;$\\frac"
HARMLESS_TAGS = {"div", "span", "b", "table", "thead", "tbody", "tr", "th", "td", "pre"}


def usd(text: str) -> dict:
    return {"usd_nanos": int(text.replace(".", "")), "usd": text}


def job_facts(**changes) -> dict:
    return {
        "id": HOSTILE, "status": "running", "model": HOSTILE, "queue_s": 1.5, "run_s": 125.0, "waiting_reason": HOSTILE,
        "progress": {"items_done": 30, "items_failed": 2, "items_total": 100}, "labels": {HOSTILE: HOSTILE},
        "cost": {"captured": usd("0.001200000"), "held": usd("1.000000000"), "by_provider": [
            {"provider_id": "prv_1", "name": HOSTILE, "subtasks": 3},
        ]}, "error": {"code": HOSTILE, "detail": HOSTILE}, "created_at": "2026-05-01T00:00:00Z", **changes,
    }  # fmt: skip


MODEL = {
    "name": HOSTILE, "version": 3, "visibility": HOSTILE, "own": False, "description": HOSTILE, "size": 4_000_000, "parameters": 12,
    "inputs": {HOSTILE: {"dtype": HOSTILE, "shape": [None, 4]}}, "outputs": {}, "results": {HOSTILE: {"dtype": "f", "shape": [None]}},
    "profile": {"batchable": True, "batch_items_max": 8, "item_us": 1500.0},
}  # fmt: skip
QUOTE = {
    "id": HOSTILE, "items": 10, "model": HOSTILE, "price_expected": usd("0.100000000"), "price_min": usd("0.050000000"),
    "price_max": usd("0.200000000"), "hold": usd("0.300000000"), "seconds_expected": 3.0, "livemode": False, "expires_at": HOSTILE,
    "capacity": {"slots_free": 1, "slots_matching": 2},
}  # fmt: skip
WALLET = {
    "available": usd("1.500000000"), "held": usd("0.000000000"), "promotional": usd("2.000000000"), "status": HOSTILE, "livemode": False,
}  # fmt: skip
LINE = {
    "provider_name": HOSTILE,
    "slot": 0,
    "subtasks": 2,
    "seconds": 1.0,
    "rate": usd("0.100000000"),
    "amount": usd("0.000100000"),
}
BILL = {"charged": [LINE], "free": [LINE], "cost": usd("0.000100000"), "livemode": True}


class Tags(HTMLParser):
    """Which tags there are, whether they are closed, and what text is between them."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.seen, self.attributes, self.text = [], set(), set(), ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def looked_at(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert tags.seen <= HARMLESS_TAGS
    assert tags.attributes <= {"style"}
    assert "color:#000" not in html and "background:#fff" not in html and "color:black" not in html
    return tags


async def test_every_display_escapes_what_it_shows():
    shown = {
        "job": AsyncJob(Transport("http://127.0.0.1:9", None), job_facts()), "jobs": JobRows([job_facts()]),
        "model": ModelFacts(MODEL), "models": ModelRows([MODEL]), "quote": QuoteFacts(QUOTE), "wallet": WalletFacts(WALLET),
        "dry run": DryRunFacts(items=1, model=HOSTILE, subtasks=1, items_per_subtask=1, quote=QUOTE, affordable=False),
        "bill": BillFacts(BILL), "rows": Rows([{HOSTILE: HOSTILE, "amount": usd("0.100000000"), "more": {}}]), "facts": Shown(name=HOSTILE),
    }  # fmt: skip
    for name, thing in shown.items():
        assert "<script>alert" in looked_at(thing._repr_html_()).text, name


def test_a_job_says_how_far_it_is_what_it_costs_and_why():
    text = looked_at(AsyncJob(None, job_facts(model="digits", waiting_reason=None, error=None))._repr_html_()).text
    assert "30 of 100, 2 failed" in text
    assert "0.0012 USD of 1.00 USD held" in text
    assert "2 min 5 s running" in text


def test_answers_stay_dicts_and_lists_and_long_ones_are_cut():
    assert Shown(a=1) == {"a": 1}
    assert "nothing" in looked_at(Rows()._repr_html_()).text
    assert "and 10 more" in looked_at(Rows([{"a": i} for i in range(60)])._repr_html_()).text
    assert len(Shown(a="x" * 100_000)._repr_html_()) < 2000
    assert (money(usd("12.500000000")), money(usd("0.000000001"))) == ("12.50 USD", "0.000000001 USD")
    assert duration(3725) == "1 h 2 min"
    assert "play money" in QuoteFacts(QUOTE)._repr_html_()


def attempt(provider: str, start: int, end: int, outcome: str = "done", error: dict | None = None) -> dict:
    return {
        "provider_id": provider, "slot": 0, "outcome": outcome, "gross": usd("0.000100000"), "error": error,
        "leased_at": f"2026-05-01T00:00:0{start}+00:00", "finished_at": f"2026-05-01T00:00:0{end}+00:00",
    }  # fmt: skip


def test_a_timeline_draws_every_attempt_under_hostile_names(tmp_path):
    failed = attempt("prv_2", 1, 2, "failed", {"code": "oops", "detail": HOSTILE})
    subtasks = [
        {"item_count": 5, "attempts": [failed, attempt("prv_1", 2, 4)]},
        {"item_count": 5, "attempts": [attempt("prv_1", 4, 6)]},
    ]
    timeline = Timeline.of(job_facts(), subtasks)
    assert [(span.start_s, span.end_s, span.outcome) for span in timeline.spans if "script" in span.lane] == [
        (2.0, 4.0, "done"), (4.0, 6.0, "done"),
    ]  # fmt: skip
    figure = timeline.figure()
    bars = [bar for group in figure.axes[0].containers for bar in group]
    assert sorted((bar.get_x(), bar.get_width()) for bar in bars) == [(1.0, 1.0), (2.0, 2.0), (4.0, 2.0)]
    assert timeline.save(tmp_path / "timeline.svg").read_text().startswith("<?xml")
    many = job_facts(progress={"items_done": 1, "items_total": 1, "subtasks_total": 70_000})
    assert Timeline.of(many, []).title.endswith("the first 5,000 of 70,000 subtasks")
    assert Timeline("nothing yet", [])._repr_png_().startswith(b"\x89PNG")


def test_the_bar_shows_items_cost_and_what_it_waits_for(capsys):
    with Progress(job_facts(model="digits", waiting_reason="no_capacity")) as bar:
        bar.update({"items_done": 60, "items_failed": 2, "captured": usd("0.002000000")})
        bar.finish(job_facts(progress={"items_done": 98, "items_failed": 2, "items_total": 100}))
    said = capsys.readouterr().err
    assert "waiting: no_capacity" in said
    assert "100/100" in said
    assert "0.0012 USD, 2 failed" in said


async def test_a_client_without_a_connection_has_a_name():
    async with AsyncClient("http://127.0.0.1:9", "key") as client:
        assert repr(client) == "<AsyncClient http://127.0.0.1:9>"
