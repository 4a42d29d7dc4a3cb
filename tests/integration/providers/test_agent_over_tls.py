"""The owner's agent through the real front, with a certificate of an authority that only a file knows."""

import pytest

from fabric.local.front import FrontConfig
from fabric.local.front_part import FrontPart
from fabric.local.home import Home
from fabric.local.processes import scrubbed_environment
from fabric.local.tls import TlsChoice, prepare_tls
from tests.fixtures.agents import ControlPlane, eventually
from tests.fixtures.ray_head import free_port

pytestmark = pytest.mark.ray


@pytest.fixture
def front_url(control_plane: ControlPlane, authority, tmp_path):
    """The control plane behind TLS."""
    home = Home(tmp_path / "home")
    home.prepare()
    issued = authority.issue("localhost")
    tls = prepare_tls(TlsChoice(issued.certificate, issued.key), home, host="127.0.0.1", advertised="127.0.0.1", name="localhost")
    config = FrontConfig(
        host="127.0.0.1", port=free_port(), serve_port=int(control_plane.url.rpartition(":")[2]), objects_port=None,
        folder=control_plane.folder / "front", is_tls=True, is_strict=True, threads=1, connections_max=100,
    )  # fmt: skip
    front = FrontPart(config, tls, log=tmp_path / "front.log", environment=scrubbed_environment({}))
    front.start()
    yield f"https://localhost:{config.port}"
    front.stop()


async def test_a_machine_joins_over_tls_when_it_knows_the_authority_and_not_before(
    control_plane: ControlPlane, front_url: str, authority
):
    token = await control_plane.token(uses=2)
    # Given an agent that does not know the authority: it tells nobody its token
    ignorant = control_plane.start_agent(token, home="ignorant", arguments=("--url", front_url))
    await eventually(lambda: "certificate verify failed" in ignorant.said().lower(), ignorant.said)
    assert await control_plane.machines() == []
    # When one knows it
    knowing = control_plane.start_agent(
        token, home="knowing", arguments=("--url", front_url, "--ca-file", str(authority.ca_file))
    )
    # Then it joins, and its Ray node accepts the same
    (machine,) = await control_plane.online()
    assert machine["name"] == "knowing"
    assert (knowing.home / "run" / "trusted.pem").read_text().endswith(authority.ca_file.read_text())


async def test_an_agent_refuses_to_tell_its_token_in_clear(control_plane: ControlPlane):
    refusing = control_plane.start_agent(await control_plane.token(), arguments=("--url", "http://192.0.2.7:8700"))
    assert await refusing.ended() == 2
    assert "--allow-plaintext" in refusing.said()
