from fabric.actors.gather import lay_out, placed, plan_fetches
from fabric.actors.messages import InputOrder, ModelRef, Order, Part, SubtaskOrder
from fabric.actors.transfer import ByteRange

MODEL = ModelRef("", "", 0, {}, {}, True, 1, False)
MIB = 1024 * 1024


def an_order(*parts: Part) -> Order:
    subtasks = tuple(SubtaskOrder(bytes(16), 1, 1, (InputOrder("x", (part,)),)) for part in parts)
    return Order(bytes(16), MODEL, subtasks, 0, 1.0)


def a_part(url: str | None, offset: int, length: int) -> Part:
    return Part(1, "rows", data=None if url else b"inline", url=url, offset=offset, length=length)


def test_neighbours_in_one_object_are_fetched_once():
    parts = [a_part("u", 128 + 100 * index, 100) for index in (2, 0, 1, 3)]
    plan = plan_fetches(an_order(*parts))
    assert plan.ranges == [ByteRange("u", 128, 400)]
    assert [plan.places[id(p)] for p in parts] == [(0, 200), (0, 0), (0, 100), (0, 300)]


def test_each_url_has_a_range_of_its_own_and_inline_parts_have_none():
    parts = [a_part("u", 0, 10), a_part(None, 0, 0), a_part("v", 5, 10)]
    plan = plan_fetches(an_order(*parts))
    assert plan.ranges == [ByteRange("u", 0, 10), ByteRange("v", 5, 10)]
    assert id(parts[1]) not in plan.places


def test_a_small_gap_is_fetched_along_and_a_large_one_is_not():
    near = plan_fetches(an_order(a_part("u", 0, 10), a_part("u", 1000, 10)))
    assert near.ranges == [ByteRange("u", 0, 1010)]
    parts = [a_part("u", 0, 10), a_part("u", 10, 10), a_part("u", 100 * MIB, 10)]
    far = plan_fetches(an_order(*parts))
    assert far.ranges == [ByteRange("u", 0, 20), ByteRange("u", 100 * MIB, 10)]
    assert far.places[id(parts[2])] == (1, 0)


def test_the_same_rows_twice_are_fetched_once():
    parts = [a_part("u", 10, 20), a_part("u", 10, 20), a_part("u", 15, 5)]
    plan = plan_fetches(an_order(*parts))
    assert plan.ranges == [ByteRange("u", 10, 20)]
    assert plan.places[id(parts[2])] == (0, 5)


def test_ranges_and_inline_data_lie_beside_each_other_where_any_number_may_begin():
    parts = [a_part("u", 128, 100), a_part(None, 0, 0), a_part("u", 228, 4), a_part("v", 7, 10), Part(1, "rows")]
    order = an_order(*parts)
    layout = lay_out(order, plan_fetches(order))
    assert layout.ranges == [(0, 104), (128, 138)]
    assert layout.inline == [(192, b"inline")]
    found = [placed(subtask, layout).inputs[0].parts[0] for subtask in order.subtasks]
    assert [(part.offset, part.length) for part in found] == [(0, 100), (192, 6), (100, 4), (128, 10), (None, 0)]
    assert layout.size == 256
