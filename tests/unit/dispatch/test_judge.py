import hashlib

import numpy as np
import pytest

from fabric.actors.messages import ItemError
from fabric.codecs.frame import decode_header, encode_frame
from fabric.core.ids import OrderId
from fabric.dispatch.judge import Upload, judge
from tests.fixtures.dispatching import OUTPUTS, RATE, a_lease, a_receipt, a_result, an_output

ORDER = OrderId(int=1)


def verdict_on(receipt, *leases, uploads=None, observed_us=1_000_000):
    return judge(
        ORDER,
        leases or (a_lease(),),
        receipt,
        outputs=OUTPUTS,
        uploads=uploads or {},
        observed_us=observed_us,
        commission_bps=1000,
    )


def uploaded(lease, frame, **changes):
    header = frame[: decode_header(frame).header_bytes]
    digest = hashlib.sha256(frame).digest()
    return a_result(
        lease, output=None, **{"output_header": header, "output_size": len(frame), "output_sha256": digest, **changes}
    )


def test_a_good_result_is_completed_and_priced():
    (done,) = verdict_on(a_receipt(a_result(a_lease(), run_us=36_000))).completions
    assert (done.reported_us, done.billed_us, done.gross_nanos) == (36_000, 36_000, RATE * 36_000 // 3_600_000_000)
    assert done.output == an_output()
    assert done.output_size == len(an_output())


def test_a_slot_is_not_paid_for_more_time_than_passed():
    receipt = a_receipt(a_result(a_lease(), run_us=900_000))
    (done,) = verdict_on(receipt, observed_us=20_000).completions
    assert done.billed_us <= 20_000


def test_a_slot_is_not_paid_for_more_than_calibration_allows():
    lease = a_lease(cap_us=5_000)
    (done,) = verdict_on(a_receipt(a_result(lease, run_us=900_000)), lease).completions
    assert done.billed_us == 5_000


def test_the_shares_of_one_order_never_add_up_to_more_than_its_time():
    leases = [a_lease(n) for n in range(10)]
    verdict = verdict_on(a_receipt(*(a_result(lease, run_us=50_000) for lease in leases)), *leases, observed_us=123_457)
    assert sum(done.billed_us for done in verdict.completions) == verdict.billed_us <= 123_457


@pytest.mark.parametrize(
    ("output", "what"),
    [
        (b"no frame at all", "no tensor frame"),
        (an_output(3), "3"),
        (an_output()[:-8], "bytes"),
        (encode_frame({"y": np.zeros((2, 2), np.float64)}), "float64"),
        (encode_frame({"z": np.zeros((2, 2), np.float32)}), "outputs"),
        (None, "no output"),
    ],
)
def test_a_wrong_output_is_a_failed_attempt_that_says_what_is_wrong(output, what):
    verdict = verdict_on(a_receipt(a_result(a_lease(), output=output)))
    assert verdict.completions == ()
    (back,) = verdict.given_back
    assert (back.outcome, back.counts, back.code) == ("failed", True, "wrong_output")
    assert what in back.detail


def test_failed_items_are_reported_by_their_place_in_the_job():
    lease = a_lease(position=3, items=4)
    errors = (ItemError(1, "corrupt_image", "truncated"),)
    (done,) = verdict_on(a_receipt(a_result(lease, output=an_output(3), item_errors=errors)), lease).completions
    assert done.item_errors == ((13, "corrupt_image", "truncated"),)


def test_a_subtask_all_of_whose_items_failed_is_done_without_an_output():
    errors = tuple(ItemError(n, "corrupt_image", "") for n in range(2))
    (done,) = verdict_on(a_receipt(a_result(a_lease(), output=None, item_errors=errors))).completions
    assert (done.output, done.output_key) == (None, None)


def test_errors_of_items_that_do_not_exist_are_refused():
    errors = (ItemError(2, "corrupt_image", ""),)
    assert verdict_on(a_receipt(a_result(a_lease(), output=an_output(1), item_errors=errors))).completions == ()


def test_an_uploaded_output_is_believed_when_the_store_holds_exactly_it():
    lease, frame = a_lease(), an_output()
    there = Upload("outputs/k", len(frame), hashlib.sha256(frame).digest(), frame)
    (done,) = verdict_on(a_receipt(uploaded(lease, frame)), lease, uploads={lease.subtask_id.bytes: there}).completions
    assert (done.output, done.output_key, done.output_size) == (None, "outputs/k", len(frame))


def test_an_uploaded_output_that_is_not_there_is_a_failed_attempt():
    lease = a_lease()
    assert verdict_on(a_receipt(uploaded(lease, an_output())), lease).completions == ()


def test_an_uploaded_output_with_another_hash_is_a_failed_attempt():
    lease, frame = a_lease(), an_output()
    other = Upload("outputs/k", len(frame), bytes(32), frame)
    assert verdict_on(a_receipt(uploaded(lease, frame)), lease, uploads={lease.subtask_id.bytes: other}).completions == ()


def test_the_header_in_the_receipt_is_not_believed_but_the_one_in_the_store():
    lease, frame = a_lease(), an_output(3)
    lie = uploaded(lease, frame, output_header=an_output(2))
    there = Upload("outputs/k", len(frame), hashlib.sha256(frame).digest(), frame)
    assert verdict_on(a_receipt(lie), lease, uploads={lease.subtask_id.bytes: there}).completions == ()


def test_the_receipt_of_another_order_is_hostile():
    verdict = verdict_on(a_receipt(a_result(a_lease()), order=OrderId(int=2)))
    assert verdict.hostile
    assert verdict.completions == ()


def test_a_forged_fence_is_hostile_and_matches_nothing():
    verdict = verdict_on(a_receipt(a_result(a_lease(), fence=2)))
    assert verdict.hostile
    assert [back.fence for back in verdict.given_back] == [1]


def test_a_subtask_told_twice_is_paid_once():
    lease = a_lease()
    verdict = verdict_on(a_receipt(a_result(lease), a_result(lease)), lease)
    assert verdict.hostile
    assert len(verdict.completions) == 1


def test_a_subtask_that_the_receipt_leaves_out_is_a_failed_attempt():
    first, second = a_lease(0), a_lease(1)
    verdict = verdict_on(a_receipt(a_result(first)), first, second)
    assert [back.subtask_id for back in verdict.given_back] == [second.subtask_id]


def test_an_order_that_failed_as_a_whole_gives_every_lease_back():
    leases = [a_lease(n) for n in range(3)]
    verdict = verdict_on(a_receipt(error_code="model_fetch_failed", error_detail="503"), *leases)
    assert {(back.code, back.counts) for back in verdict.given_back} == {("model_fetch_failed", True)}
    assert len(verdict.given_back) == 3


def test_what_had_no_room_in_the_receipt_costs_no_attempt_beside_finished_work():
    first, second = a_lease(0), a_lease(1)
    passed_on = a_result(second, status="cancelled", run_us=0, output=None, error_code="receipt_full")
    (back,) = verdict_on(a_receipt(a_result(first), passed_on), first, second).given_back
    assert (back.outcome, back.counts) == ("cancelled", False)


def test_a_slot_that_passes_everything_on_does_not_do_so_for_ever():
    lease = a_lease()
    passed_on = a_result(lease, status="cancelled", run_us=0, output=None, error_code="receipt_full")
    (back,) = verdict_on(a_receipt(passed_on), lease).given_back
    assert back.counts
