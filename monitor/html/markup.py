"""HTML as values: text that is not markup is escaped, so that a name can never become a tag."""

from collections.abc import Iterable
from html import escape

VOID = frozenset({"br", "input", "link", "meta"})  # elements that have no end tag


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Inside = str | Iterable["Inside"] | None
Attribute = str | float | bool | None


def tag(name: str, /, *inside: Inside, **attributes: Attribute) -> Markup:
    """Return an element: `class_` is class, `aria_label` is aria-label; None and False are left out.

    >>> tag("p", "a < b", tag("b", "c"), class_="quiet", hidden=False)
    '<p class="quiet">a &lt; b<b>c</b></p>'
    """
    opening = f"<{name}{''.join(_attribute(*pair) for pair in attributes.items())}>"
    return Markup(opening if name in VOID else f"{opening}{joined(inside)}</{name}>")


def joined(inside: Inside) -> Markup:
    """Return everything in its order as one piece of HTML."""
    if inside is None:
        return Markup()
    if isinstance(inside, Markup):
        return inside
    if isinstance(inside, str):
        return Markup(escape(inside))
    return Markup("".join(joined(part) for part in inside))


def name(outside: str) -> Markup:
    """Return a name from outside: what writes from right to left in it turns nothing round that stands beside it."""
    return tag("bdi", outside)


def text(words: str) -> Markup:
    """Return words in a cell, which may take more than a line."""
    return tag("div", words, class_="text")


def facts(known: Iterable[tuple[str, Inside]]) -> Markup:
    """Return names with what they stand for."""
    return tag("dl", [tag("div", tag("dt", term), tag("dd", value)) for term, value in known], class_="facts")


def table(caption: str, heads: Iterable[str], rows: Iterable[Iterable[Inside]], **attributes: Attribute) -> Markup:
    """Return a table that scrolls by itself where it is too wide. A head that begins with # is of numbers; each row's first cell is its head."""
    heads = list(heads)
    numeric = [head.startswith("#") for head in heads]
    top = [
        tag("th", tag("div", head.lstrip("#")), scope="col", class_="n" if n else None)
        for head, n in zip(heads, numeric, strict=True)
    ]
    body = [tag("tr", map(_cell, row, numeric, range(len(heads)))) for row in rows]
    inside = [tag("caption", caption), tag("thead", tag("tr", top)), tag("tbody", body)]
    return tag(
        "div", tag("table", inside, **attributes), class_="scroll", role="group", tabindex="0", aria_label=caption
    )


def _cell(inside: Inside, numeric: bool, column: int) -> Markup:  # noqa: FBT001  mapped over a row
    if column == 0:
        return tag("th", inside, scope="row")
    return tag("td", inside, class_="n" if numeric else None)


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    spelt = key.rstrip("_").replace("_", "-")
    return f" {spelt}" if value is True else f' {spelt}="{escape(str(value))}"'
