"""Pure: walks the bytes of an ONNX file by its length prefixes, before anything parses them: counts, depths and lengths within limits.

A parser allocates for what a file claims; this walk allocates nothing, so that a million nodes or ten thousand levels are refused
at once and by their right names.
"""

import re
from dataclasses import dataclass

from fabric.catalog.places import GRAPH, Place, refusal, shown

NODES_MAX = 50_000  # of the whole file; functions count once here, and expanded in `structure`
GRAPHS_DEEP_MAX = 8  # a graph in a node of a graph in a node …
TYPES_DEEP_MAX = 4  # a sequence of sequences of …
FIELDS_MAX = 3_000_000
NAME_BYTES_MAX = 2_048
TEXT_BYTES_MAX = 65_536  # an attribute that is text
DOC_BYTES_MAX = 1_048_576  # exporters leave stack traces

_NAME, _TEXT, _DOC = ("name", NAME_BYTES_MAX), ("text", TEXT_BYTES_MAX), ("text", DOC_BYTES_MAX)
# For each message what its fields hold: another message, or text with a limit. Fields that are not listed hold neither nodes nor
# anything nested, and are passed over.
_FIELDS: dict[str, dict[int, str | tuple[str, int]]] = {
    "model": {2: _NAME, 3: _NAME, 4: _NAME, 6: _DOC, 7: "graph", 14: _DOC, 20: "training", 25: "function"},
    "graph": {1: "node", 2: _NAME, 10: _DOC, 11: "value", 12: "value", 13: "value", 16: _DOC},
    "function": {1: _NAME, 4: _NAME, 5: _NAME, 6: _NAME, 7: "node", 8: _DOC, 10: _NAME, 11: "attribute", 12: "value", 14: _DOC},
    "node": {1: _NAME, 2: _NAME, 3: _NAME, 4: _NAME, 5: "attribute", 6: _DOC, 7: _NAME, 8: _NAME, 9: _DOC},
    "attribute": {1: _NAME, 4: _TEXT, 6: "graph", 9: _TEXT, 11: "graph", 13: _DOC, 14: "type", 15: "type", 21: _NAME},
    "value": {1: _NAME, 2: "type", 3: _DOC, 4: _DOC},
    "type": {4: "wrapped", 5: "wrapped", 6: _NAME, 9: "wrapped"},
    "wrapped": {1: "type", 2: "type"},
}
_FLOATS = re.compile(rb"(?:\x3d.{4})*+", re.DOTALL)  # AttributeProto.floats and .ints: one field for each number
_INTS = re.compile(rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])*+")


@dataclass(slots=True)
class _Frame:
    """A message that is being walked."""

    kind: str
    start: int
    position: int
    end: int
    index: int = -1  # of a node among its graph's
    nodes: int = 0  # met so far


@dataclass(frozen=True, slots=True)
class Outline:
    """What the walk saw. When it is not complete the bytes are no protobuf, and nothing should parse them."""

    is_complete: bool
    has_graph: bool
    nodes: int


class _Broken(Exception):
    """The bytes end early or are no protobuf."""


def outline(content: bytes) -> Outline:
    """Walk the file.

    Raises:
        InvalidModel: with `reason` too_many_nodes, too_deep, too_long_text or unsupported.
    """
    walk = _Walk(content)
    try:
        walk.run()
    except _Broken:
        return Outline(False, walk.has_graph, walk.nodes)
    return Outline(True, walk.has_graph, walk.nodes)


class _Walk:
    """A depth-first walk with its own stack: how deep a file nests must not decide how deep Python recurses."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._frames = [_Frame("model", 0, 0, len(content))]
        self._fields = 0
        self.nodes = 0
        self.has_graph = False

    def run(self) -> None:
        """Walk to the end."""
        while self._frames:
            frame = self._frames[-1]
            if frame.position >= frame.end:
                self._frames.pop()
            else:
                self._field(frame)

    def _field(self, frame: _Frame) -> None:
        self._fields += 1
        if self._fields > FIELDS_MAX:
            raise refusal("unsupported", f"the file has more than {FIELDS_MAX} fields", self._place())
        if frame.kind == "attribute":
            for numbers in (_FLOATS, _INTS):
                if (run := numbers.match(self._content, frame.position, frame.end)) is not None:
                    frame.position = run.end()
            if frame.position >= frame.end:
                return
        tag, position = self._varint(frame.position, frame.end)
        number, wire = tag >> 3, tag & 7
        if wire == 2:
            length, position = self._varint(position, frame.end)
            if number == 0 or position + length > frame.end:
                raise _Broken
            frame.position = position + length
            if (held := _FIELDS[frame.kind].get(number)) is not None:
                self._enter(frame, held, position, frame.position)
            return
        if number == 0:
            raise _Broken
        if wire == 0:
            _, position = self._varint(position, frame.end)
        elif wire in {1, 5}:
            position += 8 if wire == 1 else 4
        else:
            raise _Broken  # groups: no field of ONNX is one, and they nest
        if position > frame.end:
            raise _Broken
        frame.position = position

    def _enter(self, frame: _Frame, held: str | tuple[str, int], start: int, end: int) -> None:
        if isinstance(held, tuple):
            what, limit = held
            if end - start > limit:
                why = f"a {what} of {end - start} bytes that begins {shown(self._content[start : start + 40])!r}; at most {limit}"
                raise refusal("too_long_text", why, self._place())
            return
        if held == "training":
            raise refusal("unsupported", "the file holds training information; export the model for inference")
        inner = _Frame(held, start, start, end)
        if held == "node":
            inner.index, frame.nodes = frame.nodes, frame.nodes + 1
            self.nodes += 1
            if self.nodes > NODES_MAX:
                raise refusal("too_many_nodes", f"the model has more than {NODES_MAX} nodes")
        self.has_graph |= held == "graph"
        self._frames.append(inner)
        self._check_depth(held)

    def _check_depth(self, kind: str) -> None:
        limit = {"graph": GRAPHS_DEEP_MAX, "type": TYPES_DEEP_MAX}.get(kind)
        if limit is None:
            return
        deep = sum(frame.kind == kind for frame in self._frames)
        if deep > limit:
            raise refusal("too_deep", f"{kind}s are nested more than {limit} deep", self._place())

    def _place(self) -> Place | None:
        """The innermost node on the way, by a look at its own fields."""
        path, place = GRAPH, None
        for frame in self._frames:
            if frame.kind == "function":
                path = "a function"
            if frame.kind == "graph" and place is not None:
                path = place.inside("graph")
            if frame.kind == "node":
                name, operator = self._label(frame)
                place = Place(path, frame.index, name, operator)
        return place

    def _label(self, node: _Frame) -> tuple[str, str]:
        found = {3: "", 4: ""}
        position = node.start
        try:
            while position < node.end:
                tag, position = self._varint(position, node.end)
                if tag & 7 != 2:
                    break
                length, position = self._varint(position, node.end)
                if tag >> 3 in found:
                    found[tag >> 3] = shown(self._content[position : position + min(length, NAME_BYTES_MAX)])
                position += length
        except _Broken:
            pass
        return found[3], found[4]

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        content = self._content
        value = shift = 0
        while position < end and shift < 70:
            byte = content[position]
            position += 1
            if byte < 0x80:
                return value | byte << shift, position
            value |= (byte & 0x7F) << shift
            shift += 7
        raise _Broken
