"""A machine answers orders with receipts that are well-formed and false: none is paid, and the customer gets the right result."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fabric.actors.messages import Receipt, decode_receipt, encode_receipt
from fabric.actors.provider_actor import ProviderActor
from fabric.codecs.frame import encode_frame
from fabric.core.ids import JobId, ProviderId
from fabric.db.tables import attempts
from tests.attack.table import ANSWERS, record
from tests.fixtures.dispatcher import DispatchBench

WRONG_SHAPES = "answer with wrong shapes"
REPLAYED = "replay the receipt of an earlier order"
FOREIGN = "answer for another machine's lease"
ITEMS = 60


class Forger:
    """What the hostile machine makes of its honest receipts, having heard those of another."""

    def __init__(self, attack: str) -> None:
        self._attack = attack
        self._own: list[Receipt] = []
        self.overheard: list[Receipt] = []
        self.lied_about: set[bytes] = set()

    def lie(self, honest: Receipt) -> Receipt:
        self._own.append(honest)
        told = self._told(honest)
        if told is not honest:
            self.lied_about |= {s.id for s in honest.subtasks}
        return told

    def _told(self, honest: Receipt) -> Receipt:
        if self._attack == WRONG_SHAPES:
            wrong = encode_frame({"y": np.zeros((1, 3), np.float32)})
            return replace(honest, subtasks=tuple(replace(s, output=wrong) for s in honest.subtasks))
        if self._attack == REPLAYED:
            return self._own[0]
        return replace(honest, subtasks=self.overheard[-1].subtasks)

    def hear(self, honest: Receipt) -> Receipt:
        self.overheard.append(honest)
        return honest

    def actor(self, says: Callable[[Receipt], Receipt]) -> Callable[..., ProviderActor]:
        forger = self

        class TalkingActor(ProviderActor):
            async def run(self, frame: bytes) -> bytes:
                honest = decode_receipt(await super().run(frame))
                while says == forger.lie and forger._attack == FOREIGN and not forger.overheard:
                    await asyncio.sleep(0.01)
                return encode_receipt(says(honest) if honest.subtasks else honest)

        return lambda spec: TalkingActor(spec.execution_provider, spec.threads)


def rows_of_job() -> np.ndarray:
    return np.arange(ITEMS * 4, dtype=np.float32).reshape(ITEMS, 4)


@pytest.mark.parametrize("attack", [WRONG_SHAPES, REPLAYED, FOREIGN])
async def test_a_false_receipt(attack: str, dispatch_bench: DispatchBench):
    forger = Forger(attack)
    liar = await dispatch_bench.machine(actor=forger.actor(forger.lie))
    if attack == FOREIGN:
        await dispatch_bench.machine(actor=forger.actor(forger.hear))
    dispatch_bench.dispatch()
    job_id = await dispatch_bench.job(rows_of_job())
    await refused_once(dispatch_bench, job_id, liar)
    await dispatch_bench.machine()  # an honest one
    job = await dispatch_bench.ended(job_id)
    of_liar = [row for row in await dispatch_bench.bench.rows(attempts, job_id) if row["provider_id"] == liar]
    paid = [row for row in of_liar if row["outcome"] == "done" and row["subtask_id"].bytes in forger.lied_about]
    refused = [row for row in of_liar if row["outcome"] == "failed"]
    is_right = job.status == "succeeded" and np.array_equal(await dispatch_bench.outputs(job_id), 2 * rows_of_job() + 1)
    reasons = ", ".join(sorted({row["error_code"] for row in refused}))
    outcome = record(
        ANSWERS, attack, "fabric", succeeded=bool(paid) or not is_right,
        evidence=f"{len(refused)} attempts refused ({reasons}), {len(paid)} paid; the customer's result is {'right' if is_right else 'WRONG'}",
    )  # fmt: skip
    assert not outcome.succeeded
    assert refused


async def refused_once(bench: DispatchBench, job_id: JobId, liar: ProviderId) -> None:
    async with asyncio.timeout(30):
        while not any(r["provider_id"] == liar and r["outcome"] == "failed" for r in await bench.bench.rows(attempts, job_id)):
            await asyncio.sleep(0.05)
