"""A slot's models on a device of this machine, end to end: on the processor always, on each accelerator where there is one.

`make gpu` runs all of it. What is run on an accelerator is what is run on the processor, with the processor's own results to
compare with, so a machine without accelerator runs nearly every line too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from fabric.actors.messages import Receipt, decode_receipt, encode_order
from fabric.actors.provider_actor import ProviderActor
from fabric.codecs.frame import decode_frame
from fabric.demo import squeezenet
from fabric.sandbox.devices import CPU, USES, Device, providers_of
from fabric.sandbox.tensors import BoundCrossing, Crossing
from provider_join import benchmark, runtime_probe
from provider_join.accelerators import RuntimeDevice, Wishes
from provider_join.hardware import Slot, detect_hardware, plan_slots, problem_of
from provider_join.nvidia import Nvml
from tests.fixtures import onnx_models
from tests.fixtures.orders import Orders, a_subtask

GIB = 1024**3
LITTLE_BYTES = 512 * 1024**2
IMAGES = squeezenet.images(12)
ROWS = np.random.default_rng(8).normal(size=(6, 4)).astype(np.float32)


def slots_here(wishes: Wishes) -> list[Slot]:
    """What `provider-join` would lend."""
    listed = [RuntimeDevice(*row) for row in runtime_probe.devices(onnxruntime)]
    return plan_slots(detect_hardware(), onnxruntime.get_available_providers(), listed, wishes)


@dataclass(frozen=True)
class Place:
    """A slot to run on, and an actor that has it."""

    slot: Slot

    def actor(self, *, memory_bytes: int | None = None) -> ProviderActor:
        """As the dispatcher starts it; with little memory where so told: the machine's for the processor, else the device's."""
        if self.slot.accelerator == "cpu":
            return ProviderActor(CPU, 1, memory_bytes or 2 * GIB)
        device_bytes = memory_bytes or int(self.slot.memory_gib * GIB)
        return ProviderActor(self.slot.execution_provider, 1, None, self.slot.device_id, device_bytes)


@pytest.fixture(params=["cpu", pytest.param("accelerator", marks=pytest.mark.gpu)])
def place(request) -> Place:
    """The processor, or the first accelerator."""
    if request.param == "cpu":
        return Place(slots_here(Wishes(slots=1, threads=1, without=("cuda", "rocm", "directml", "coreml", "openvino", "npu")))[0])
    found = slots_here(Wishes(slots=0))
    if not found:
        installed = onnxruntime.get_available_providers()
        why = (
            problem_of(detect_hardware(), installed)
            or f"ONNX Runtime {onnxruntime.__version__} here drives {', '.join(installed)}"
        )
        pytest.skip(f"no accelerator to run on: {why}; install onnx-fabric[provider-cuda] on a machine with an NVIDIA driver")
    return Place(found[0])


@pytest.fixture
def actor(place) -> Iterator[ProviderActor]:
    actor = place.actor()
    yield actor
    actor.close()


def outputs_of(receipt: Receipt) -> list[dict[str, np.ndarray]]:
    assert [(s.status, s.error_code, s.error_detail) for s in receipt.subtasks] == [("done", "", "")] * len(receipt.subtasks)
    return [decode_frame(subtask.output) for subtask in receipt.subtasks]


async def run(actor: ProviderActor, order) -> Receipt:
    return decode_receipt(await actor.run(encode_order(order)))


async def test_a_real_network_gives_what_the_processor_gives(actor, orders: Orders):
    # Given a model, and what the processor makes of some images
    content = squeezenet.build()
    expected = squeezenet.run_locally(content, IMAGES)["logits"]
    # When a slot runs them in batches
    model = orders.model(content, squeezenet.CARD["inputs"], batch_items_max=5)
    receipt = await run(actor, orders.order(model, *(a_subtask("image", part) for part in orders.split(IMAGES, [5, 7]))))
    # Then the results are the same within what another order of summing explains, and the time was taken
    got = np.concatenate([output["logits"] for output in outputs_of(receipt)])
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3 * float(np.abs(expected).max()))
    assert all(subtask.run_us > 0 for subtask in receipt.subtasks)


async def test_a_run_beyond_the_slots_memory_is_refused_and_the_next_one_works(place, orders: Orders):
    # Given a slot with little memory, and a model that spreads one number over four gigabytes
    shape = {"shape": np.array([1, GIB], np.int64), "axes": np.array([1], np.int64)}
    spread = onnx_models.model_of(
        [helper.make_node("Expand", ["x", "shape"], ["wide"]), helper.make_node("ReduceSum", ["wide", "axes"], ["y"])],
        {"x": ["N", 1]}, {"y": ["N", 1]}, shape,
    )  # fmt: skip
    actor = place.actor(memory_bytes=LITTLE_BYTES)
    try:
        # When it runs
        model = orders.model(spread, batch_items_max=1)
        receipt = await run(actor, orders.order(model, a_subtask("x", *orders.rows(np.ones((1, 1), np.float32)))))
        # Then the slot says that memory is what it lacked
        assert [(s.status, s.error_code) for s in receipt.subtasks] == [("failed", "memory_limit")]
        # And it goes on with what fits
        small = orders.model(onnx_models.affine())
        (output,) = outputs_of(await run(actor, orders.order(small, a_subtask("x", *orders.rows(ROWS)))))
        np.testing.assert_allclose(output["y"], 2 * ROWS + 1, rtol=1e-5)
    finally:
        actor.close()


def test_tensors_bound_to_the_devices_memory_give_what_the_session_gives(place):
    # Given a session on the device, and a model with an input that all items share
    memory = USES[place.slot.execution_provider].memory
    if not memory:
        pytest.skip(f"{place.slot.execution_provider} takes its tensors through the session")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    content = onnx_models.model_of(nodes, {"x": ["N", 4], "w": [4, 3]}, {"y": ["N", 3]})
    device = Device("", 2 * GIB)  # this process sees all devices; the first one will do
    session = onnxruntime.InferenceSession(content, providers=providers_of(place.slot.execution_provider, device))
    assert place.slot.execution_provider in session.get_providers()
    assert BoundCrossing.suits(session)
    bound, plain = BoundCrossing(session, memory), Crossing(session)
    first, second = (np.full((4, 3), value, np.float32) for value in (0.5, -2.0))
    # When several batches run with one shared input, and then with another
    for shared in (first, first, second, first):
        for rows in (ROWS, ROWS[:2], ROWS[::-1]):
            feeds = {"x": rows, "w": shared}
            (got,) = bound.run(["y"], feeds, onnxruntime.RunOptions(), {"w"})
            # Then each result is that of the session, and of arithmetic
            np.testing.assert_allclose(got, plain.run(["y"], feeds)[0], rtol=1e-5)
            np.testing.assert_allclose(got, rows @ shared, rtol=2e-3, atol=2e-3)


def test_models_that_no_devices_memory_holds_are_not_bound():
    text = onnx_models.model_of([helper.make_node("Identity", ["x"], ["y"])], {"x": ["N"]}, {"y": ["N"]}, dtype=8)
    assert not BoundCrossing.suits(onnxruntime.InferenceSession(text, providers=[CPU]))


def test_every_slot_that_would_be_lent_runs_the_standard_model(place):
    planned = slots_here(Wishes(slots=2, threads=1))
    lent, rates = benchmark.measure_what_runs(lambda broken: [s for s in planned if s.key not in broken], print, seconds=0.1)
    assert place.slot.key in {slot.key for slot in lent}
    assert len(rates) == len(lent)
    assert all(rate > 0 for rate in rates)


def test_an_accelerator_that_cannot_run_it_is_left_out_and_the_rest_is_lent():
    broken = Slot(0, "cuda", "GeForce 8800", "CUDAExecutionProvider", 1, 0.75, "GPU-none", "cuda:0")
    said: list[str] = []

    def plan(without: tuple[str, ...]) -> list[Slot]:
        return [slot for slot in (broken, Slot(1, "cpu", "CPU", CPU, 1, 1.0)) if slot.key not in without]

    lent, rates = benchmark.measure_what_runs(plan, said.append, seconds=0.05)
    assert [slot.key for slot in lent] == ["cpu"]
    assert rates[0] > 0
    assert said[0].startswith("cuda:0 is left out. The standard model does not run here")


@pytest.mark.parametrize("place", [pytest.param("accelerator", marks=pytest.mark.gpu)], indirect=True)
async def test_a_loaded_model_is_seen_in_the_devices_memory(place, orders: Orders):
    if not place.slot.key.startswith("cuda:"):
        pytest.skip("only NVIDIA's library is asked about memory here")

    def used_gib() -> float:
        return next(r["memory_used_gib"] for r in Nvml().readings() if r["device"] == place.slot.key)

    before, actor = used_gib(), place.actor()
    try:
        model = orders.model(onnx_models.affine())
        outputs_of(await run(actor, orders.order(model, a_subtask("x", *orders.rows(ROWS)))))
        assert used_gib() > before
    finally:
        actor.close()
