"""The report from its head to its foot."""

from collections.abc import Mapping
from pathlib import Path

from monitor.backtest import served
from monitor.backtest.output import headline, paged_words
from monitor.backtest.report import judgement
from monitor.backtest.report.alerts import alerts
from monitor.backtest.report.budgets import sweep
from monitor.backtest.report.contract import contract
from monitor.backtest.report.parts import ModelPart, title
from monitor.backtest.report.performance import performance
from monitor.backtest.report.pictures import pictures
from monitor.backtest.report.timeline import timeline, tracks, windows_words
from monitor.backtest.result import BacktestResult, Model
from monitor.facts import CalibrationLearnt
from monitor.html.evidence import CALIBRATIONS
from monitor.html.figures import NONE, count, moment, number, plural, share, spell
from monitor.html.markup import Inside, Markup, facts, joined, name, table, tag
from monitor.html.page import page
from monitor.stream.events import MILLISECOND

MOST_NAMED = 10  # features in a note


def document(result: BacktestResult) -> str:
    """Return the report as HTML; the same result gives the same bytes."""
    parts = [ModelPart.of(result, place) for place in range(len(result.models))]
    body = [
        tag("header", head(result, parts)),
        tag("main", overview(parts), [section(part) for part in parts], judgement.policies(result), inputs(result)),
        tag("footer", tag("p", f"driftd {result.version}; nothing was sent, no state was touched.", class_="quiet")),
    ]
    models = ", ".join(str(model.key) for model in result.models)
    return page(f"Backtest of {models}", body, style=sheet("style.css"), script=sheet("script.js"))


def sheet(name: str) -> str:
    """Return a file that stands beside this one."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def head(result: BacktestResult, parts: list[ModelPart]) -> list[Markup]:
    """Return what was run on what, and the outcome in a few words."""
    span = tag("p", moment(result.first), " to ", moment(result.last), f" UTC, {spell(result.last - result.first)}")
    hints = tag("ul", [tag("li", hint) for hint in result.hints], class_="hints") if result.hints else None
    lines = [tag("p", "driftd backtest", class_="quiet kicker"), tag("h1", outcome(result, parts)), span]
    lines += [
        tag("p", title(part.model), ": ", headline(part.model, [alert for _, alert in part.alerts])) for part in parts
    ]
    return [*lines, joined([others(result), tiles(result), hints, origin(result)])]


def outcome(result: BacktestResult, parts: list[ModelPart]) -> str:
    """Return the one line to remember."""
    budget = any(part.model.budget is not None for part in parts)
    said = [*paged_words(result.alerts, budget=budget), *([false_expected(parts)] if budget else [])]
    words = ", ".join(said)
    if not result.injected:
        return words
    found = sum(planted.found_at is not None for planted in result.injected)
    return f"{words}; {found} of {plural(len(result.injected), 'planted change')} found"


def false_expected(parts: list[ModelPart]) -> str:
    """Return how many of the pages may be false ones, where that is known."""
    figures = [part.model.expected_false_alarms for part in parts]
    known = [figure for figure in figures if figure is not None]
    if not known:
        return "how many false is not known"
    unknown = len(figures) - len(known)
    return f"{number(sum(known))} false expected" + (f", of {plural(unknown, 'model')} not known" if unknown else "")


def others(result: BacktestResult) -> Markup | None:
    """Return what explicit rules add."""
    if not result.explicit:
        return None
    explicit = {(rule.key, rule.rule) for rule in result.explicit}
    seen = sum((alert.key, alert.rule) in explicit for alert in result.alerts)
    expected = sum(rule.count or 0.0 for rule in result.explicit)
    return tag(
        "p", f"Alerts of explicit rules: {count(seen)}; without any change {number(expected)} are to be expected."
    )


def tiles(result: BacktestResult) -> Markup:
    """Return the figures at a glance."""
    events = result.events
    requested = plural(len(result.retrains), "request")
    shown: list[tuple[str, str, str]] = [
        ("Events", count(events.read), f"{count(events.ok)} counted"),
        ("Late", count(events.late), part_of(events.late, events.read)),
        ("Rejected", count(events.rejected), part_of(events.rejected, events.read)),
        ("Windows", count(result.windows), f"of {plural(len(result.models), 'model')}"),
        (
            "Alerts",
            count(len(result.alerts)),
            f"{sum(alert.resolved_at is None for alert in result.alerts)} open at the end",
        ),
        ("Retraining", requested, f"{len(result.suppressed)} suppressed"),
    ]
    return tag(
        "dl",
        [tag("div", tag("dt", a), tag("dd", b), tag("dd", c, class_="quiet")) for a, b, c in shown],
        class_="tiles",
    )


def part_of(some: int, every: int) -> str:
    """Return a share in words."""
    return f"{share(some / every)} of all" if every else NONE


def origin(result: BacktestResult) -> Markup:
    """Return where all this comes from, so that it can be had again."""
    origins: list[tuple[str, Inside]] = [
        ("Command", tag("code", result.command)),
        ("Configuration", [tag("code", result.config), f" ({result.config_hash[:12]})"]),
        ("Input", [[tag("code", path), " "] for path in result.inputs]),
        ("Version", result.version),
    ]
    return facts(origins)


def overview(parts: list[ModelPart]) -> Markup:
    """Return the models in one table."""
    heads = (
        "Model",
        "Calibration",
        "#Windows",
        "#Alerts",
        "#Pages",
        "#False pages expected",
        "Warnings seen / expected",
        "Planted found",
    )
    return table("Models", heads, map(overview_row, parts))


def overview_row(part: ModelPart) -> list[Inside]:
    """Return a model in one line."""
    model = part.model
    warnings = (
        NONE if model.warnings_seen is None else f"{count(model.warnings_seen)} / {number(model.warnings_expected)}"
    )
    found = sum(planted.found_at is not None for planted in part.injected)
    return [
        tag("a", title(model), href=f"#model-{part.at}"),
        calibration_badge(model),
        count(model.windows),
        str(len(part.alerts)),
        str(len(part.pages)),
        NONE if model.budget is None else judgement.expected(part),
        warnings,
        f"{found} of {len(part.injected)}" if part.injected else NONE,
    ]


def calibration_badge(model: Model) -> Markup:
    """Return the kind of calibration, a cold one not to be overlooked."""
    kind = "badge cold" if model.calibration == "cold" else "badge"
    return tag("span", CALIBRATIONS.get(model.calibration, model.calibration), class_=kind)


def section(part: ModelPart) -> Markup:
    """Return all there is to say of one model."""
    model, axis = part.model, part.axis
    heading = tag("h2", title(model), id=f"model-{part.at}-name")
    planted = chapter("Planted changes", judgement.planted(part)) if part.injected else None
    return tag(
        "section",
        [heading, about(model), reference_notes(part)],
        chapter("Timeline", timeline(part)),
        chapter("Alerts", alerts(part)),
        planted,
        chapter("Data contract", held) if (held := contract(part)) is not None else None,
        chapter("Performance", worth) if (worth := performance(part)) is not None else None,
        chapter("How near each feature came to a page", tracks(part)),
        chapter("Features beside their reference", pictures(part)),
        chapter("False alarms, expected and seen", judgement.false_alarms(part)),
        chapter("Self-check: warnings", judgement.self_check(part)),
        chapter("Other budgets", sweep(part)),
        chapter("Retraining", judgement.retraining(part)),
        id=f"model-{part.at}",
        class_="model",
        aria_labelledby=f"model-{part.at}-name",
        data_first=axis.first // MILLISECOND,
        data_last=axis.last // MILLISECOND,
    )


def chapter(heading: str, inside: Inside) -> Markup:
    """Return a part of a model's section."""
    return tag("div", tag("h3", heading), inside, class_="chapter")


