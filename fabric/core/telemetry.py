"""Structured logs and Prometheus metrics, with one place for their names.

Logs are JSON lines on standard error; what is bound to the context (request_id, user_id) is on every line of that request.
Metrics of this process live in REGISTRY; facts of the whole fabric are read from the database when they are asked for.
"""

import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Any, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REGISTRY = CollectorRegistry()

HTTP_REQUESTS = Counter("fabric_http_requests", "Requests answered", ["method", "route", "status"], registry=REGISTRY)
HTTP_SECONDS = Histogram(
    "fabric_http_request_seconds", "Time from a request's first byte to its answer's last", ["method", "route"], registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)  # fmt: skip
HTTP_OPEN = Gauge("fabric_http_requests_open", "Requests being answered now", registry=REGISTRY)

# Facts of the whole fabric: name, what it says, its one label (or none).
JOBS = ("fabric_jobs", "Jobs by status", "status")
SUBTASKS = ("fabric_subtasks", "Subtasks of open jobs by status", "status")
PROVIDERS = ("fabric_providers", "Machines by status", "status")
TRIAL_BALANCE = ("fabric_ledger_trial_balance_nanos", "Debits minus credits over all; anything but 0 is an error", None)
WATCHERS = ("fabric_event_watchers", "Open event streams and long waits of this process", None)

# Of each device of a machine that is on line: which machine and which of its devices, and no name of either.
_DEVICE = ("provider", "device")
DEVICES = {
    "utilisation_percent": ("fabric_device_utilisation_percent", "Load of a machine's device at its last heartbeat", _DEVICE),
    "memory_used_gib": ("fabric_device_memory_used_gib", "Memory in use of a machine's device, GiB", _DEVICE),
    "memory_gib": ("fabric_device_memory_gib", "Memory of a machine's device, GiB", _DEVICE),
    "temperature_c": ("fabric_device_temperature_celsius", "Temperature of a machine's device", _DEVICE),
    "power_w": ("fabric_device_power_watts", "Power that a machine's device takes", _DEVICE),
}

Fact = tuple[str, str, str | tuple[str, ...] | None]
Values = Mapping[str, float] | Mapping[tuple[str, ...], float]


def configure_logging(level: str) -> None:
    """Write JSON lines of `level` (debug, info, warning, error) and above to standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_StandardError,
        cache_logger_on_first_use=False,
    )


def logger(name: str) -> Any:
    """The log of a module: `log.info("what_happened", job_id=…)`."""
    return structlog.get_logger(module=name)


def bind_to_context(**values: str) -> None:
    """Put values on every log line of the present request or loop turn."""
    structlog.contextvars.bind_contextvars(**values)


def clear_context() -> None:
    """Begin a request or loop turn with nothing bound."""
    structlog.contextvars.clear_contextvars()


def exposition(facts: Iterable[tuple[Fact, Values]]) -> bytes:
    """All metrics of this process and the given facts in Prometheus' text format.

    Args:
        facts: Each with its values by label, or by its labels together; the label is "" for a fact that has none.
    """
    families = CollectorRegistry()
    families.register(cast(Any, _Facts(list(facts))))
    return generate_latest(REGISTRY) + generate_latest(families)


class _StandardError:
    """Writes to whatever is standard error at that moment; Ray and tests replace it."""

    def __init__(self, *_: Any) -> None:
        pass

    def msg(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")

    debug = info = warning = error = critical = exception = msg


class _Facts:
    def __init__(self, facts: list[tuple[Fact, Values]]) -> None:
        self._facts = facts

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for (name, meaning, label), values in self._facts:
            labels = [label] if isinstance(label, str) else list(label or ())
            family = GaugeMetricFamily(name, meaning, labels=labels)
            for key, value in sorted(values.items()):
                family.add_metric(([key] if isinstance(key, str) else list(key)) if labels else [], value)
            yield family
