"""Everything that was refused, and how much was let through: counters, the latest cases, one log line each within reason."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fabric.core import clock
from fabric.core.telemetry import logger
from fabric.gate import methods

LOG_PERIOD_S = 10.0
CASES_MAX = 100
KINDS_MAX = 10_000
TEXT_CHARACTERS_MAX = 200
STRANGER = "unbound"
log = logger(__name__)


@dataclass
class _Kind:
    """One machine refused one method for one reason, again and again."""

    logged_at_s: float = float("-inf")
    unlogged: int = 0


@dataclass
class Refusals:
    """Counters of one gate since it started."""

    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By method and reason."""
    by_provider: dict[str, Counter[str]] = field(default_factory=dict)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Let through, by method and what became of it: forwarded, swallowed or failed (by the GCS's answer),
    and of the control side's own calls to machines: answered, or withheld (the answer)."""
    cases: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=CASES_MAX))
    _kinds: dict[tuple[str, str, str], _Kind] = field(default_factory=dict)

    def refuse(self, method: str, reason: str, detail: str, *, peer: str, provider: str | None) -> None:
        """Count a refusal; log it unless the same machine was refused the same a moment ago."""
        name, who, now_s = methods.short_name(method), provider or STRANGER, clock.monotonic_s()
        self.refused[name, reason] += 1
        self.by_provider.setdefault(who, Counter())[f"{name} {reason}"] += 1
        case = {
            "method": method[:TEXT_CHARACTERS_MAX], "reason": reason, "detail": detail[:TEXT_CHARACTERS_MAX], "peer": peer,
            "provider_id": who, "at": clock.now().isoformat(),
        }  # fmt: skip
        self.cases.append(case)
        if len(self._kinds) > KINDS_MAX:
            self._kinds.clear()
        kind = self._kinds.setdefault((peer, name, reason), _Kind())
        kind.unlogged += 1
        if now_s - kind.logged_at_s >= LOG_PERIOD_S:
            log.warning("gate_refused", times=kind.unlogged, **{k: v for k, v in case.items() if k != "at"})
            kind.logged_at_s, kind.unlogged = now_s, 0

    def count_call(self, method: str, outcome: str) -> None:
        """Count a call that was let through."""
        self.calls[methods.short_name(method), outcome] += 1

    def as_json(self) -> dict[str, Any]:
        """For `fabric doctor` and for people."""
        return {
            "refused_total": self.refused.total(),
            "refused": [{"method": m, "reason": r, "count": n} for (m, r), n in sorted(self.refused.items())],
            "by_provider": {who: dict(counts) for who, counts in self.by_provider.items()},
            "calls": [{"method": m, "outcome": o, "count": n} for (m, o), n in sorted(self.calls.items())],
            "latest": list(self.cases),
        }

    def as_prometheus(self, gauges: Mapping[str, float]) -> str:
        """In Prometheus' text format, with some gauges of the gate."""
        lines = ["# HELP fabric_gate_refused_total Calls that the gate refused", "# TYPE fabric_gate_refused_total counter"]
        lines += [f'fabric_gate_refused_total{{method="{m}",reason="{r}"}} {n}' for (m, r), n in sorted(self.refused.items())]
        lines += ["# HELP fabric_gate_calls_total Calls that the gate let through", "# TYPE fabric_gate_calls_total counter"]
        lines += [f'fabric_gate_calls_total{{method="{m}",outcome="{o}"}} {n}' for (m, o), n in sorted(self.calls.items())]
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE {name} gauge", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"
