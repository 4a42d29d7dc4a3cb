"""Plain pages for people who follow a link of a mail, or come back from an identity provider. No script, nothing from elsewhere."""

from html import escape

from fastapi.responses import HTMLResponse

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # addresses of these pages hold tokens
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
}
STYLE = (
    ":root{color-scheme:light dark;font:400 16px/1.55 system-ui,sans-serif;background:light-dark(#f7f5f0,#131412);"
    "color:light-dark(#1d201c,#eceae3)}body{margin:0;min-height:100dvh;display:grid;align-content:center;justify-items:center;padding:1rem}"
    "main{width:min(24rem,100%)}h1{font:500 1.6rem/1.2 Palatino,Georgia,serif}label{display:grid;gap:.3rem;font-weight:550}"
    "input,button{font:inherit;padding:.6rem .8rem;border-radius:8px;border:1px solid light-dark(#8c8f82,#6b7168);width:100%;"
    "box-sizing:border-box}input{background:light-dark(#fffefb,#1b1d1a);color:inherit}"
    "button{border:0;font-weight:600;cursor:pointer;background:light-dark(#0c6b5c,#6fd3bd);color:light-dark(#fff,#06231d)}"
    "a{color:light-dark(#0c6b5c,#6fd3bd)}"
)
"""The console's colours, for pages that have nothing but themselves."""


def page(title: str, *paragraphs: str, form: str = "", status: int = 200) -> HTMLResponse:
    """A page of words; `form` is HTML, everything else is text."""
    words = "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
    content = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)} · Fabric</title><style>{STYLE}</style><body><main><h1>{escape(title)}</h1>{words}{form}"
        '<p><a href="/console/">To the console</a></p></main></body></html>\n'
    )
    return HTMLResponse(content, status_code=status, headers=HEADERS)


def token_form(action: str, token: str, button: str, fields: str = "") -> str:
    """A form that shows a token again, so that following a link alone, as mail scanners do, uses nothing up."""
    return (
        f'<form method="post" action="{escape(action)}"><input type="hidden" name="token" value="{escape(token)}">'
        f"{fields}<button>{escape(button)}</button></form>"
    )
