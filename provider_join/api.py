"""Speaks HTTP with the fabric: enrol, open a session, heartbeat, drain.

Every failure becomes one of three: `Unreachable` (try again), `Refused` (this machine is not known, or no longer), or
`config.Stop` (trying again would not help).
"""

from typing import Any
from urllib.parse import urlsplit

import httpx

from provider_join.config import EXIT_VERSIONS, Credential, Home, Stop
from provider_join.install import is_loopback
from provider_join.trust import Trust, keep_for_node

TIMEOUT_S = 5.0


class Unreachable(Exception):
    """The fabric does not answer now."""


class Refused(Exception):
    """The fabric does not accept this token or credential."""


class ControlPlane:
    """The fabric's HTTP endpoint, as one machine sees it."""

    def __init__(self, url: str, trust: Trust = Trust()) -> None:
        """Speak with `url` (https://host:port); connects when used.

        Raises:
            Stop: credentials would go there in clear, or the CA file cannot be used.
        """
        trust.check(url)
        is_local = is_loopback(urlsplit(url).hostname or "")
        self.url, self._trust, self._context = url, trust, trust.verification()
        self._client = httpx.Client(
            base_url=f"{url}/api/v1/providers", timeout=TIMEOUT_S, trust_env=not is_local, verify=self._context
        )

    def check_way(self, address: str) -> None:
        """See that what Ray says on the way to `address` goes encrypted.

        Raises:
            Stop: it would not, and nobody said that it need not.
        """
        self._trust.check_way(address)

    def share_trust(self, home: Home) -> None:
        """Let the Ray node accept the certificates that this connection accepts; call once the fabric has answered."""
        keep_for_node(home, self._trust, self._context)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def enroll(self, token: str, application: dict[str, Any]) -> tuple[Credential, dict[str, Any]]:
        """Join for the first time; the machine's own credential, and its session.

        Raises:
            Unreachable: no answer.
            Refused: the token is no good.
            Stop: versions or report do not fit.
        """
        answer = self._post("/enroll", {**application, "token": token}, None)
        return Credential(answer["provider_id"], answer["credential"]), answer["session"]

    def session(self, me: Credential, application: dict[str, Any]) -> dict[str, Any]:
        """Come back; what to start the Ray node with.

        Raises:
            Unreachable: no answer.
            Refused: the machine was removed.
            Stop: versions or report do not fit.
        """
        return self._post(f"/{me.provider_id}/session", application, me)

    def heartbeat(self, me: Credential, report: dict[str, Any], *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """Report, and hear what to become.

        Raises:
            Unreachable: no answer.
            Refused: the machine was removed.
        """
        return self._post(f"/{me.provider_id}/heartbeat", report, me, timeout_s=timeout_s)

    def drain(self, me: Credential) -> dict[str, Any]:
        """Ask for no new work.

        Raises:
            Unreachable: no answer.
            Refused: the machine was removed.
        """
        return self._post(f"/{me.provider_id}/drain", {}, me)

    def look(self, me: Credential, part: str) -> dict[str, Any] | None:
        """What the fabric says of this machine (`reasons`, `earnings`); None when it does not answer that question.

        Raises:
            Unreachable: no answer.
            Refused: the machine was removed.
        """
        response = self._get(f"/{me.provider_id}/{part}", {"Authorization": f"Bearer {me.credential}"})
        if response.status_code in {404, 405}:
            return None
        if not response.is_success:
            raise _failure(response)
        return _json(response)

    def public(self, path: str) -> tuple[dict[str, Any], str | None]:
        """What the fabric tells everybody at a path, empty when it does not, and the time on its clock (an HTTP date).

        Raises:
            Unreachable: no answer.
        """
        response = self._get(f"{self.url}{path}", {})
        return (_json(response) if response.is_success else {}), response.headers.get("Date")

    def _get(self, path: str, headers: dict[str, str]) -> httpx.Response:
        try:
            return self._client.get(path, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.url} does not answer ({type(error).__name__}: {error})") from error

    def _post(self, path: str, body: dict[str, Any], me: Credential | None, *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {me.credential}"} if me else {}
        try:
            response = self._client.post(path, json=body, headers=headers, timeout=timeout_s)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.url} does not answer ({type(error).__name__}: {error})") from error
        if not response.is_success:
            raise _failure(response)
        answer = _json(response)
        if not answer:
            raise Unreachable(f"{self.url} answered something that is no fabric's answer")
        return answer


def _failure(response: httpx.Response) -> Exception:
    problem = _json(response)
    detail = str(problem.get("detail") or f"HTTP {response.status_code}")
    if response.status_code in {401, 403, 410}:
        return Refused(detail)
    if response.status_code == 409 and isinstance(problem.get("wanted"), dict):
        wanted = problem["wanted"]
        return Stop(
            f"{detail}\nThis fabric wants Python {wanted.get('python_version')} with: pip install "
            f'"onnx-fabric[provider]=={wanted.get("fabric_version")}" "ray=={wanted.get("ray_version")}"',
            EXIT_VERSIONS,
        )
    if response.status_code in {404, 408, 425, 429} or response.status_code >= 500:
        return Unreachable(detail)  # 404: a proxy in front whose fabric is not up yet
    return Stop(f"The fabric does not accept this machine: {detail}")


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
