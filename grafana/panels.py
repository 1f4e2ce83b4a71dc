"""The look of a panel: what is green, what is red, which unit; one function a kind of panel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    statushistory,
    table,
)
from grafana_foundation_sdk.builders import timeseries as series
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as schema
from grafana_foundation_sdk.models import prometheus as target
from grafana_foundation_sdk.models.units import NoUnit
from queries import scoped

SOURCE = schema.DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT = 8  # grid rows of 30 pixels
GREEN, YELLOW, ORANGE, RED, GREY, BLUE = "green", "yellow", "orange", "red", "#808080", "blue"

Step = tuple[float | None, str]
# Score ÷ threshold: at 1 the window breaches. Yellow from half of it, so that a slow climb is seen before it pages.
BREACH: tuple[Step, ...] = ((None, GREEN), (0.5, YELLOW), (0.8, ORANGE), (1.0, RED))


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression of a panel and the name of its series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One query of a table: its column's heading and how its cells look."""

    expr: str
    title: str
    unit: str = NoUnit
    thresholds: tuple[Step, ...] = ()
    mappings: Sequence[schema.ValueMap] = ()


def steps(*of: Step) -> dashboard.ThresholdsConfig:
    """Colours by value; the first step has no lower end."""
    return dashboard.ThresholdsConfig().mode(schema.ThresholdsMode.ABSOLUTE).steps(_steps(of))


def mapping(words: dict[int, tuple[str, str]]) -> list[schema.ValueMap]:
    """A word and a colour in place of each number."""
    spoken = enumerate(words.items())
    results = {str(n): schema.ValueMappingResult(text=t, color=c, index=i) for i, (n, (t, c)) in spoken}
    return [schema.ValueMap(options=results)]


def data_link(title: str, url: str) -> dashboard.DashboardLink:
    """A link of a cell or a series."""
    return dashboard.DashboardLink(title).url(url)


def timeseries(
    title: str,
    about: str,
    unit: str,
    *queries: Query,
    width: int = 8,
    minimum: float | None = 0,
    limit: float | None = None,
    dashed: str | None = None,
    stacked: bool = False,
    logarithmic: bool = False,
    repeat: str | None = None,
    link: dashboard.DashboardLink | None = None,
) -> Any:
    """Lines over time; `limit` is drawn as a red dashed line, series whose name matches `dashed` are drawn dashed."""
    panel = _common(series.Panel(), title, about, unit, queries, width=width)
    _many_lines(panel, stacked=stacked)
    if minimum is not None and not logarithmic:
        panel.min(minimum)
    if limit is not None:
        panel.thresholds(steps((None, "transparent"), (limit, RED)))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED))
    if logarithmic:
        panel.scale_distribution(common.ScaleDistributionConfig().type(options.ScaleDistribution.LOG).log(10))
    if dashed is not None:
        panel.override_by_regexp(dashed, [_property("custom.lineStyle", {"fill": "dash", "dash": [6, 6]})])
    if repeat is not None:
        panel.repeat(repeat).repeat_direction("h").max_per_row(3)
    return panel.data_links([link] if link else [])


def tiles(
    title: str,
    about: str,
    unit: str,
    *queries: Query,
    width: int = 4,
    height: int = 4,
    thresholds: tuple[Step, ...] = ((None, BLUE),),
    mappings: list[schema.ValueMap] | None = None,
    text: options.BigValueTextMode = options.BigValueTextMode.AUTO,
    link: dashboard.DashboardLink | None = None,
) -> Any:
    """The last value, large, coloured by threshold or by word."""
    panel = _common(stat.Panel(), title, about, unit, queries, width=width, instant=True)
    panel.height(height).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).no_value("no data")
    panel.graph_mode(options.BigValueGraphMode.NONE).color_mode(options.BigValueColorMode.BACKGROUND)
    panel.text_mode(text).mappings(mappings or []).thresholds(steps(*thresholds))
    return panel.data_links([link] if link else [])


def timeline(
    title: str,
    about: str,
    mappings: list[schema.ValueMap],
    *queries: Query,
    width: int = 12,
    height: int = HEIGHT,
    link: dashboard.DashboardLink | None = None,
) -> Any:
    """States over time, a lane each."""
    panel = _common(statetimeline.Panel(), title, about, NoUnit, queries, width=width)
    panel.height(height).mappings(mappings).thresholds(steps((None, GREY)))
    panel.show_value(options.VisibilityMode.AUTO).row_height(0.8).fill_opacity(80).line_width(0)
    panel.legend(common.VizLegendOptions().show_legend(show_legend=False)).merge_values(merge_values=True)
    return panel.data_links([link] if link else [])


