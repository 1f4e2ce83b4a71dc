"""A whole page in one file: it loads nothing, needs no network, and runs no script but its own."""

import base64
import hashlib
from pathlib import Path

from monitor.html.markup import Inside, Markup, tag

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


def page(title: str, body: Inside, *, style: str = "", script: str = "") -> str:
    """Return a page as HTML; `style` comes after that of every page. The same arguments give the same bytes."""
    run = tag("script", Markup(script)) if script else None
    html = tag("html", metadata(title, STYLE + style, script), tag("body", body, run), lang="en")
    return f"<!doctype html>\n{html}\n"


def metadata(title: str, style: str, script: str) -> Markup:
    """Return the page's head. Its policy refuses whatever is not in it, so that a name from outside can never run."""
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),
    )


def policy(script: str) -> str:
    """Return the content security policy: styles of its own, and the one script that is known by its digest."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'"
