"""What features look like beside the reference: each that alarmed, and those that were asked for."""

from collections.abc import Sequence

from detectors.distribution import svg
from monitor.backtest.report.parts import ModelPart
from monitor.backtest.result import Picture
from monitor.html.figures import moment
from monitor.html.markup import Markup, name, tag

UNFOLDED = 12  # pictures; the rest is folded away


def pictures(part: ModelPart) -> Markup:
    """Return the pictures of a model, those that alarmed first."""
    shown = part.model.pictures
    if not shown:
        return tag("p", "No feature alarmed. ", tag("code", "--show FEATURE"), " draws one over the whole recording.")
    first, rest = shown[:UNFOLDED], shown[UNFOLDED:]
    folded = tag("details", tag("summary", f"{len(rest)} more"), grid(rest)) if rest else None
    words = tag(
        "p",
        "Grey: the reference. Line or lower bar: the values from when the feature began to warn until the moment named; of one that "
        "was asked for, the whole recording. Heights are shares for a bin of usual width. ",
        tag("code", "--show FEATURE"),
        " draws others.",
        class_="quiet",
    )
    return Markup(words + grid(first) + (folded or ""))


def grid(shown: Sequence[Picture]) -> Markup:
    """Return pictures beside each other."""
    return tag("div", map(picture, shown), class_="pictures")


def picture(each: Picture) -> Markup:
    """Return one feature with when it looked like this."""
    why = [f"{each.rule} on "] if each.rule else ["the recording until "]
    caption = tag("figcaption", tag("b", name(each.shown.feature)), tag("span", *why, moment(each.at), class_="quiet"))
    return tag("figure", caption, Markup(svg(each.shown)))
