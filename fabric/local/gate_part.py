"""The gate as a supervised part: everything that providers send to the cluster passes it."""

from collections.abc import Mapping
from pathlib import Path

from fabric.gate.config import GateConfig
from fabric.gate.control import ask
from fabric.local.parts import START_TIMEOUT_S, ChildPart


class GatePart(ChildPart):
    """The gate's process with its HAProxy. Machines that were bound before a restart of it stay bound."""

    def __init__(self, config: GateConfig, config_file: Path, *, log: Path, environment: Mapping[str, str]) -> None:
        """Prepare it."""
        super().__init__("gate", "fabric.gate.run", [str(config_file)], log=log, environment=environment)
        self.config = config
        config.write(config_file)

    def await_ready(self) -> None:
        """Wait until a gate that was spawned before answers.

        Raises:
            PartFailed: it ended, or did not answer in time.
        """
        self.wait_until(self.is_ready, START_TIMEOUT_S)

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            ask(Path(self.config.control_socket), "status")
        except OSError:
            return False
        return True
