"""What provider_join reports is what providers accept."""

from fabric.api.schemas.heartbeats import HeartbeatIn
from fabric.api.schemas.providers import SessionIn
from fabric.api.schemas.schedules import CapsOut, MachineScheduleIn, ScheduleOrderOut
from fabric.jobs.requirements import ACCELERATORS
from fabric.providers import schedule
from fabric.providers.capabilities import DEVICE_ID, EXECUTION_PROVIDERS, check_capabilities, granted_resources
from fabric.providers.enroll import check_versions, provider_ports
from fabric.providers.schedule import Order
from fabric.sandbox import devices, launch
from provider_join import accelerators
from provider_join.accelerators import Wishes
from provider_join.config import Home, read_options
from provider_join.from_afar import FromAfar, Heard
from provider_join.hardware import Hardware, plan_slots
from provider_join.join import describe_machine
from provider_join.limits import CAPS, IDLE_MINUTES, SCHEDULE, Limits
from provider_join.metrics import Meter
from provider_join.ray_node import PORT_OPTIONS
from provider_join.restraint import Restraint


def test_the_report_of_this_machine_is_accepted(tmp_path):
    options = read_options(
        ["--url", "http://127.0.0.1:1", "--home", str(tmp_path), "--slots", "2", "--threads", "1", "--price", "0.01"]
    )
    application = SessionIn.model_validate(describe_machine(options)).application("127.0.0.1")
    check_capabilities(application.capabilities)
    check_versions(application.versions)
    assert granted_resources(application.capabilities) == {"fabric_cpu": 2}
    assert application.rate_nanos_per_hour == 10_000_000
    assert application.capabilities.isolation == launch.isolation()


def test_every_kind_of_slot_that_the_agent_plans_is_one_that_we_know():
    gpus = (
        accelerators.Gpu(accelerators.NVIDIA, "0", "GPU-1", "RTX 4090", 24.0),
        accelerators.Gpu(accelerators.AMD, "0", "0", "W7900", 48.0),
    )
    installed = [name for names in EXECUTION_PROVIDERS.values() for name in sorted(names)]
    listed = [accelerators.RuntimeDevice("OpenVINOExecutionProvider", kind, kind, f"Intel {kind}") for kind in ("GPU", "NPU")]
    slots = plan_slots(Hardware("CPU", 4, 16.0, gpus), installed, listed, Wishes(slots=1))
    assert {slot.accelerator for slot in slots} == set(EXECUTION_PROVIDERS) == set(accelerators.KINDS) == set(ACCELERATORS)
    for slot in slots:
        assert slot.execution_provider in EXECUTION_PROVIDERS[slot.accelerator]
        assert DEVICE_ID.fullmatch(slot.device_id)
        assert DEVICE_ID.fullmatch(slot.key)


def test_a_slot_is_measured_on_the_device_on_which_models_will_run():
    for name in (provider.name for provider in accelerators.EXECUTION_PROVIDERS):
        for device_id in ("", "GPU-1"):
            environment, options = accelerators.session_options(name, device_id)
            theirs = dict(devices.providers_of(name, devices.Device(device_id)))[name]
            assert environment == devices.environment_of(name, devices.Device(device_id))
            assert options.items() <= theirs.items()
            assert options.keys() == theirs.keys() - {"arena_extend_strategy", "cudnn_conv_algo_search", "use_tf32"}


def test_what_the_agent_reads_of_its_devices_is_what_a_heartbeat_takes():
    reading = {"device": "cuda:0:1", "name": "A100 MIG", "memory_gib": 19.6, "memory_used_gib": 1.0, "temperature_c": 50.0}
    beat = HeartbeatIn.model_validate(
        {"ray_node_id": None, "state": "running", "devices": [*Meter("AMD EPYC", ["cuda:0:1"]).read(), reading]}
    )
    assert beat.report().devices[-1] == reading


def test_what_the_agent_says_of_its_schedule_is_what_a_heartbeat_takes_and_what_it_takes_is_what_the_fabric_hands_on(tmp_path):
    for limits in (Limits(), Limits(hours="mo-fr 22-7,  sa 0-24", idle_only=True, max_memory_gib=8.0)):
        home = Home(tmp_path)
        agent = FromAfar(home, Restraint(home, limits))
        order = ScheduleOrderOut.of(Order(2**40, {"idle_only": False, "hours": "8-9", "idle_minutes": 3.5}))
        assert order is not None
        agent.hear({"schedule": None})
        HeartbeatIn.model_validate({"ray_node_id": None, "state": "running", **agent.report()})
        agent.heard = Heard()
        agent.hear({"schedule": order.model_dump()})
        told = HeartbeatIn.model_validate({"ray_node_id": None, "state": "running", **agent.report()}).report()
        assert told.schedule is not None
        assert (told.schedule["hours"], told.schedule["idle_minutes"], told.schedule["revision"]) == ("8-9", 3.5, 2**40)
        assert told.caps is not None
        assert told.caps["max_memory_gib"] == limits.max_memory_gib
    assert set(CAPS) == set(CapsOut.model_fields)
    assert (schedule.IDLE_MINUTES, set(SCHEDULE)) == (IDLE_MINUTES, set(MachineScheduleIn.model_fields))


def test_the_agent_knows_every_port_that_enrolment_grants():
    assert set(provider_ports(7001)) == set(PORT_OPTIONS)
