"""What goes wrong on the way: for each route a number of times, before or after the effect."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["timeout_before", "timeout_after", "500_before", "500_after", "429", "409"]
KINDS: tuple[Kind, ...] = ("timeout_before", "timeout_after", "500_before", "500_after", "429", "409")


@dataclass
class Fault:
    """`route` is a method and the beginning of a path, such as `POST /v1/transfers`."""

    route: str
    kind: Kind
    times: int = 1


class FaultPlan:
    """Faults that wait for their route."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.met: list[Fault] = []

    def add(self, route: str, kind: Kind, times: int = 1) -> None:
        """Let a route fail so often."""
        self.faults.append(Fault(route, kind, times))

    def take(self, method: str, path: str) -> Kind | None:
        """What happens to this request, if anything does."""
        for fault in self.faults:
            if fault.times > 0 and f"{method} {path}".startswith(fault.route):
                fault.times -= 1
                self.met.append(fault)
                return fault.kind
        return None
