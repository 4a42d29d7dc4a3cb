"""Pure: what a receipt is worth. A stranger wrote it, so every result is checked before it is believed.

The bill of an order is bounded three times: by what the slot reports, by the time in which the slot can have worked on it as seen
from here, and by what calibration allows. Loading, fetching and failed attempts are not billed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fabric.actors.messages import Receipt, SubtaskReceipt
from fabric.billing import metering
from fabric.codecs.frame import BadFrame, decode_header, frame_matches
from fabric.core.ids import OrderId
from fabric.core.money import price_nanos
from fabric.jobs.job import Completion, GiveBack, Leased

ModelOutputs = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Upload:
    """What really lies in the store where a receipt says that an output was uploaded."""

    key: str
    size: int
    sha256: bytes
    prefix: bytes  # the first bytes, at least the frame's header


@dataclass(frozen=True, slots=True)
class Verdict:
    """The receipt in words that the queue understands. `hostile` says what no honest slot would have sent."""

    completions: tuple[Completion, ...] = ()
    given_back: tuple[GiveBack, ...] = ()
    hostile: str = ""
    items_done: int = 0
    billed_us: int = 0


@dataclass(slots=True)
class _Findings:
    done: list[tuple[Leased, SubtaskReceipt]] = field(default_factory=list)
    given_back: list[GiveBack] = field(default_factory=list)
    hostile: str = ""


def judge(
    order_id: OrderId,
    leases: Iterable[Leased],
    receipt: Receipt,
    *,
    outputs: ModelOutputs,
    uploads: Mapping[bytes, Upload],
    observed_us: int,
    commission_bps: int,
) -> Verdict:
    """Sort the subtasks of an order into results to settle and leases to give back.

    Args:
        order_id: Of the order that was sent.
        leases: Of that order.
        receipt: What came back.
        outputs: Of the model: name -> {"dtype", "shape"}.
        uploads: By subtask id, what lies in the store.
        observed_us: The most time that the slot can have spent on this order.
        commission_bps: The platform's commission.
    """
    by_id = {lease.subtask_id.bytes: lease for lease in leases}
    if receipt.order_id != order_id.bytes:
        return _nothing(by_id.values(), "bad_receipt", "the receipt of another order", hostile=True)
    if receipt.error_code:
        return _nothing(by_id.values(), receipt.error_code, receipt.error_detail)
    findings = _Findings()
    makes_progress = any(s.status == "done" for s in receipt.subtasks)
    for subtask in receipt.subtasks:
        lease = by_id.pop(subtask.id, None)
        if lease is None or subtask.fence != lease.fence:
            findings.hostile = "a subtask twice, or one that was not ordered"
            if lease is not None:
                findings.given_back.append(failed(lease, "bad_receipt", "another fence"))
        elif subtask.status != "done":
            # A slot may pass on what has no room in its receipt, but not for ever: only beside finished work does it cost nothing.
            is_passed_on = subtask.status == "cancelled" and makes_progress
            findings.given_back.append(
                GiveBack(
                    lease.subtask_id, lease.job_id, lease.fence, "cancelled" if is_passed_on else "failed", not is_passed_on,
                    subtask.error_code or subtask.status, subtask.error_detail,
                )
            )  # fmt: skip
        elif wrong := _fault(subtask, lease, outputs, uploads.get(subtask.id)):
            # Not called hostile: a model may break the shapes that it declares, and that is no fault of the slot.
            findings.given_back.append(failed(lease, "wrong_output", wrong))
        else:
            findings.done.append((lease, subtask))
    findings.given_back += [failed(lease, "bad_receipt", "the receipt does not mention it") for lease in by_id.values()]
    return _verdict(findings, uploads, observed_us, commission_bps)


def failed(lease: Leased, code: str, detail: str) -> GiveBack:
    """A failed attempt that counts."""
    return GiveBack(lease.subtask_id, lease.job_id, lease.fence, "failed", True, code, detail)


def _nothing(leases: Iterable[Leased], code: str, detail: str, *, hostile: bool = False) -> Verdict:
    return Verdict((), tuple(failed(lease, code, detail) for lease in leases), detail if hostile else "")


def _fault(subtask: SubtaskReceipt, lease: Leased, outputs: ModelOutputs, upload: Upload | None) -> str | None:
    """Say what is wrong with a result, or None."""
    failed_items = [error.index for error in subtask.item_errors]
    if len(set(failed_items)) < len(failed_items) or any(index >= lease.item_count for index in failed_items):
        return "errors of items that the subtask does not have"
    good = lease.item_count - len(failed_items)
    if subtask.output is not None:
        size, prefix = len(subtask.output), subtask.output
    elif upload is None:
        return "no output" if good else None
    elif (upload.size, upload.sha256) != (subtask.output_size, subtask.output_sha256):
        return "the uploaded output is not the one of the receipt"
    else:
        size, prefix = upload.size, upload.prefix
    try:
        header = decode_header(prefix)
    except BadFrame as error:
        return f"the output is no tensor frame: {error}"
    if header.total_bytes != size:
        return f"the output has {size} bytes where its header says {header.total_bytes}"
    return frame_matches(header, outputs, good)


def _verdict(findings: _Findings, uploads: Mapping[bytes, Upload], observed_us: int, commission_bps: int) -> Verdict:
    bills = metering.billed(
        [subtask.run_us for _, subtask in findings.done], observed_us, [lease.cap_us for lease, _ in findings.done]
    )  # fmt: skip
    completions = tuple(
        _completion(lease, subtask, uploads.get(subtask.id), bill, commission_bps)
        for (lease, subtask), bill in zip(findings.done, bills, strict=True)
    )
    return Verdict(
        completions, tuple(findings.given_back), findings.hostile,
        items_done=sum(lease.item_count for lease, _ in findings.done), billed_us=sum(bill.billed_us for bill in bills),
    )  # fmt: skip


def _completion(
    lease: Leased, subtask: SubtaskReceipt, upload: Upload | None, bill: metering.Billed, commission_bps: int
) -> Completion:
    is_inline = subtask.output is not None
    return Completion(
        subtask_id=lease.subtask_id, job_id=lease.job_id, fence=lease.fence, provider_id=lease.provider_id, slot=lease.slot,
        order_id=lease.order_id, reported_us=subtask.run_us, observed_us=bill.observed_us, cap_us=lease.cap_us,
        billed_us=bill.billed_us, gross_nanos=price_nanos(lease.rate_nanos_per_hour, bill.billed_us),
        commission_bps=commission_bps, output=subtask.output, output_key=None if is_inline or upload is None else upload.key,
        output_size=len(subtask.output) if subtask.output is not None else (upload.size if upload else None),
        output_sha256=None if is_inline or upload is None else upload.sha256,
        item_errors=tuple((lease.item_start + e.index, e.code, e.detail) for e in subtask.item_errors),
    )  # fmt: skip
