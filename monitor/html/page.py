"""A whole page in one file: it loads nothing, needs no network, and runs no script but its own."""

import base64
import hashlib
from pathlib import Path

from monitor.html.markup import Inside, Markup, tag

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


def page(title: str, body: Inside, *, style: str = "", script: str = "") -> str:
    """Return a page as HTML; `style` comes after that of every page. The same arguments give the same bytes."""
    run = tag("script", Markup(script)) if script else None
    refusing = tag("meta", http_equiv="Content-Security-Policy", content=policy(script))
    return html(metadata(title, STYLE + style, refusing), tag("body", body, run))


def html(head: Markup, body: Markup) -> str:
    """Return a whole document."""
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def metadata(title: str, style: str, more: Inside) -> Markup:
    """Return the page's head; `more` is what this page has to say of itself, such as its policy."""
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        more,
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),
    )


def policy(script: str) -> str:
    """Return the content security policy, which refuses whatever is not in the page, so that a name from outside can never run.

    It allows styles of its own, and the one script that is known by its digest.
    """
    allowed = digest(script) if script else "'none'"
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'"


def digest(text: str) -> str:
    """Return how a policy names a style or script by what it holds."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
