"""/join: what a new machine needs, as a page, as scripts, and as the files that they install. Its domain package is providers."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

import provider_join
from fabric.api.dependencies import AnonymousDep, WheelDep
from fabric.core.errors import Malformed, NotFound, Unavailable
from fabric.providers import distribution, enroll

router = APIRouter(prefix="/join", tags=["join"])
PAGES = Path(__file__).parents[1] / "pages"
INSTALLER = Path(provider_join.__file__).with_name("install.py")
HOST = re.compile(r"[A-Za-z0-9.\-]{1,253}(:\d{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:\d{1,5})?")
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
FRESH = {"Cache-Control": "no-cache", "Vary": "Accept, User-Agent, Host"}


async def get_served(wheel: WheelDep) -> distribution.Wheel:
    """The wheel of this fabric.

    Raises:
        Unavailable: it runs from files that were not installed.
    """
    if wheel is None:
        raise Unavailable("This fabric runs from files that were not installed, so it cannot hand itself on.")
    return wheel


Served = Annotated[distribution.Wheel, Depends(get_served)]


@router.get("", response_class=HTMLResponse)
async def join_page(request: Request, wheel: Served, _: AnonymousDep) -> Response:
    """How to lend a machine: a page for a browser, the script itself for `curl … | sh` and for PowerShell's `irm`."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_filled(request, "join.html", wheel, escape), headers={**FRESH, **SECURITY})
    name = "join.ps1" if "powershell" in request.headers.get("user-agent", "").lower() else "join.sh"
    return PlainTextResponse(_filled(request, name, wheel), headers=FRESH)


@router.get("/install.py", response_class=PlainTextResponse)
async def install_program(_: AnonymousDep) -> PlainTextResponse:
    """The program that installs the agent: Python and nothing else."""
    return PlainTextResponse(INSTALLER.read_text(), headers=FRESH)


@router.get("/versions.json")
async def versions(wheel: Served, _: AnonymousDep) -> JSONResponse:
    """What a machine must have to join, and the digests of the files here that give it."""
    pins = await asyncio.to_thread(distribution.constraints)
    wanted = enroll.wanted_versions()
    facts = {
        "fabric_version": wanted["fabric_version"], "ray_version": wanted["ray_version"],
        "python_version": distribution.python_version(), "wheel": wheel.name, "wheel_sha256": wheel.sha256,
        "constraints_sha256": hashlib.sha256(pins.encode()).hexdigest(),
    }  # fmt: skip
    return JSONResponse(facts, headers=FRESH)


@router.get("/constraints.txt", response_class=PlainTextResponse)
async def constraints(_: AnonymousDep) -> PlainTextResponse:
    """The exact versions that this fabric runs with, for `pip install -c`."""
    return PlainTextResponse(await asyncio.to_thread(distribution.constraints), headers=FRESH)


@router.get("/{name}")
async def wheel_file(name: str, wheel: Served, _: AnonymousDep) -> Response:
    """The wheel of this very fabric."""
    if name != wheel.name:
        raise NotFound(f"There is no {name[:100]} here; the wheel of this fabric is {wheel.name}.")
    return Response(wheel.content, media_type="application/octet-stream", headers=FRESH)


def _filled(request: Request, name: str, wheel: distribution.Wheel, quote: Callable[[str], str] = str) -> str:
    words = {
        "@URL@": public_url(request), "@PYTHON@": distribution.python_version(), "@WHEEL@": wheel.name,
        "@VERSION@": enroll.wanted_versions()["fabric_version"], "@SHA256@": wheel.sha256,
    }  # fmt: skip
    text = (PAGES / name).read_text()
    for word, meaning in words.items():
        text = text.replace(word, quote(meaning))
    return text


def public_url(request: Request) -> str:
    """The address at which the caller reached this fabric: what it says, since nobody but the caller gets the answer.

    Raises:
        Malformed: the Host header is none.
    """
    host = request.headers.get("host", "")
    if not HOST.fullmatch(host):
        raise Malformed("The Host header is missing or no host.")
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    return f"{'https' if scheme == 'https' else 'http'}://{host}"
