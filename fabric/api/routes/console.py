"""/console: the web console's built files, from memory, and the way there from `/`.

The files lie in `console_files/` beside the routes once `make setup` has built them from `console/`; names under `assets/` hold a hash
of their content and never change. Every other path is a page of the console's own and gets its index.
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from fabric.core.errors import NotFound

FILES = Path(__file__).parents[1] / "console_files"
INDEX = "index.html"
HASHED = "assets/"
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))  # the first that a browser takes
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; font-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
FONT = {".woff2": "font/woff2"}  # Python's own table lacks it
IMMUTABLE, FRESH = "public, max-age=31536000, immutable", "no-cache"
NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Fabric</title>
<body><h1>The console is not built yet</h1>
<p>Run <code>make setup</code> in the folder where this fabric was installed from, then start it again.</p>
<p>Everything else works: <a href="/docs">the API's documentation</a>, the Python client and the <code>fabric</code> command.</p></body></html>
"""

router = APIRouter(include_in_schema=False)
_read: dict[Path, tuple[int, Mapping[str, "Asset"]]] = {}


@dataclass(frozen=True, slots=True)
class Asset:
    """A built file, as it is and compressed."""

    media_type: str
    etag: str
    bodies: Mapping[str, bytes]
    """By content encoding; `identity` is always there."""


@router.api_route("/", methods=["GET", "HEAD"])
async def to_console() -> Response:
    """Whoever opens the endpoint in a browser wants the console."""
    return RedirectResponse("/console/")


@router.api_route("/console", methods=["GET", "HEAD"])
async def to_index() -> Response:
    """The console's addresses begin with `/console/`."""
    return RedirectResponse("/console/")


@router.api_route("/console/{path:path}", methods=["GET", "HEAD"])
async def show(request: Request, path: str) -> Response:
    """A built file, or the index for what is a page of the console.

    Raises:
        NotFound: no such file of a build.
    """
    return answer(assets(FILES), path, request.headers)


def assets(folder: Path) -> Mapping[str, Asset]:
    """The built files by their path; empty while nothing is built. Read once for each build."""
    try:
        built_at_ns = (folder / INDEX).stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    if folder not in _read or _read[folder][0] != built_at_ns:
        endings = {ending for _, ending in ENCODINGS}
        files = [file for file in folder.rglob("*") if file.is_file() and file.suffix not in endings]
        _read[folder] = built_at_ns, {file.relative_to(folder).as_posix(): _asset(file) for file in files}
    return _read[folder][1]


def answer(built: Mapping[str, Asset], path: str, headers: Mapping[str, str]) -> Response:
    """What a browser gets for this path.

    Raises:
        NotFound: no such file of a build.
    """
    if not built:
        return HTMLResponse(NOT_BUILT, 503, headers=SECURITY | {"Cache-Control": "no-store"})
    asset = built.get(path)
    if asset is None and path.startswith(HASHED):
        raise NotFound("There is no such file; the console may have been renewed. Load the page again.")
    asset = asset or built[INDEX]
    caching = {"ETag": asset.etag, "Cache-Control": IMMUTABLE if path.startswith(HASHED) else FRESH, "Vary": "Accept-Encoding"}
    if asset.etag in headers.get("if-none-match", ""):
        return Response(status_code=304, headers=caching | SECURITY)
    encoding = encoding_for(headers.get("accept-encoding", ""), asset.bodies)
    encoded = {} if encoding == "identity" else {"Content-Encoding": encoding}
    return Response(asset.bodies[encoding], media_type=asset.media_type, headers=caching | SECURITY | encoded)


def encoding_for(accepted: str, bodies: Mapping[str, bytes]) -> str:
    """The best encoding that there is and that the browser takes."""
    offers = [part.replace(" ", "").lower().partition(";") for part in accepted.split(",")]
    taken = {name for name, _, quality in offers if quality not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}}
    return next((encoding for encoding, _ in ENCODINGS if encoding in taken and encoding in bodies), "identity")


def _asset(file: Path) -> Asset:
    body = file.read_bytes()
    bodies = {"identity": body}
    for encoding, ending in ENCODINGS:
        compressed = file.with_name(file.name + ending)
        if compressed.is_file():
            bodies[encoding] = compressed.read_bytes()
    media_type = FONT.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if media_type.startswith("text/") or media_type.endswith("javascript"):
        media_type += "; charset=utf-8"
    return Asset(media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"', bodies)
