"""Where in a model something stands, and refusals that say so."""

from dataclasses import dataclass
from typing import Any

from fabric.core.errors import InvalidModel

SHOWN_CHARACTERS_MAX = 120
GRAPH = "graph"


@dataclass(frozen=True, slots=True)
class Place:
    """One node of a model."""

    path: str  # the graph that holds it: "graph", "function own::Double", "graph / 3 'forever' (Loop) body"
    index: int  # among the nodes of that graph
    name: str
    op_type: str

    @classmethod
    def of(cls, path: str, index: int, node: Any) -> "Place":
        """The place of a parsed node."""
        operator = f"{node.domain}::{node.op_type}" if node.domain not in {"", "ai.onnx"} else node.op_type
        return cls(path, index, shown(node.name), shown(operator))

    def inside(self, attribute: str) -> str:
        """The path of a graph that an attribute of this node holds."""
        return f"{self.path} / {self._label()} {shown(attribute)}"

    def as_json(self) -> dict[str, Any]:
        """The place as a problem's field `node` shows it."""
        return {"path": self.path, "index": self.index, "name": self.name, "op_type": self.op_type}

    def __str__(self) -> str:
        return f"node {self._label()}" + ("" if self.path == GRAPH else f" of {self.path}")

    def _label(self) -> str:
        return f"{self.index} {self.name!r} ({self.op_type})" if self.name else f"{self.index} ({self.op_type})"


def shown(text: str | bytes, characters_max: int = SHOWN_CHARACTERS_MAX) -> str:
    """A stranger's word, short enough to be repeated and without what could not be stored."""
    readable = text.decode(errors="replace") if isinstance(text, bytes) else text
    readable = readable.replace("\0", "�").encode("utf-8", "replace").decode()
    return readable if len(readable) <= characters_max else readable[: characters_max - 1] + "…"


def refusal(reason: str, why: str, place: Place | None = None) -> InvalidModel:
    """The error that refuses a model: `reason` for programs, words for people and, where one node is the cause, which one."""
    if place is None:
        return InvalidModel(why, reason=reason)
    return InvalidModel(f"{place}: {why}", reason=reason, node=place.as_json())


def binary_size(count: int) -> str:
    """A number of bytes in words."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:,.1f} {unit} ({count} bytes)"
    return f"{count} bytes"
