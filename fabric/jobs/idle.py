"""Pure: why a machine earns nothing, or not more, from facts about it, its market and the jobs that wait."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Literal

from fabric.core.money import usd_text
from fabric.jobs.job import OpenJob
from fabric.jobs.requirements import accepts_owner, has_memory, has_runtime, matches
from fabric.marketplace.device_table import DeviceTable
from fabric.marketplace.offers import Offer, speed
from fabric.providers.runtimes import newest_taken
from fabric.providers.store import Provider, Slot

Status = Literal["ok", "problem", "hint"]
ORDER: tuple[Status, ...] = ("problem", "hint", "ok")
STATES: dict[str, tuple[str, str]] = {
    "enrolled": (
        "it has joined, and its node has not come up",
        "Look at the agent's output, or run `provider-join doctor` on it.",
    ),
    "offline": ("nothing is heard of it", "Start the agent again, and look whether the machine sleeps or has lost its network."),
    "paused": ("you paused it", "Let it take work again."),
    "draining": ("it finishes what runs and takes nothing new", "Start the agent again, once it has left."),
}
"""By state: what is found, and what to do."""
HELD_BY = {
    "owner": "It was paused on the machine itself; `provider-join resume` there ends it.",
    "schedule": "It takes work in its hours; change them in its schedule, or with `--hours` there.",
    "idle": "It takes work once nobody used it for a while; change that in its schedule, or with `--idle-only` there.",
    "power": "It takes work below the power that its owner allows (`--max-power-w`).",
    "temperature": "It takes work once it is cooler (`--max-temperature-c`).",
}
"""By what the agent says holds it back: what to do."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that was looked at: what is found, what is needed to earn, and what to do about it, in words."""

    id: str
    status: Status
    found: str
    needed: str
    remedy: str = ""
    until: datetime | None = None  # when it will end by itself, where that is known


@dataclass(frozen=True, slots=True)
class IdleFacts:
    """What is known of a machine. `offers` are everybody's; counts are of the last 24 hours; amounts in nano-USD."""

    machine: Provider
    offers: Sequence[Offer]
    table: DeviceTable
    open_jobs: Sequence[OpenJob]
    jobs_of_others: int
    done_paid: int
    done_own: int
    missed: int  # leases that failed or were lost
    error_code: str | None
    maturing_nanos: int


def reasons(facts: IdleFacts) -> list[Reason]:
    """What stands between a machine and earnings: problems first, then hints, then what is as it should be."""
    found = [
        _state(facts), _slots(facts), _price(facts), _work(facts), _demand(facts), _results(facts), _isolation(facts), *_own(facts),
        *_maturing(facts),
    ]  # fmt: skip
    return sorted(found, key=lambda reason: ORDER.index(reason.status))


def _state(facts: IdleFacts) -> Reason:
    needed = "it is on line"
    if facts.machine.status in STATES:
        words, remedy = STATES[facts.machine.status]
        return Reason("state", "problem", words, needed, remedy)
    if holding := facts.machine.agent_state.get("holding"):
        until = datetime.fromisoformat(holding["until"]) if holding.get("until") else None
        words = f"it holds back by itself: {holding['detail']}"
        return Reason("state", "problem", words, needed, HELD_BY.get(holding["by"], ""), until)
    return Reason("state", "ok", "it is on line", needed)


def _slots(facts: IdleFacts) -> Reason:
    on, all_of_them = len(_enabled(facts)), len(facts.machine.slots)
    found, needed = f"{on} of {all_of_them} slots take work", "at least one slot takes work"
    if on == 0:
        return Reason("slots", "problem", found, needed, "Switch a slot on.")
    if on < all_of_them:
        return Reason("slots", "hint", found, needed, "Those that are switched off earn nothing.")
    return Reason("slots", "ok", found, needed)


def _price(facts: IdleFacts) -> Reason:
    """Work goes to the cheapest for what it does, so rates are compared for the same speed, within the same class of device."""
    needed = "no more than others ask for the same work"
    slots = _enabled(facts)
    rivals = {kind: _rivals(facts, kind) for kind in {_class_of(facts, slot) for slot in slots}}
    compared = [(slot, rivals[kind]) for slot in slots if rivals[kind := _class_of(facts, slot)]]
    if not compared:
        return Reason("price", "ok", "nobody else offers such a device now", needed)
    slot, others = min(compared, key=lambda pair: _for_work(pair[0]) / (median(pair[1]) or 1))
    share = sum(rate < _for_work(slot) for rate in others) / len(others)
    found = f"{usd_text(slot.rate_nanos_per_hour)} USD/h; for the same work {round(100 * share)} % of {len(others)} comparable slots ask less"
    if share == 1:
        return Reason("price", "problem", found, needed, "Ask less, or let the price follow the suggestion.")
    if _for_work(slot) > median(others):
        return Reason("price", "hint", found, needed, "Cheaper slots are asked first; work comes when they are busy.")
    return Reason("price", "ok", found, needed)


