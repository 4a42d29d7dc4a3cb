"""Who did what when: a job's attempts as spans of time, and as a picture."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fabric.client.errors import FabricClientError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIMELINE_SUBTASKS_MAX = 5000
LANES_SHOWN_MAX = 60
LANE_INCHES = 0.3
COLORS = {"done": "#3b82f6", "failed": "#d64545", "lost": "#e08a00", "cancelled": "#888888"}
GRAY = "#808080"  # legible on white and on black


@dataclass(frozen=True, slots=True)
class Span:
    """One attempt at one subtask."""

    lane: str
    """Machine and slot."""
    start_s: float
    """Seconds since the job was submitted, when the slot got it."""
    end_s: float
    items: int
    outcome: str
    """done, failed, lost or cancelled."""
    usd: str
    """What it cost."""
    why: str
    """Why it failed; empty where it did not."""


class Timeline:
    """The spans of one job; a picture in a notebook where matplotlib is installed."""

    def __init__(self, title: str, spans: list[Span]) -> None:
        """Hold on to what happened."""
        self.title, self.spans = title, spans

    @classmethod
    def of(cls, job: Mapping[str, Any], subtasks: Iterable[Mapping[str, Any]]) -> "Timeline":
        """The timeline of a job with these subtasks."""
        names = {one["provider_id"]: one["name"] for one in job["cost"].get("by_provider") or []}
        begun = datetime.fromisoformat(job["created_at"])
        spans = [
            Span(
                f"{names.get(attempt['provider_id'], attempt['provider_id'])} · {attempt['slot']}",
                (datetime.fromisoformat(attempt["leased_at"]) - begun).total_seconds(),
                (datetime.fromisoformat(attempt["finished_at"]) - begun).total_seconds(),
                subtask["item_count"], attempt["outcome"], attempt["gross"]["usd"],
                "{code}: {detail}".format(**attempt["error"]) if attempt.get("error") else "",
            )
            for subtask in subtasks for attempt in subtask["attempts"]
        ]  # fmt: skip
        total = job["progress"].get("subtasks_total", 0)
        part = f" · the first {TIMELINE_SUBTASKS_MAX:,} of {total:,} subtasks" if total > TIMELINE_SUBTASKS_MAX else ""
        return cls(f"{job['model']} · {job['id']}{part}", sorted(spans, key=lambda span: (span.lane, span.start_s)))

    @property
    def lanes(self) -> list[str]:
        """The slots that worked, in order."""
        return sorted({span.lane for span in self.spans})

    def __repr__(self) -> str:
        return f"<Timeline {self.title}: {len(self.spans)} attempts on {len(self.lanes)} slots>"

    def figure(self) -> "Figure":
        """The picture: a lane for each slot, a bar for each attempt, coloured by how it ended.

        Raises:
            FabricClientError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise FabricClientError("a picture needs matplotlib: pip install 'onnx-fabric[notebook]'") from error
        lanes = self.lanes[:LANES_SHOWN_MAX]
        figure = Figure(figsize=(9, 1.1 + LANE_INCHES * max(1, len(lanes))), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        for outcome, color in COLORS.items():
            spans = [span for span in self.spans if span.outcome == outcome and span.lane in lanes]
            if spans:
                axes.barh(
                    [lanes.index(span.lane) for span in spans], [max(span.end_s - span.start_s, 1e-6) for span in spans],
                    left=[span.start_s for span in spans], height=0.7, color=color, alpha=0.8, edgecolor=GRAY, linewidth=0.3,
                    label=f"{outcome} ({len(spans)})",
                )  # fmt: skip
        axes.set_yticks(range(len(lanes)), [plain(lane) for lane in lanes])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("seconds since it was submitted", color=GRAY)
        axes.set_title(plain(self.title), color=GRAY, fontsize=10)
        axes.tick_params(colors=GRAY)
        for spine in axes.spines.values():
            spine.set_color(GRAY)
        if self.spans:
            axes.legend(frameon=False, labelcolor=GRAY, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        return figure

    def save(self, path: str | Path) -> Path:
        """Write the picture to a `.png`, `.svg` or `.pdf` file.

        Raises:
            FabricClientError: matplotlib is not installed.
        """
        self.figure().savefig(path)
        return Path(path)

    def _repr_png_(self) -> bytes | None:
        buffer = io.BytesIO()
        try:
            self.figure().savefig(buffer, format="png", dpi=110)
        except FabricClientError:
            return None
        return buffer.getvalue()

    def _repr_html_(self) -> str | None:
        try:
            import matplotlib  # noqa: F401  # where it is there, the picture says more
        except ImportError:
            return f"<pre>{escape(repr(self))}\na picture needs matplotlib: pip install 'onnx-fabric[notebook]'</pre>"
        return None


def plain(name: str) -> str:
    """A name as it is: matplotlib would read what stands between dollars as a formula."""
    return name.replace("$", r"\$")
