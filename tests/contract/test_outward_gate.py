"""What a machine answers to the control side's own calls: what Ray makes of a lie, and what the gate leaves of it."""

import pytest

from tests.fixtures.lying import LyingCluster

pytestmark = pytest.mark.ray
ORDER_BYTES = (8 << 20) - 70_000


@pytest.fixture
def checked(lying_checked: LyingCluster) -> LyingCluster:
    """A connected slot on a machine that tells the truth so far."""
    lying_checked.lie()
    assert lying_checked.connect() == "connected"
    return lying_checked


@pytest.fixture
def unchecked(lying_unchecked: LyingCluster) -> LyingCluster:
    lying_unchecked.lie()
    assert lying_unchecked.connect() == "connected"
    return lying_unchecked


def test_orders_and_receipts_of_every_size_pass(checked):
    assert checked.send("echo:hello") == "hello"
    assert checked.send(f"echo:{'x' * ORDER_BYTES}") == f"{ORDER_BYTES} bytes"


def test_an_actor_that_dies_is_a_lost_slot_through_the_gate_too(checked):
    assert checked.send("die")["error"] == "SlotLost"
    assert checked.connect() == "connected"


def pickled(cluster: LyingCluster, canary: object) -> dict[str, str]:
    return dict(cluster.control.ask("pickled", canary=str(canary)))


def test_plain_ray_files_an_object_under_whatever_id_a_machine_claims_but_the_guard_reads_none_of_them(unchecked, tmp_path):
    canary, (awaited,) = tmp_path / "canary", unchecked.control.ask("await_trusted").values()
    unchecked.lie("push_foreign_object", object_ids=[awaited], **pickled(unchecked, canary))
    assert unchecked.send("echo:hello") == "hello"
    forged = unchecked.control.ask("read_awaited", object_id=awaited)
    assert forged == "Refused(reason='an answer that is not raw bytes')"  # it came, in place of the trusted actor's answer
    assert not canary.exists()


def test_plain_ray_unpickles_what_is_said_about_tensors_elsewhere(lying_unchecked, tmp_path):
    canary, plain = tmp_path / "canary", lying_unchecked
    plain.lie()
    plain.new_control()  # which has no guard yet
    plain.lie("push_transport", **pickled(plain, canary))
    assert plain.plain("echo:hello") == repr(b"hello")
    plain.plain("echo:again")
    assert canary.exists()


def test_the_guard_alone_drops_it_unread(lying_unchecked, tmp_path):
    canary, unchecked = tmp_path / "canary", lying_unchecked
    unchecked.lie()
    unchecked.new_control()
    assert unchecked.connect() == "connected"
    unchecked.lie("push_transport", **pickled(unchecked, canary))
    assert [unchecked.send(f"echo:{n}") for n in range(3)] == ["0", "1", "2"]
    assert unchecked.control.ask("kept_about_tensors") == 0
    assert not canary.exists()


def test_the_gate_passes_on_no_object_but_the_one_that_was_asked_for(checked, tmp_path):
    canary, (awaited,) = tmp_path / "canary", checked.control.ask("await_trusted").values()
    checked.lie("push_foreign_object", object_ids=[awaited], **pickled(checked, canary))
    assert checked.send("echo:hello")["error"] == "HostileAnswer"
    assert checked.refused() == "2 objects for one call"
    assert checked.control.ask("read_awaited", object_id=awaited, timeout_s=1.0)["error"] == "TimeoutError"
    assert not canary.exists()


@pytest.mark.parametrize("lie", ["push_dynamic", "push_short_id"])
def test_plain_ray_ends_a_control_process_that_is_answered_with_nonsense(lying_unchecked, lie):
    lying_unchecked.lie()
    assert lying_unchecked.connect() == "connected"
    lying_unchecked.lie(lie)
    assert "died" in lying_unchecked.send("echo:hello")
    assert "Check failed" in lying_unchecked.control.log()


@pytest.mark.parametrize(
    ("lie", "refused"),
    [
        ("push_dynamic", "2 objects for one call"),
        ("push_short_id", "an object under the id of another call"),
        ("push_nothing", "0 objects for one call"),
        ("push_claimed", "an answer that refers to 10737418240 bytes elsewhere"),
        ("push_pickle", "an answer that is not raw bytes of a permitted size"),
        ("push_transport", "an answer that refers to 8 bytes elsewhere"),
        ("push_garbage", "a reply that cannot be read"),
    ],
)
def test_the_gate_makes_a_hostile_answer_of_nonsense_and_the_slot_goes_on(checked, tmp_path, lie, refused):
    checked.lie(lie, bytes=10 << 30, **pickled(checked, tmp_path / "canary"))
    assert checked.send("echo:hello")["error"] == "HostileAnswer"
    assert checked.refused() == refused
    checked.lie()
    assert checked.send("echo:still there") == "still there"
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("claimed", [1, 10 << 30])
def test_an_answer_that_is_said_to_lie_elsewhere_is_not_looked_for(unchecked, claimed):
    unchecked.lie("push_claimed", bytes=claimed)
    assert unchecked.send("echo:hello")["error"] == "HostileAnswer"


def test_an_answer_of_600_mb_does_not_reach_the_memory_of_a_control_process(checked):
    before_mib = checked.control.ask("peak_mib")
    for size in (100_000_000, 600_000_000):
        checked.lie("push_large", bytes=size)
        assert checked.send("echo:hello")["error"] == "HostileAnswer"
    assert checked.refused() == "an answer that is too large"
    assert checked.control.ask("peak_mib") - before_mib < 50
    checked.lie()
    assert checked.send("echo:next") == "next"


def test_plain_ray_lets_a_lease_name_a_process_of_the_control_node_and_sends_it_the_actor(unchecked):
    # What is named here is the very process that asks; Ray hands it an actor to be, which ends it or is lost in it.
    unchecked.lie("lease_names", address=unchecked.control.ask("itself"))
    answer = unchecked.connect()
    assert answer != "connected"
    assert "lease of" not in unchecked.refused()


@pytest.mark.parametrize("address", ["itself", "nowhere", "foreign_node"])
def test_the_gate_passes_on_no_lease_but_of_the_machines_own_workers(checked, address):
    itself = checked.control.ask("itself")
    named = {
        "itself": itself,
        "nowhere": {"ip_address": "10.255.255.1", "port": 5},
        "foreign_node": {"node_id": itself["node_id"]},
    }[address]
    checked.lie("lease_names", address=named)
    assert checked.connect()["error"] == "SlotLost"
    assert "not a worker of its own" in checked.refused()
    checked.lie()
    assert checked.connect() == "connected"


def test_the_gate_passes_on_no_lease_that_sends_to_another_raylet(checked):
    itself = checked.control.ask("itself")
    checked.lie("lease_spills", address=itself)
    assert checked.connect()["error"] == "SlotLost"
    assert checked.refused().startswith("a lease that sends to 127.0.0.1:")


def test_the_gcs_outlives_a_lease_whose_node_id_is_too_short(checked):
    checked.lie("lease_short_id")
    assert checked.connect()["error"] == "SlotLost"
    checked.lie()
    assert checked.connect() == "connected"


def test_plain_ray_lets_any_machine_take_an_actor_that_needs_nothing(unchecked):
    unchecked.lie("lease_takes")
    assert unchecked.node_id in unchecked.control.ask("place_elsewhere", count=12)


def test_the_gate_asks_a_machine_for_nothing_that_is_not_pinned_to_it(checked):
    checked.lie("lease_takes")
    nodes = checked.control.ask("place_elsewhere", count=12)
    assert set(nodes) == {checked.control.ask("itself")["node_id"]}
