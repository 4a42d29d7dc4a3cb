from provider_join.hardware import Hardware, detect_hardware, plan_slots

CPU_ONLY = ["AzureExecutionProvider", "CPUExecutionProvider"]
WITH_CUDA = ["CUDAExecutionProvider", "CPUExecutionProvider"]
MACHINE = Hardware("AMD EPYC", 8, 32.0, ())
GPU_MACHINE = Hardware("AMD EPYC", 8, 32.0, (("RTX 4090", 24.0),))


def test_a_machine_without_accelerator_lends_its_cores():
    slots = plan_slots(MACHINE, CPU_ONLY, None, None)
    assert [slot.slot for slot in slots] == list(range(8))
    assert {(slot.accelerator, slot.resource, slot.threads) for slot in slots} == {("cpu", "fabric_cpu", 1)}
    assert sum(slot.memory_gib for slot in slots) < MACHINE.memory_gib


def test_little_memory_means_few_slots_with_more_threads():
    slots = plan_slots(Hardware("ARM", 8, 5.0, ()), CPU_ONLY, None, None)
    assert [slot.threads for slot in slots] == [4, 4]


def test_an_accelerator_is_lent_alone_unless_cpu_slots_are_asked_for():
    assert [slot.accelerator for slot in plan_slots(GPU_MACHINE, WITH_CUDA, None, None)] == ["cuda"]
    slots = plan_slots(GPU_MACHINE, WITH_CUDA, 2, None)
    assert [(slot.slot, slot.accelerator) for slot in slots] == [(0, "cuda"), (1, "cpu"), (2, "cpu")]
    assert slots[0].memory_gib == 24.0


def test_a_cuda_runtime_without_a_device_offers_no_cuda_slot():
    assert {slot.accelerator for slot in plan_slots(MACHINE, WITH_CUDA, None, None)} == {"cpu"}


def test_every_execution_provider_that_we_know_makes_a_slot():
    providers = ["DmlExecutionProvider", "CoreMLExecutionProvider", "QNNExecutionProvider", "CPUExecutionProvider"]
    assert [slot.accelerator for slot in plan_slots(MACHINE, providers, None, None)] == ["directml", "coreml", "npu"]


def test_the_owner_chooses_slots_and_threads():
    assert [slot.threads for slot in plan_slots(MACHINE, CPU_ONLY, 1, 3)] == [3]
    assert [slot.threads for slot in plan_slots(MACHINE, CPU_ONLY, 2, None)] == [4, 4]
    assert len(plan_slots(MACHINE, CPU_ONLY, None, 4)) == 2


def test_asking_for_no_cpu_slot_on_a_machine_without_accelerator_leaves_nothing_to_lend():
    assert plan_slots(MACHINE, CPU_ONLY, 0, None) == []


def test_this_machine_is_found():
    found = detect_hardware()
    assert found.cpu_cores >= 1
    assert found.memory_gib > 0
    assert found.cpu
