"""The meter counts each answer's bytes whatever way they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.gate.meter import DATA, END_STREAM, HEADERS, RST_STREAM, FrameMeter, TooLarge

MAX = 1000


def frame(kind: int, stream: int, length: int, flags: int = 0) -> bytes:
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + bytes(length)


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(1, 50))
def test_an_answer_is_cut_exactly_when_it_grows_too_large(lengths, step):
    sent, total, meter = b"", 0, FrameMeter(MAX)
    for length in lengths:
        sent += frame(DATA, 1, length) + frame(HEADERS, 3, 20) + frame(DATA, 3, 10)
        total += length
    pieces = [sent[i : i + step] for i in range(0, len(sent), step)]
    if total > MAX:
        with pytest.raises(TooLarge):
            [meter.feed(piece) for piece in pieces]
    else:
        [meter.feed(piece) for piece in pieces]


@pytest.mark.parametrize("end", [frame(DATA, 1, 0, END_STREAM), frame(HEADERS, 1, 5, END_STREAM), frame(RST_STREAM, 1, 4)])
def test_a_stream_that_ended_counts_no_more(end):
    meter = FrameMeter(MAX)
    for _ in range(5):
        meter.feed(frame(DATA, 1, 900) + end)
    with pytest.raises(TooLarge):
        meter.feed(frame(DATA, 1, 900) + frame(DATA, 1, 900))
