import onnxruntime
import pytest

from fabric.providers.runtimes import RELEASES, Newest, needed_words, newest_taken
from provider_join import runtime_probe


@pytest.mark.parametrize(
    ("capabilities", "newest"),
    [
        ({"onnxruntime_version": "1.24.4", "opset_max": 25, "ir_version_max": 13}, Newest(25, 13)),
        ({"onnxruntime_version": "1.23.2"}, Newest(23, 11)),
        ({"onnxruntime_version": "1.24.4", "opset_max": None}, Newest(25, 13)),
        ({"onnxruntime_version": "1.22.0"}, Newest(22, 10)),
        ({"onnxruntime_version": "1.99.0"}, Newest()),
        ({"onnxruntime_version": "nightly"}, Newest()),
        ({}, Newest()),
    ],
)
def test_what_a_machines_runtime_takes(capabilities, newest):
    assert newest_taken(capabilities) == newest


def test_a_model_beyond_the_runtime_is_not_taken_and_an_unknown_runtime_is_tried():
    newest = Newest(23, 11)
    assert newest.takes(23, 11)
    assert not newest.takes(24, 11)
    assert not newest.takes(23, 12)
    assert Newest().takes(99, 99)


def test_what_is_needed_is_said_in_words():
    assert needed_words(23, 10) == "needs ONNX Runtime ≥ 1.23"
    assert needed_words(24, 10) == needed_words(17, 12) == "needs ONNX Runtime ≥ 1.24"
    assert needed_words(26, 13) == "needs ONNX Runtime ≥ 1.25"
    assert needed_words(40, 13) == "needs an ONNX Runtime with opset 40 and IR version 13"


def test_the_table_of_releases_is_true_of_the_installed_one():
    release = tuple(map(int, onnxruntime.__version__.split(".")[:2]))
    known = [numbers for since, *numbers in RELEASES if since <= release]
    assert runtime_probe.limits(onnxruntime) == tuple(known[-1])
