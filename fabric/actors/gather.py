"""An order's parts: which byte ranges to fetch, and where each part then lies in the memory that the runner sees."""

from dataclasses import dataclass

from fabric.actors.messages import Order, Part, SubtaskOrder
from fabric.actors.transfer import ByteRange
from fabric.sandbox.memory import aligned
from fabric.sandbox.messages import InputAt, PartAt, SubtaskAt

WASTE_BYTES_MAX = 1024 * 1024  # a range may always contain so much that nobody asked for


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What to fetch, and where each part then lies."""

    ranges: list[ByteRange]
    places: dict[int, tuple[int, int]]  # id(part) -> index of its range, offset inside it


def plan_fetches(order: Order) -> FetchPlan:
    """Parts behind one URL become one range from the first to the last of them; only when more than half of that would be
    waste, each run of neighbours becomes a range of its own.
    """
    by_url: dict[str, list[Part]] = {}
    for subtask in order.subtasks:
        for wanted in subtask.inputs:
            for part in wanted.parts:
                if part.url is not None:
                    by_url.setdefault(part.url, []).append(part)
    ranges: list[ByteRange] = []
    places: dict[int, tuple[int, int]] = {}
    for url, parts in by_url.items():
        parts.sort(key=lambda p: p.offset)
        for group in _groups(parts):
            first, end = group[0].offset, max(p.offset + p.length for p in group)
            for part in group:
                places[id(part)] = (len(ranges), part.offset - first)
            ranges.append(ByteRange(url, first, end - first))
    return FetchPlan(ranges, places)


def _groups(parts: list[Part]) -> list[list[Part]]:
    runs: list[list[Part]] = []
    end = used = -1
    for part in parts:
        if runs and part.offset <= end:
            runs[-1].append(part)
        else:
            runs.append([part])
        used += max(0, part.offset + part.length - max(end, part.offset))
        end = max(end, part.offset + part.length)
    covered = end - parts[0].offset
    return [parts] if covered <= 2 * used + WASTE_BYTES_MAX else runs


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything that an order's inputs need lies in one block of memory."""

    size: int
    ranges: list[tuple[int, int]]  # where each range of the plan begins and ends
    inline: list[tuple[int, bytes]]  # where the data goes that came with the order
    places: dict[int, int]  # id(part) -> where it begins

    def place(self, part: Part) -> PartAt:
        """The part as the runner finds it."""
        offset = self.places.get(id(part))
        length = part.length if part.data is None else len(part.data)
        return PartAt(part.item_count, part.encoding, offset, length, part.dtype, part.shape, part.sizes)


def lay_out(order: Order, plan: FetchPlan) -> Layout:
    """One range after another, then what came inline, each where any number may begin."""
    ranges: list[tuple[int, int]] = []
    end = 0
    for wanted in plan.ranges:
        ranges.append((end, end + max(0, wanted.length)))
        end = aligned(ranges[-1][1])
    places = {part: ranges[index][0] + offset for part, (index, offset) in plan.places.items()}
    inline: list[tuple[int, bytes]] = []
    for subtask in order.subtasks:
        for part in (part for wanted in subtask.inputs for part in wanted.parts):
            if part.data is not None:
                inline.append((end, part.data))
                places[id(part)] = end
                end = aligned(end + len(part.data))
    return Layout(end, ranges, inline, places)


def placed(subtask: SubtaskOrder, layout: Layout) -> SubtaskAt:
    """The subtask as the runner computes it."""
    return SubtaskAt(
        subtask.item_count,
        tuple(InputAt(i.name, tuple(layout.place(part) for part in i.parts), i.broadcast) for i in subtask.inputs),
    )
