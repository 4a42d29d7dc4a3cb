"""FabricError to a problem response (RFC 9457); the only such mapping.

Every error answer is `application/problem+json` with `type, title, status, detail, code, request_id` and fields that help.
"""

import json
import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from fabric.core.errors import FabricError, Invalid, Malformed, NotFound, TooLarge

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1  # when whoever raised it knows no better
ERRORS_SHOWN_MAX = 50
_CODES = {400: Malformed.code, 404: NotFound.code, 405: "method_not_allowed", 413: TooLarge.code}


def problem(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    *,
    fields: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem document."""
    body = {
        "type": f"urn:fabric:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    content = json.dumps({**(fields or {}), **body}, default=str)
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_of(error: FabricError, request_id: str) -> Response:
    """The problem document of one of our errors."""
    fields = dict(error.fields)
    retry_after_s = fields.pop("retry_after_s", RETRY_AFTER_S if error.retryable else None)
    headers = {}
    if retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.code, error.detail, request_id, fields=fields, headers=headers)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem. Unexpected ones are caught by the middleware."""
    app.add_exception_handler(FabricError, _fabric_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)


async def _fabric_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FabricError)
    return problem_of(error, _request_id(request))


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"loc": list(e["loc"]), "msg": e["msg"]} for e in error.errors()[:ERRORS_SHOWN_MAX]]
    if any(e["type"] == "json_invalid" for e in error.errors()):
        return problem_of(Malformed("The body is not valid JSON.", errors=errors), _request_id(request))
    where = ".".join(str(part) for part in errors[0]["loc"])
    return problem_of(Invalid(f"{where}: {errors[0]['msg']}", errors=errors), _request_id(request))


async def _http_exception(request: Request, error: Exception) -> Response:
    # What the framework raises by itself: no such route, wrong method, a body that cannot be read.
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, HTTPStatus(error.status_code).name.lower())
    detail = {404: "There is no such route.", 405: f"{request.method} is not possible here."}.get(
        error.status_code, str(error.detail)
    )
    return problem(error.status_code, code, detail, _request_id(request), headers=dict(error.headers or {}))


def _request_id(request: Request) -> str:
    return str(request.scope["state"]["request_id"])
