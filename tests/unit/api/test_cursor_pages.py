"""Pages and their cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.api.pagination import PageRequest, decode_cursor, encode_cursor, page_of, page_request
from fabric.core.errors import Malformed
from fabric.core.ids import JobId


def numbers_page(page: PageRequest, total: int):
    after = -1 if page.before_number is None else page.before_number
    rows = [n for n in range(total) if n > after][: page.fetch]
    return page_of(rows, page, cursor=lambda n: n, render=str)


@given(total=st.integers(0, 30), limit=st.integers(1, 10))
def test_following_the_cursors_sees_every_row_once(total, limit):
    seen, cursor, pages = [], None, 0
    while True:
        page = numbers_page(page_request(limit, cursor), total)
        seen, cursor, pages = seen + page.data, page.next_cursor, pages + 1
        assert len(page.data) <= limit
        if cursor is None:
            break
    assert seen == [str(n) for n in range(total)]
    assert pages == max(1, -(-total // limit))


def test_a_cursor_carries_an_id_through():
    job_id = JobId.new()
    assert page_request(10, encode_cursor(job_id)).before == job_id


@pytest.mark.parametrize("cursor", ["%%%", "ÿ", "AAAA=", "a"])
def test_a_cursor_that_is_none_is_refused(cursor):
    with pytest.raises(Malformed):
        decode_cursor(cursor)


def test_a_cursor_of_another_kind_of_list_is_refused():
    with pytest.raises(Malformed):
        _ = page_request(10, encode_cursor("17")).before
    with pytest.raises(Malformed):
        _ = page_request(10, encode_cursor("seventeen")).before_number
