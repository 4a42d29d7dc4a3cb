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

from fabric.core.addresses import networks
from fabric.core.settings import Settings
from fabric.gate.config import GateConfig, proxy_environment
from fabric.local.addresses import Addresses, host_and_port, is_loopback
from fabric.local.control_parts import ObjectServerPart, PostgresPart, RayHeadPart, ServePart
from fabric.local.deploy import DeployConfig
from fabric.local.front import OBJECTS_PATH, FrontConfig
from fabric.local.front_part import FrontPart, connections_max, threads
from fabric.local.gate_part import GatePart
from fabric.local.home import Home
from fabric.local.machine_part import ProviderPart
from fabric.local.ports import Ports
from fabric.local.processes import RUN_VARIABLE, scrubbed_environment
from fabric.local.ray_head import HeadConfig, head_environment
from fabric.local.serve_environment import install_haproxy, serve_environment
from fabric.local.tls import Tls

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
    tls: Tls | None = None
    """How the endpoint proves who it is; None: it speaks plain HTTP."""

    @classmethod
    def prepare(cls, home: Home, addresses: Addresses, ports: Ports, settings: Settings, tls: Tls | None = None) -> "Assembly":
        """Make the temp folder and the script that becomes HAProxy."""
        temp_dir = Path(tempfile.mkdtemp(prefix=TEMP_PREFIX, dir=TEMP_PARENT))
        install_haproxy(temp_dir / "h")
        sockets = None
        if len(os.fsencode(home.postgres)) > POSTGRES_PATH_BYTES_MAX:
            sockets = Path(tempfile.mkdtemp(prefix=TEMP_PREFIX, dir=TEMP_PARENT))
        return cls(home, addresses, ports, settings, temp_dir, sockets, secrets.token_hex(16), tls)

    @property
    def temp_dirs(self) -> list[Path]:
        """Everything of this run outside its home."""
        return [self.temp_dir, *([self.sockets] if self.sockets else [])]

    @property
    def url(self) -> str:
        """The endpoint's address."""
        name = self.tls.name if self.tls else self.addresses.advertised
        host = f"[{name}]" if ":" in name else name
        return f"{'https' if self.tls else 'http'}://{host}:{self.ports.http}"

    @property
    def local_url(self) -> str:
        """How processes of this machine reach the endpoint: on loopback, past the front."""
        return f"http://127.0.0.1:{self.ports.serve}"

    @property
    def objects_url(self) -> str:
        """Where signed URLs lead: through the front, unless nobody but this machine can come and bulk bytes may take the short way."""
        if self.tls or not self.addresses.is_loopback:
            return f"{self.url}{OBJECTS_PATH}"
        return f"http://127.0.0.1:{self.ports.objects}"

    @property
    def gcs_address(self) -> str:
        """Where control processes find the Ray cluster; without the gate, machines too."""
        return host_and_port(self.addresses.ray, self.ports.gcs)

    @property
    def gate_address(self) -> str | None:
        """Where machines elsewhere find the gate; None: there are none, or no gate."""
        if (host := self.addresses.gate_advertised) is None:
            return None
        return self.settings.ray.gate_address or host_and_port(host, self.ports.gate)

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
            **(proxy_environment(self.ports.outward) if self.gate_address else {}),
        }

    def provider_environment(self) -> dict[str, str]:
        """For a local machine on offer: nothing of the control plane."""
        trust = {"FABRIC_CA_FILE": ca_file} if (ca_file := self.ca_file) else {}
        return scrubbed_environment({RUN_VARIABLE: self.run_id, **trust, **self._loopback_variables()})

    @property
    def ca_file(self) -> str | None:
        """What somebody needs to trust the endpoint, beside the usual authorities; None: nothing."""
        is_unknown = self.tls is not None and self.tls.certificate.is_self_signed
        return str(self.tls.public_file) if self.tls and is_unknown else os.environ.get("FABRIC_CA_FILE")

    def _loopback_variables(self) -> dict[str, str]:
        # Ray's own switch for "this node is loopback only"; without it `ray.init("127.0.0.1:…")` asks the outer address.
        return {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} if is_loopback(self.addresses.ray) else {}

    def write_environment(self, *, app_url: str = "", control_node_id: str = "") -> None:
        """Write run/fabric.env: what the user set, the fabric's secrets, and what is known by now."""
        variables = {
            "FABRIC_AUTH_JWT_KEY": str(self.home.secret("jwt.key")),
            "FABRIC_STORAGE_SIGNING_KEY": str(self.home.secret("storage-signing.key")),
            "FABRIC_RAY_TOKEN": str(self.home.secret("ray.token")),
            "FABRIC_AUTH_TOTP_KEY": str(self.home.secret("totp.key")),
            "FABRIC_AUTH_PUBLIC_URL": self.url,
        }
        if self.settings.storage.url == "disk":
            variables["FABRIC_STORAGE_PUBLIC_URL"] = self.objects_url
        variables |= {
            name: value for name, value in os.environ.items() if name.startswith("FABRIC_") and name not in NOT_PASSED_ON
        }
        variables |= {
            "FABRIC_HOST": self.addresses.host,
            "FABRIC_PORT": str(self.ports.http),
            "FABRIC_RAY_ADDRESS": self.gcs_address,
            "FABRIC_RAY_GATE": "true" if self.addresses.is_gated else "false",
            "FABRIC_RAY_GATE_PORT": str(self.ports.gate),
        }
        variables.pop("FABRIC_RAY_GATE_ADDRESS", None)
        if self.gate_address:
            variables["FABRIC_RAY_GATE_ADDRESS"] = self.gate_address
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
        return ObjectServerPart("127.0.0.1", self.ports.objects, log=self._log("objects"), environment=self.plain_environment())

    def front(self) -> FrontPart:
        """What strangers speak with, before Serve and the object server."""
        config = FrontConfig(
            host=self.addresses.host, port=self.ports.http, serve_port=self.ports.serve,
            objects_port=self.ports.objects if self.settings.storage.url == "disk" else None,
            folder=self.temp_dir / "f", is_tls=self.tls is not None, is_strict=self.tls is not None and self.tls.is_strict,
            threads=threads(), connections_max=connections_max(),
            trusted_proxies=tuple(str(network) for network in networks(self.settings.trusted_proxies)),
        )  # fmt: skip
        environment = scrubbed_environment({RUN_VARIABLE: self.run_id})
        return FrontPart(config, self.tls, log=self._log("front"), environment=environment)

    def gate(self) -> GatePart | None:
        """What providers reach instead of Ray; None when they are trusted."""
        if not self.addresses.is_gated:
            return None
        ports = self.ports
        config = GateConfig(
            gcs_address=self.gcs_address, token_file=str(self.home.secrets / "ray.token"), folder=str(self.temp_dir / "g"),
            control_socket=str(self.home.run / "gate.sock"), port=ports.gate,
            host=self.addresses.gate_host, allow_plaintext=True,  # looked at before anything was started
            outward_port=ports.outward if self.gate_address else None, reserved_ports=tuple(ports.all()),
        )  # fmt: skip
        environment = scrubbed_environment({"FABRIC_HOME": str(self.home.path), RUN_VARIABLE: self.run_id})
        return GatePart(config, self.home.run / "gate.json", log=self._log("gate"), environment=environment)

    def ray_head(self) -> RayHeadPart:
        """The Ray head."""
        config = HeadConfig(str(self.temp_dir / "r"), self.addresses.ray, self.ports.gcs, str(self.home.run / "ray-node.json"))
        return RayHeadPart(
            config, self.home.run / "ray-head.json", log=self._log("ray-head"), environment=self.control_environment()
        )

    def serve(self, head: RayHeadPart, application: str, before_deploy: Callable[[], None]) -> ServePart:
        """The application on the head."""
        config = DeployConfig(self.gcs_address, self.addresses.ray, "127.0.0.1", self.ports.serve, application)
        return ServePart(
            config, self.home.run / "deploy.json", head,
            log=self._log("serve"), environment=self.control_environment(), before_deploy=before_deploy,
        )  # fmt: skip

    def provider(self, number: int, token: str, threads: int) -> ProviderPart:
        """Local machine `number` (from 1), with one CPU slot of so many threads."""
        folder = self.home.provider(number)
        folder.mkdir(mode=0o700, exist_ok=True)
        return ProviderPart(
            number, self.local_url, token, home=folder, threads=threads,
            log=self._log(f"provider-{number}"), environment=self.provider_environment(),
        )  # fmt: skip

    def _log(self, name: str) -> Path:
        return self.home.logs / f"{name}.log"
