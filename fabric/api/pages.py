"""Plain pages for people who follow a link of a mail, or come back from an identity provider. No script, nothing from elsewhere."""

from html import escape

from fastapi.responses import HTMLResponse

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # addresses of these pages hold tokens
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
}
STYLE = "font-family:sans-serif;margin:4em auto;max-width:36em"


def page(title: str, *paragraphs: str, form: str = "", status: int = 200) -> HTMLResponse:
    """A page of words; `form` is HTML, everything else is text."""
    words = "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
    content = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Fabric</title><body style="{STYLE}">'
        f"<h1>{escape(title)}</h1>{words}{form}</body></html>\n"
    )
    return HTMLResponse(content, status_code=status, headers=HEADERS)


def token_form(action: str, token: str, button: str, fields: str = "") -> str:
    """A form that shows a token again, so that following a link alone, as mail scanners do, uses nothing up."""
    return (
        f'<form method="post" action="{escape(action)}"><input type="hidden" name="token" value="{escape(token)}">'
        f"{fields}<button>{escape(button)}</button></form>"
    )