def about(model: Model) -> Markup:
    """Return what the model was judged on."""
    late = f"{count(model.late)} late" if model.late else "none late"
    known: list[tuple[str, Inside]] = [
        ("Windows", windows_words(model)),
        ("Events", f"{count(model.events)}, {late}"),
        ("Features", count(model.features)),
        ("Reference", [tag("code", model.reference[:12]), f" of {plural(model.reference_rows, 'row')}"]),
        ("Calibration", [calibration_badge(model), " ", model.calibrated]),
        ("Budget", "off" if model.budget is None else f"{number(model.budget)} false a month"),
    ]
    if model.thresholds:
        known.append(("Thresholds", thresholds(model.thresholds)))
    return facts(known)


def thresholds(by_chart: Mapping[str, float]) -> str:
    """Return the charts' thresholds, charts with the same one together."""
    charts_of: dict[str, list[str]] = {}
    for chart, threshold in by_chart.items():
        charts_of.setdefault(number(threshold), []).append(chart)
    return "; ".join(f"{value} ({', '.join(charts)})" for value, charts in charts_of.items())


def reference_notes(part: ModelPart) -> list[Markup]:
    """Return what a reader must know of the reference."""
    notes = []
    if part.cold:
        notes.append(
            tag(
                "p",
                tag("b", "Cold reference. "),
                "It does not know how its own windows vary, so only large effects page and the budget is no promise. ",
                tag("code", "driftd reference fit --timestamp"),
                " lets it learn.",
                class_="caution",
            )
        )
    if learnt := part.model.learnt:
        notes.append(learnt_note(learnt))
    notes += [tag("p", f"{line[:1].upper()}{line[1:]}.", class_="quiet") for line in served.lines(part.model.served)]
    if moved := part.model.drifting:
        notes.append(
            tag(
                "p",
                tag("b", "The reference moves in itself: "),
                "; ".join(moved),
                ". It is no fair measure there.",
                class_="caution",
            )
        )
    return notes


def learnt_note(learnt: CalibrationLearnt) -> Markup:
    """Return when a cold reference had learnt from live traffic, and where that is not like its training set."""
    differs = "; ".join(each.words for each in learnt.differs[:MOST_NAMED])
    more = f" and {len(learnt.differs) - MOST_NAMED} more" if len(learnt.differs) > MOST_NAMED else ""
    apart = (
        f"Live traffic is not like the training set: {differs}{more}." if differs else "It is like the training set."
    )
    return tag(
        "p",
        tag("b", "Learnt from live traffic. "),
        "Until ",
        moment(learnt.at),
        f" large effects alone paged; since then charts decide, held against what was learnt. {apart}",
        class_="caution" if differs else "quiet",
    )


def inputs(result: BacktestResult) -> Markup:
    """Return what could not be counted, and why."""
    events = result.events
    outcomes = [("counted", events.ok), ("late", events.late), ("rejected", events.rejected)]
    outcomes += [("of no configured model", events.unmonitored), ("outside the time asked for", events.outside)]
    rows = [[word, count(number), part_of(number, events.read)] for word, number in outcomes]
    reasons = [*reason_rows("event", result.rejected), *reason_rows("field", result.fields_rejected)]
    reasons += reason_rows("label", result.labels_rejected)
    why = table("What was rejected, and why", ("Reason", "What", "#Count"), reasons) if reasons else None
    shown = table("Events by outcome", ("Outcome", "#Events", "#Share"), rows)
    return tag("section", tag("h2", "Events read", id="events"), shown, why, aria_labelledby="events")


def reason_rows(what: str, reasons: Mapping[str, int]) -> list[list[Inside]]:
    """Return reasons with their counts, the commonest first."""
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    return [[name(reason), what, count(number)] for reason, number in ordered]