def history(title: str, about: str, unit: str, query: Query, *, thresholds: tuple[Step, ...] = BREACH) -> Any:
    """A heat map of named lanes: one coloured cell a lane and a step of time."""
    panel = _common(statushistory.Panel(), title, about, unit, (query,), width=24)
    # The panel refuses to draw when a lane has more cells than it has pixels for.
    panel.height(12).max_data_points(120).thresholds(steps(*thresholds)).decimals(2)
    panel.color_scheme(dashboard.FieldColor().mode(schema.FieldColorModeId.THRESHOLDS))
    panel.show_value(options.VisibilityMode.NEVER).row_height(0.9).fill_opacity(85).line_width(0)
    return panel.legend(common.VizLegendOptions().show_legend(show_legend=False))


def table_of(
    title: str,
    about: str,
    *columns: Column,
    width: int = 24,
    hide: tuple[str, ...] = (),
    sort: str | None = None,
    link: tuple[str, dashboard.DashboardLink] | None = None,
) -> Any:
    """Instant queries that share their labels, joined into rows: labels first, then one column a query.

    `hide` names labels that get no column; `link` is the label whose cells lead somewhere.
    """
    queries = [Query(column.expr) for column in columns]
    panel = _common(table.Panel(), title, about, NoUnit, queries, width=width, instant=True, rows=True)
    panel.with_transformation(schema.DataTransformerConfig("merge", options={}))
    panel.with_transformation(_headings(columns, hide)).filterable(filterable=True)
    for column in columns:
        panel.override_by_name(column.title, _cell(column))
    if sort is not None:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(desc=True)])
    if link is not None:
        label, address = link
        panel.override_by_name(label, [_property("links", [address.build()])])
    return panel


def bars(title: str, about: str, unit: str, label: str, *columns: Column, width: int = 12, most: float = 1) -> Any:
    """Instant queries that share one label, joined by it: a group of bars for each of its values, in order."""
    queries = [Query(column.expr) for column in columns]
    panel = _common(barchart.Panel(), title, about, unit, queries, width=width, instant=True, rows=True)
    panel.with_transformation(schema.DataTransformerConfig("merge", options={}))
    panel.with_transformation(_headings(columns, ()))
    in_order = {"fields": {}, "sort": [{"field": label}]}
    panel.with_transformation(schema.DataTransformerConfig("sortBy", options=in_order))
    panel.line_width(1).fill_opacity(80).gradient_mode(options.GraphGradientMode.NONE)
    return panel.x_field(label).min(0).max(most).no_value("no data").show_value(options.VisibilityMode.NEVER)


def _many_lines(panel: Any, *, stacked: bool) -> None:
    panel.tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    legend = common.VizLegendOptions().show_legend(show_legend=True).calcs(["lastNotNull"])
    panel.legend(legend.display_mode(options.LegendDisplayMode.LIST).placement(options.LegendPlacement.BOTTOM))
    panel.line_width(1).show_points(options.VisibilityMode.NEVER).span_nulls(span_nulls=False)
    panel.fill_opacity(25 if stacked else 0)
    panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL if stacked else options.StackingMode.NONE))


def _common(panel: Any, title: str, about: str, unit: str, queries: Any, **how: Any) -> Any:
    panel.title(title).description(about).unit(unit).datasource(SOURCE).span(how["width"]).height(HEIGHT)
    for index, query in enumerate(queries):
        panel.with_target(_target(query, _letter(index), how))
    return panel


def _target(query: Query, letter: str, how: dict[str, Any]) -> prometheus.Dataquery:
    asked = prometheus.Dataquery().expr(scoped(query.expr)).ref_id(letter).datasource(SOURCE)
    asked = asked.editor_mode(target.QueryEditorMode.CODE)
    asked = asked.format(target.PromQueryFormat.TABLE if how.get("rows") else target.PromQueryFormat.TIME_SERIES)
    asked = asked.instant() if how.get("instant") else asked.range()
    return asked.legend_format(query.legend) if query.legend else asked


def _steps(of: tuple[Step, ...]) -> list[schema.Threshold]:
    return [schema.Threshold(value=value, color=colour) for value, colour in of]


def _headings(columns: tuple[Column, ...], hide: tuple[str, ...]) -> schema.DataTransformerConfig:
    alone = len(columns) == 1
    names = {"Value" if alone else f"Value #{_letter(i)}": column.title for i, column in enumerate(columns)}
    excluded = dict.fromkeys(("Time", *hide), True)
    return schema.DataTransformerConfig("organize", options={"excludeByName": excluded, "renameByName": names})


def _cell(column: Column) -> list[schema.DynamicConfigValue]:
    coloured = options.TableColoredBackgroundCellOptions(mode=options.TableCellBackgroundDisplayMode.BASIC)
    properties = [_property("unit", column.unit)]
    if column.mappings:
        properties.append(_property("mappings", list(column.mappings)))
    if column.thresholds:
        properties.append(_property("thresholds", schema.ThresholdsConfig(steps=_steps(column.thresholds))))
    if column.mappings or column.thresholds:
        properties.append(_property("custom.cellOptions", coloured))
    return properties


def _property(name: str, value: object) -> schema.DynamicConfigValue:
    return schema.DynamicConfigValue(name, value)


def _letter(index: int) -> str:
    return chr(ord("A") + index)
