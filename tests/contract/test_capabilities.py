"""What provider_join reports is what providers accept."""

from fabric.api.schemas.providers import SessionIn
from fabric.providers.capabilities import EXECUTION_PROVIDERS, check_capabilities, granted_resources
from fabric.providers.enroll import check_versions, provider_ports
from fabric.sandbox import launch
from provider_join.config import read_options
from provider_join.hardware import Hardware, plan_slots
from provider_join.join import describe_machine
from provider_join.ray_node import PORT_OPTIONS


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
    machine = Hardware("CPU", 4, 16.0, (("RTX 4090", 24.0),))
    installed = [name for names in EXECUTION_PROVIDERS.values() for name in sorted(names)]
    slots = plan_slots(machine, installed, 1, None)
    assert {slot.accelerator for slot in slots} == set(EXECUTION_PROVIDERS)
    for slot in slots:
        assert slot.execution_provider in EXECUTION_PROVIDERS[slot.accelerator]


def test_the_agent_knows_every_port_that_enrolment_grants():
    assert set(provider_ports(7001)) == set(PORT_OPTIONS)