def _work(facts: IdleFacts) -> Reason:
    """Whether any job that waits now could come here, and if none could, what most of them miss."""
    waiting = [job for job in facts.open_jobs if job.waiting or job.delayed]
    needed = "work that waits suits this machine"
    if not waiting:
        return Reason("work", "ok", "no job waits for a slot now", needed)
    verdicts = Counter(_verdict(facts, job) for job in waiting)
    if suiting := verdicts.pop(None, 0):
        return Reason("work", "ok", f"{suiting} of {len(waiting)} waiting jobs could come here", needed)
    found, remedy = {
        "own": (
            "are yours, and do not ask for your own machines",
            "Say `own_machines` with the job; it costs and earns nothing then.",
        ),
        "price": ("pay less than this machine asks", "Ask less, or wait for others."),
        "runtime": (
            "run models that are newer than this machine's ONNX Runtime",
            "Install the agent again: the fabric's page /join brings the newest.",
        ),
        "refused": ("run models that you refuse on this machine", "Ask a price for them (`models` of a slot), or leave it so."),
        "memory": ("run models that need more memory than a slot has", "Join with fewer and larger slots (`--slots`)."),
        "requirements": (
            "ask for another region, another device or other machines",
            "Nothing needs to be done; others will come.",
        ),
    }[verdicts.most_common(1)[0][0] or "requirements"]
    return Reason("work", "hint", f"{len(waiting)} jobs wait, and most of them {found}", needed, remedy)


def _demand(facts: IdleFacts) -> Reason:
    found, needed = f"others submitted {facts.jobs_of_others} jobs within 24 hours", "somebody submits jobs"
    if facts.jobs_of_others == 0:
        return Reason("demand", "problem", found, needed, "Nothing is wrong with the machine; leave it on line.")
    return Reason("demand", "ok", found, needed)


def _results(facts: IdleFacts) -> Reason:
    done = facts.done_paid + facts.done_own
    found = f"{done} subtasks done, {facts.missed} not, within 24 hours" + (
        f" (such as {facts.error_code})" if facts.missed and facts.error_code else ""
    )
    needed = "only results are paid"
    if facts.missed > done:
        return Reason(
            "results", "problem", found, needed, "Look at the agent's output, or run `provider-join doctor` on the machine."
        )
    return Reason("results", "hint" if facts.missed else "ok", found, needed)


def _isolation(facts: IdleFacts) -> Reason:
    needed = "models run in a sandbox, which offers show"
    if facts.machine.capabilities.get("isolation", "process") == "sandbox":
        return Reason("isolation", "ok", "models run in a sandbox", needed)
    return Reason(
        "isolation", "hint", "models run in a process with limits, without a sandbox", needed,
        "`provider-join doctor` says what the sandbox lacks on the machine.",
    )  # fmt: skip


def _own(facts: IdleFacts) -> list[Reason]:
    if facts.done_own == 0:
        return []
    found = f"{facts.done_own} subtasks within 24 hours were of your own jobs"
    return [Reason("own_jobs", "hint", found, "work of others", "On your own machines you pay nothing, and nothing is earned.")]


def _maturing(facts: IdleFacts) -> list[Reason]:
    if facts.maturing_nanos == 0:
        return []
    found = f"{usd_text(facts.maturing_nanos)} USD are earned and mature"
    return [Reason("maturing", "hint", found, "the time for disputes has passed", "They can be paid out by themselves then.")]


def _verdict(facts: IdleFacts, job: OpenJob) -> str | None:
    """What keeps a job from every slot of this machine; None: nothing."""
    owner_id = facts.machine.owner_id
    if owner_id == job.owner_id and not job.own_machines:
        return "own"
    offers = [_offer(facts, slot) for slot in _enabled(facts)]
    offers = [o for o in offers if accepts_owner(job.owner_id, job.own_machines, owner_id, job.barred_owner_ids)]
    offers = [offer for offer in offers if matches(job.requirements, offer)]
    if not offers:
        return "requirements"
    offers = [offer for offer in offers if has_memory(job.memory_bytes, offer)]
    if not offers:
        return "memory"
    offers = [offer for offer in offers if has_runtime(job.model_format, offer)]
    if not offers:
        return "runtime"
    offers = [asking for offer in offers if (asking := offer.asking(job.model_id)) is not None]
    if not offers:
        return "refused"
    limit = job.rate_nanos_per_hour_max
    return None if limit is None or any(offer.rate_nanos_per_hour <= limit for offer in offers) else "price"


def _offer(facts: IdleFacts, slot: Slot) -> Offer:
    machine = facts.machine
    return Offer(
        machine.id, machine.owner_id, machine.name, slot.slot, slot.accelerator, slot.device, slot.threads, slot.memory_gib,
        machine.labels.get("fabric.region", ""), speed(slot.benchmark_runs_per_s), slot.rate_nanos_per_hour, False,
        newest=newest_taken(machine.capabilities), model_rates=slot.model_rates,
    )  # fmt: skip


def _enabled(facts: IdleFacts) -> list[Slot]:
    return [slot for slot in facts.machine.slots if slot.enabled]


def _class_of(facts: IdleFacts, slot: Slot) -> str:
    return facts.table.class_of(slot.accelerator, slot.device)


def _rivals(facts: IdleFacts, device_class: str) -> list[float]:
    """What other owners ask for the same work, in one class of device."""
    return [
        offer.rate_nanos_per_hour / offer.speed
        for offer in facts.offers
        if offer.owner_id != facts.machine.owner_id and facts.table.class_of(offer.accelerator, offer.device) == device_class
    ]


def _for_work(slot: Slot) -> float:
    return slot.rate_nanos_per_hour / speed(slot.benchmark_runs_per_s)
