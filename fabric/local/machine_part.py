"""A local machine on offer: the real `provider-join` with its own Ray node, as one supervised part."""

from collections.abc import Mapping
from pathlib import Path

from fabric.local.parts import ChildPart, process_name
from fabric.local.processes import family

LEFT_FOR_GOOD = (0, 3)  # the agent's exit codes for "left in order" and "this fabric does not know me any more"


class ProviderPart(ChildPart):
    """One machine on offer: the real `provider-join`, with its own Ray node."""

    patience_s = 30.0

    def __init__(
        self, number: int, url: str, token: str, *, home: Path, threads: int, log: Path, environment: Mapping[str, str]
    ) -> None:
        """Prepare provider `number` (from 1) with one CPU slot."""
        self.machine_name = f"local-{number}"
        self._has_told = False
        arguments = [
            "--url", url, "--name", self.machine_name, "--home", str(home), "--slots", "1", "--threads", str(threads),
            "--region", "local",
        ]  # fmt: skip
        super().__init__(
            f"provider-{number}", "provider_join", arguments, log=log,
            environment={**environment, "FABRIC_JOIN_TOKEN": token},  # not on the command line, which everybody can read
        )  # fmt: skip

    def failure(self) -> str | None:
        """A machine that left in order, or that its owner removed, is not brought back behind the owner's back."""
        if self._process is not None and self._process.poll() in LEFT_FOR_GOOD:
            return None
        return super().failure()

    def notices(self) -> list[str]:
        """Says once that the machine left for good."""
        if self._has_told or self._process is None or self._process.poll() not in LEFT_FOR_GOOD:
            return []
        self._has_told = True
        return [f"{self.name} left and stays away: it was drained or removed"]

    @property
    def pids(self) -> dict[str, list[int]]:
        """Its processes by name: the agent itself (`agent`), its `raylet`, and the rest."""
        found: dict[str, list[int]] = {}
        for member in family(self.marks()):
            is_agent = self._process is not None and member.pid == self._process.pid
            found.setdefault("agent" if is_agent else process_name(member.pid), []).append(member.pid)
        return found
