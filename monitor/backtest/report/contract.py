"""What broke a model's data contract: its rules by how many events broke them, and how the schema changed."""

from monitor.backtest.contract import span_words
from monitor.backtest.report.parts import ModelPart
from monitor.html.figures import NONE, count, moment, plural, share
from monitor.html.markup import Markup, name, table, tag


def contract(part: ModelPart) -> Markup | None:
    """Return the chapter's content; None where the model has no contract."""
    held = part.model.contract
    if held is None:
        return None
    out = f"; {count(held.excluded)} are left out of what drift is judged on" if held.excluded is not None else ""
    kept = "" if held.violations or held.schema else " All of them keep it."
    said = tag("p", f"Version {held.version} was held against {plural(held.rows, 'event')}{out}.{kept}")
    rows = [
        [name(each.field), each.rule, count(each.count), share(each.count / max(held.rows, 1)), ", ".join(each.samples)]
        for each in held.violations
    ]
    heads = ("Column", "Rule", "#Events", "#Share", "Such as")
    broken = table(f"Rules of the contract of {part.model.key} that events broke", heads, rows) if rows else ""
    spans = [
        [moment(each.at), span_words(each), NONE if each.ended_at is None else moment(each.ended_at)]
        for each in held.schema
    ]
    schema = (
        table(f"The schema of {part.model.key} (times in UTC)", ("Told", "Column", "As agreed again"), spans)
        if spans
        else ""
    )
    return Markup(said + broken + schema)
