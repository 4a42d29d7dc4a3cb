import hashlib
import threading

import numpy as np
import pytest

from fabric.actors.cancellation import Cancellation, Cancelled
from fabric.actors.transfer import ATTEMPTS_MAX, ByteRange, Transfer, TransferFailed

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def transfer():
    transfer = Transfer(pause_s=0.001)
    yield transfer
    transfer.close()


def test_exactly_the_range_comes_in_one_aligned_buffer(object_http, transfer):
    url = object_http.hold("data", CONTENT)
    fetched = transfer.fetch(ByteRange(url, 128, 2_500_000), Cancellation())
    assert fetched == CONTENT[128:2_500_128]
    assert np.frombuffer(fetched, np.float32).flags.aligned
    assert object_http.requests == [("GET", "data", "bytes=128-2500127")]


def test_an_empty_range_needs_no_request(object_http, transfer):
    assert len(transfer.fetch(ByteRange(object_http.url("data"), 0, 0), Cancellation())) == 0
    assert object_http.requests == []


@pytest.mark.parametrize("mishaps", [["503"], ["truncate"], ["503", "truncate", "503"]])
def test_short_outages_are_ridden_out(object_http, transfer, mishaps):
    url = object_http.hold("data", CONTENT)
    object_http.mishaps = list(mishaps)
    assert transfer.fetch(ByteRange(url, 0, 1000), Cancellation()) == CONTENT[:1000]
    assert len(object_http.requests) == len(mishaps) + 1


@pytest.mark.parametrize("mishap", ["503", "truncate"])
def test_a_long_outage_is_a_failure_that_names_no_secret(object_http, transfer, mishap):
    url = object_http.hold("data", CONTENT)
    object_http.mishaps = [mishap] * 20
    with pytest.raises(TransferFailed) as caught:
        transfer.fetch(ByteRange(url, 0, 1000), Cancellation())
    assert caught.value.code == "fetch_failed"
    assert "secret" not in str(caught.value)
    assert len(object_http.requests) == ATTEMPTS_MAX


def test_a_store_that_cannot_be_reached_is_a_failure_that_names_no_secret(object_http, transfer):
    url = object_http.url("data")
    object_http.close()
    with pytest.raises(TransferFailed) as caught:
        transfer.fetch(ByteRange(url, 0, 10), Cancellation())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("mishap", "offset"),
    [("404", 0), ("redirect", 0), ("whole", 0), ("whole", 10), ("shift", 0)],
)
def test_another_answer_than_the_one_asked_for_is_refused_at_once(object_http, transfer, mishap, offset):
    url = object_http.hold("data", CONTENT)
    object_http.mishaps = [mishap]
    with pytest.raises(TransferFailed) as caught:
        transfer.fetch(ByteRange(url, offset, 1000), Cancellation())
    assert caught.value.code == "fetch_refused"
    assert len(object_http.requests) == 1


def test_a_store_without_ranges_may_give_a_whole_object_that_was_asked_for_whole(object_http, transfer):
    url = object_http.hold("data", CONTENT)
    object_http.mishaps = ["whole"]
    assert transfer.fetch(ByteRange(url, 0, len(CONTENT)), Cancellation()) == CONTENT


def test_a_range_beyond_the_object_is_refused(object_http, transfer):
    url = object_http.hold("data", b"short")
    with pytest.raises(TransferFailed):
        transfer.fetch(ByteRange(url, 0, 1000), Cancellation())


def test_several_ranges_come_in_order_and_a_failure_takes_its_place(object_http, transfer):
    urls = [object_http.hold(f"o{index}", CONTENT[index:]) for index in range(6)]
    del object_http.objects["o3"]
    fetched = transfer.fetch_all([ByteRange(url, 0, 100) for url in urls], Cancellation())
    assert isinstance(fetched[3], TransferFailed)
    assert [bytes(f) for i, f in enumerate(fetched) if i != 3] == [CONTENT[i : i + 100] for i in range(6) if i != 3]


def test_an_object_with_the_wrong_hash_is_not_used(object_http, transfer):
    url = object_http.hold("model", CONTENT)
    good = hashlib.sha256(CONTENT).hexdigest()
    assert transfer.fetch_object(url, len(CONTENT), good, Cancellation()) == CONTENT
    object_http.objects["model"] = CONTENT[:-1] + b"?"
    with pytest.raises(TransferFailed) as caught:
        transfer.fetch_object(url, len(CONTENT), good, Cancellation())
    assert caught.value.code == "hash_mismatch"


def test_a_cancelled_fetch_stops_between_chunks_and_asks_no_more(object_http, transfer):
    url = object_http.hold("data", CONTENT)
    cancellation = Cancellation()
    object_http.on_request = cancellation.cancel
    with pytest.raises(Cancelled):
        transfer.fetch(ByteRange(url, 0, len(CONTENT)), cancellation)
    with pytest.raises(Cancelled):
        transfer.fetch(ByteRange(url, 0, 10), cancellation)
    assert len(object_http.requests) == 1


def test_a_cancel_ends_the_pause_between_two_attempts(object_http):
    transfer = Transfer(pause_s=3600)
    url = object_http.hold("data", CONTENT)
    object_http.mishaps = ["503"] * 9
    cancellation = Cancellation()
    asked = threading.Event()
    object_http.on_request = asked.set
    canceller = threading.Thread(target=lambda: (asked.wait(), cancellation.cancel()))
    canceller.start()
    with pytest.raises(Cancelled):
        transfer.fetch(ByteRange(url, 0, 10), cancellation)
    canceller.join()
    transfer.close()


def test_an_upload_arrives_also_when_its_answer_is_lost(object_http, transfer):
    object_http.mishaps = ["lost answer"]
    transfer.put(object_http.url("out"), CONTENT, Cancellation())
    assert object_http.objects["out"] == CONTENT
    assert [method for method, _, _ in object_http.requests] == ["PUT", "PUT"]


def test_an_upload_that_is_refused_is_not_tried_again(object_http, transfer):
    object_http.put_limit = 10
    with pytest.raises(TransferFailed) as caught:
        transfer.put(object_http.url("out"), CONTENT, Cancellation())
    assert caught.value.code == "upload_refused"
    assert len(object_http.requests) == 1
    assert object_http.objects == {}


def test_a_connection_is_used_again(object_http, transfer):
    url = object_http.hold("data", CONTENT)
    ports = set()
    object_http.on_connection = ports.add
    for offset in range(5):
        transfer.fetch(ByteRange(url, offset, 100_000), Cancellation())
    assert len(ports) == 1


def test_a_transfer_that_is_kept_slow_gives_and_takes_the_same_bytes(object_http):
    # Given one that moves 16 KB in a piece
    slow = Transfer(pause_s=0.001, bytes_per_s=400_000)
    url = object_http.hold("data", CONTENT)
    # When it fetches and stores, also after an outage
    assert slow.fetch(ByteRange(url, 100, 60_000), Cancellation()) == CONTENT[100:60_100]
    object_http.mishaps = ["503"]
    slow.put(object_http.url("out"), CONTENT[:60_001], Cancellation())
    slow.put(object_http.url("empty"), b"", Cancellation())
    # Then nothing is lost
    assert object_http.objects["out"] == CONTENT[:60_001]
    assert object_http.objects["empty"] == b""
    # And it can be given up while it waits
    wish = Cancellation()
    object_http.on_request = wish.cancel
    with pytest.raises(Cancelled):
        slow.fetch(ByteRange(url, 0, 3_000_000), wish)
    slow.close()
