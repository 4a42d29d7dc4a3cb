"""What one run of a local fabric is made of: its folder, ports, secrets, environments, and the parts built from them.

No secret is in an environment or on a command line: control processes read run/fabric.env (mode 0600), because whatever runs
on a Ray node can read that node's environment.
"""

import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fabric.core.settings import Settings
from fabric.local.addresses import Addresses
from fabric.local.control_parts import ObjectServerPart, PostgresPart, RayHeadPart, ServePart
from fabric.local.deploy import DeployConfig
from fabric.local.home import Home
from fabric.local.machine_part import ProviderPart
from fabric.local.ports import Ports
from fabric.local.processes import RUN_VARIABLE, scrubbed_environment
from fabric.local.ray_head import HeadConfig, head_environment
from fabric.local.serve_environment import install_haproxy, serve_environment

TEMP_PARENT = Path("/tmp")  # noqa: S108 - Ray's sockets need a short path; the folder below is random and 0700
TEMP_PREFIX = "fb-"
POSTGRES_PATH_BYTES_MAX = 75  # a socket path has 107 bytes, of which Postgres needs 27
NOT_PASSED_ON = ("FABRIC_HOME", "FABRIC_DATABASE_URL", RUN_VARIABLE)  # the owner's URL stays with migrations


@dataclass(frozen=True)
class Assembly:
    """The facts of one run."""

    home: Home
    addresses: Addresses
    ports: Ports
    settings: Settings
    temp_dir: Path
    sockets: Path | None
    """Where Postgres' socket lies when the path of the home is too long for one; None: in the home."""
    run_id: str
    """Random; every child carries it in its environment."""

    @classmethod
    def prepare(cls, home: Home, addresses: Addresses, ports: Ports, settings: Settings) -> "Assembly":
        """Make the temp folder and the script that becomes HAProxy."""
        temp_dir = Path(tempfile.mkdtemp(prefix=TEMP_PREFIX, dir=TEMP_PARENT))
        install_haproxy(temp_dir / "h")
        sockets = None
        if len(os.fsencode(home.postgres)) > POSTGRES_PATH_BYTES_MAX:
            sockets = Path(tempfile.mkdtemp(prefix=TEMP_PREFIX, dir=TEMP_PARENT))
        return cls(home, addresses, ports, settings, temp_dir, sockets, secrets.token_hex(16))

    @property
    def temp_dirs(self) -> list[Path]:
        """Everything of this run outside its home."""
        return [self.temp_dir, *([self.sockets] if self.sockets else [])]

    @property
    def url(self) -> str:
        """The endpoint's address."""
        return f"http://{self.addresses.advertised}:{self.ports.http}"

    @property
    def gcs_address(self) -> str:
        """Where machines find the Ray cluster."""
        return f"{self.addresses.advertised}:{self.ports.gcs}"

    # ── environments ─────────────────────────────────────────────────────────────────────────────────────────────────

    def plain_environment(self) -> dict[str, str]:
        """For control processes outside Ray. S3 credentials of ours reach them by a file, like every secret."""
        environment = scrubbed_environment({"FABRIC_HOME": str(self.home.path), RUN_VARIABLE: self.run_id})
        if (key := os.environ.get("AWS_ACCESS_KEY_ID")) and (secret := os.environ.get("AWS_SECRET_ACCESS_KEY")):
            lines = ["[default]", f"aws_access_key_id = {key}", f"aws_secret_access_key = {secret}"]
            if session := os.environ.get("AWS_SESSION_TOKEN"):
                lines.append(f"aws_session_token = {session}")
            environment["AWS_SHARED_CREDENTIALS_FILE"] = str(self.home.keep_secret("aws-credentials", "\n".join(lines) + "\n"))
            environment.pop("AWS_PROFILE", None)
        return environment

    def control_environment(self) -> dict[str, str]:
        """For Ray's processes and everything on the control node."""
        ray = head_environment(token_file=self.home.secrets / "ray.token", gcs=self.home.gcs)
        return {
            **self.plain_environment(),
            **ray,
            **serve_environment(self.ports, self.temp_dir / "h"),
            **self._loopback_variables(),
        }

    def provider_environment(self) -> dict[str, str]:
        """For a local machine on offer: nothing of the control plane."""
        return scrubbed_environment({RUN_VARIABLE: self.run_id, **self._loopback_variables()})

    def _loopback_variables(self) -> dict[str, str]:
        # Ray's own switch for "this node is loopback only"; without it `ray.init("127.0.0.1:…")` asks the outer address.
        return {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} if self.addresses.is_loopback else {}

    def write_environment(self, *, app_url: str = "", control_node_id: str = "") -> None:
        """Write run/fabric.env: what the user set, the fabric's secrets, and what is known by now."""
        variables = {
            "FABRIC_AUTH_JWT_KEY": str(self.home.secret("jwt.key")),
            "FABRIC_STORAGE_SIGNING_KEY": str(self.home.secret("storage-signing.key")),
            "FABRIC_RAY_TOKEN": str(self.home.secret("ray.token")),
        }
        if self.settings.storage.url == "disk":
            variables["FABRIC_STORAGE_PUBLIC_URL"] = f"http://{self.addresses.advertised}:{self.ports.objects}"
        variables |= {
            name: value for name, value in os.environ.items() if name.startswith("FABRIC_") and name not in NOT_PASSED_ON
        }
        variables |= {
            "FABRIC_HOST": self.addresses.host,
            "FABRIC_PORT": str(self.ports.http),
            "FABRIC_RAY_ADDRESS": self.gcs_address,
        }
        if app_url:
            variables["FABRIC_DATABASE_APP_URL"] = app_url
        if control_node_id:
            variables["FABRIC_RAY_CONTROL_NODE_ID"] = control_node_id
        self.home.write_environment(variables)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def postgres(self) -> PostgresPart | None:
        """The embedded database; None when FABRIC_DATABASE_URL names another."""
        if self.settings.database.url is not None:
            return None
        return PostgresPart(self.home.postgres, self._log("postgres"), self.sockets)

    def object_server(self) -> ObjectServerPart | None:
        """The server of the disk store; None when objects are in S3."""
        if self.settings.storage.url != "disk":
            return None
        return ObjectServerPart(
            self.addresses.host, self.ports.objects, log=self._log("objects"), environment=self.plain_environment()
        )

    def ray_head(self) -> RayHeadPart:
        """The Ray head."""
        config = HeadConfig(
            str(self.temp_dir / "r"), self.addresses.advertised, self.ports.gcs, str(self.home.run / "ray-node.json")
        )
        return RayHeadPart(
            config, self.home.run / "ray-head.json", log=self._log("ray-head"), environment=self.control_environment()
        )

    def serve(self, head: RayHeadPart, application: str, before_deploy: Callable[[], None]) -> ServePart:
        """The application on the head."""
        config = DeployConfig(self.gcs_address, self.addresses.advertised, self.addresses.host, self.ports.http, application)
        return ServePart(
            config, self.home.run / "deploy.json", head,
            log=self._log("serve"), environment=self.control_environment(), before_deploy=before_deploy,
        )  # fmt: skip

    def provider(self, number: int, token: str, threads: int) -> ProviderPart:
        """Local machine `number` (from 1), with one CPU slot of so many threads."""
        folder = self.home.provider(number)
        folder.mkdir(mode=0o700, exist_ok=True)
        return ProviderPart(
            number, self.url, token, home=folder, threads=threads,
            log=self._log(f"provider-{number}"), environment=self.provider_environment(),
        )  # fmt: skip

    def _log(self, name: str) -> Path:
        return self.home.logs / f"{name}.log"
