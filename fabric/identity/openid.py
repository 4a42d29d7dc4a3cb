"""One identity provider that speaks OpenID Connect: the authorisation code flow with PKCE, state and nonce.

The protocol's messages are Authlib's, the check of signed claims is joserfc's (which Authlib is built on), and both speak through
httpx. What the provider says about itself is read once an hour, its keys also when a token names one that is not known.
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.auth import encode_client_secret_basic, encode_client_secret_post
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fabric.core import clock
from fabric.core.errors import Invalid, Unauthenticated, Unavailable
from fabric.core.settings import IdentityProviderSettings

ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA", "Ed25519"]
SCOPE = "openid email"
DOCUMENT_BYTES_MAX = 256 * 1024
KNOWN_S = 3600.0
LEEWAY_S = 60
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a provider vouches for."""

    issuer: str
    subject: str
    email: str | None
    is_email_verified: bool


class OpenIdProvider:
    """One provider, and what it has said about itself."""

    def __init__(self, settings: IdentityProviderSettings, *, timeout_s: float = 10.0) -> None:
        """Nothing is asked yet.

        Raises:
            Invalid: the issuer is not https.
        """
        self.settings = settings
        self._issuer = settings.issuer.rstrip("/")
        check_url(self._issuer)
        self._http = httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, trust_env=False)
        self._lock = asyncio.Lock()
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._known_at_s = 0.0

    async def close(self) -> None:
        """Give connections back."""
        await self._http.aclose()

    async def authorization_url(self, redirect_uri: str, *, state: str, nonce: str, code_verifier: str) -> str:
        """Where the person's browser goes.

        Raises:
            Unavailable: the provider does not answer.
        """
        metadata = await self._known()
        return str(prepare_grant_uri(
            metadata["authorization_endpoint"], self.settings.client_id, "code", redirect_uri=redirect_uri, scope=SCOPE,
            state=state, nonce=nonce, code_challenge=create_s256_code_challenge(code_verifier), code_challenge_method="S256",
        ))  # fmt: skip

    async def vouched_for(self, code: str, redirect_uri: str, *, nonce: str, code_verifier: str) -> Vouched:
        """Exchange the code that the browser came back with for a signed statement of who that is.

        Raises:
            Unauthenticated: the provider refuses the code, or what it says cannot be believed.
            Unavailable: the provider does not answer.
        """
        metadata = await self._known()
        body = prepare_token_request("authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=code_verifier)
        uri, headers, body = self._authenticated(metadata, dict(FORM), body)
        answer = await self._ask("POST", uri, headers=headers, content=body)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Unauthenticated("The identity provider refused this log-in; begin anew.")
        claims = await self._claims(metadata, token, nonce)
        email = claims.get("email")
        return Vouched(
            self._issuer, claims["sub"], email if isinstance(email, str) else None,
            claims.get("email_verified") in {True, "true"} and isinstance(email, str),
        )  # fmt: skip

    def _authenticated(self, metadata: dict[str, Any], headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        encode = encode_client_secret_basic if "client_secret_basic" in methods else encode_client_secret_post
        client = _ClientOf(self.settings.client_id, self.settings.client_secret.get_secret_value())
        uri, headers, body = encode(client, "POST", metadata["token_endpoint"], headers, body)
        return uri, headers, body

    async def _claims(self, metadata: dict[str, Any], token: str, nonce: str) -> dict[str, Any]:
        rules = jwt.JWTClaimsRegistry(
            now=int(clock.now().timestamp()), leeway=LEEWAY_S,
            iss={"essential": True, "value": metadata["issuer"]}, aud={"essential": True, "value": self.settings.client_id},
            sub={"essential": True}, exp={"essential": True}, iat={"essential": True}, nonce={"essential": True, "value": nonce},
        )  # fmt: skip
        for is_last in (False, True):
            try:
                decoded = jwt.decode(token, await self._key_set(metadata, anew=is_last), algorithms=ALGORITHMS)
                rules.validate(decoded.claims)
                break
            except (JoseError, ValueError, TypeError) as error:
                if is_last:
                    raise Unauthenticated("What the identity provider said cannot be believed.") from error
        claims = dict(decoded.claims)
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self.settings.client_id:
            raise Unauthenticated("What the identity provider said is meant for somebody else.")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise Unauthenticated("What the identity provider said cannot be believed.")
        return claims

    async def _known(self) -> dict[str, Any]:
        async with self._lock:
            if not self._metadata or clock.monotonic_s() - self._known_at_s > KNOWN_S:
                metadata = await self._ask("GET", f"{self._issuer}/.well-known/openid-configuration")
                needed = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
                if not all(isinstance(metadata.get(name), str) for name in needed):
                    raise Unavailable(f"{self.settings.name} does not say how to log in.")
                if metadata["issuer"].rstrip("/") != self._issuer:  # OpenID Connect Discovery, section 4.3
                    raise Unavailable(f"{self.settings.name} calls itself by another name.")
                for name in needed[1:]:
                    check_url(metadata[name])
                self._metadata, self._keys, self._known_at_s = metadata, None, clock.monotonic_s()
            return self._metadata

    async def _key_set(self, metadata: dict[str, Any], *, anew: bool) -> KeySet:
        if self._keys is None or anew:
            document = await self._ask("GET", metadata["jwks_uri"])
            self._keys = KeySet.import_key_set(document)  # type: ignore[arg-type]
        return self._keys

    async def _ask(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, url, **options)
        except httpx.HTTPError as error:
            raise Unavailable(f"The identity provider {self.settings.name} cannot be reached.") from error
        if answer.status_code >= 500 or len(answer.content) > DOCUMENT_BYTES_MAX:
            raise Unavailable(f"The identity provider {self.settings.name} has trouble.")
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Unavailable(f"The identity provider {self.settings.name} cannot be understood.")
        return document


@dataclass(frozen=True, slots=True)
class _ClientOf:
    """What Authlib's encoders read."""

    client_id: str
    client_secret: str


def check_url(url: str) -> None:
    """Let pass https, and http on this machine.

    Raises:
        Invalid: it is anything else.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise Invalid(f"An identity provider is reached over https://, not {url!r}.")
