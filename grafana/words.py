"""What both dashboards say the same way: states, the score-to-threshold ratio, the frame around the panels."""

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    TextBoxVariable,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from panels import GREEN, GREY, ORANGE, RED, SOURCE, YELLOW, mapping
from queries import scoped

TAG = "driftd"
OURS = (
    "drift",
    "calibration",
    "contract",
    "schema",
    "performance",
    "lateness",
    "reachability",
    "frozen",
    "no_data",
    "latency",
    "errors",
)  # rules that nobody configured
DRIFT_STATES = mapping({-1: ("no verdict", GREY), 0: ("ok", GREEN), 1: ("warning", ORANGE), 2: ("drift", RED)})
INCIDENTS = mapping({0: ("none", GREEN), 1: ("open", ORANGE), 2: ("escalated", RED)})
ALERT_STATES = mapping({0: ("inactive", GREEN), 1: ("pending", YELLOW), 2: ("firing", RED), 3: ("recovering", ORANGE)})


def ratio(selector: str = "") -> str:
    """Score ÷ threshold, of all series or of those that `selector` names."""
    return f"driftd_drift_score{selector} / (driftd_drift_threshold{selector} > 0)"


def leading(expr: str, by: str = "feature", most: int = 15) -> str:
    """The series of `expr` that came furthest in the chosen time, at most so many: one choice for the whole graph."""
    return f"{expr} and on ({by}) topk({most}, max by ({by}) (max_over_time(({expr})[$__range:$__interval] @ end())))"


def or_none(expr: str, label: str) -> str:
    """`expr`, or a zero called "none" where it has no series: an empty panel cannot be told from a broken one."""
    return f'{expr} or on () label_replace(vector(0), "{label}", "none", "", "")'


def percentile(share: float) -> str:
    """A percentile of the checkpoint's duration."""
    buckets = "sum by (le) (rate(driftd_checkpoint_duration_seconds_bucket[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets})"


def variable(name: str, label: str, query: str) -> QueryVariable:
    """A variable whose values Prometheus knows."""
    asked = QueryVariable(name).label(label).query(query).datasource(SOURCE)
    return asked.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.NATURAL_ASC)


def with_all(asked: QueryVariable) -> QueryVariable:
    """The same with several values, and all of them from the start."""
    everything = VariableOption(selected=True, text="All", value="$__all")
    return asked.multi(multi=True).include_all(include_all=True).all_value(".*").current(everything)


def _marked(name: str, colour: str, expr: str) -> AnnotationQuery:
    asked = AnnotationQuery().name(name).datasource(SOURCE).enable(enable=True).icon_color(colour)
    return asked.expr(scoped(expr))


def incidents(series: str) -> AnnotationQuery:
    """While an incident of the budget or of the stream is open."""
    return _marked("Incidents", "red", f"max by (model, version, kind) (driftd_incident_open{series}) > 0")


def alerts(series: str) -> AnnotationQuery:
    """While a rule of one's own fires. driftd's own are marked as incidents; its doubt in a reference is no point in time."""
    own = f'{{rule!~"{"|".join(OURS)}"{series.replace("{", ", ") or "}"}'
    return _marked("Alert rules", "orange", f"max by (model, version, rule) (driftd_alert_state{own}) >= 2")


ANNOTATIONS = (incidents, alerts)


def framed(title: str, uid: str, about: str, series: str = "") -> Dashboard:
    """A dashboard without panels: what it is for, its data source, its links. `series` selects whose alerts are marked on its graphs."""
    page = Dashboard(title).uid(uid).description(about).tags([TAG]).readonly()
    page.time("now-6h", "now").refresh("30s").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    page.with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for name, label in (("job", "Job"), ("instance", "Instance")):
        of = "" if name == "job" else '{job=~"$job"}'  # of the jobs that are chosen
        page.with_variable(with_all(variable(name, label, f"label_values(driftd_build_info{of}, {name})")))
    page.with_variable(TextBoxVariable("page").label("Status page").default_value("http://127.0.0.1:9464"))
    for annotation in ANNOTATIONS:
        page.annotation(annotation(series))
    words = DashboardLink("Words and onset: the status page").type(DashboardLinkType.LINK).url("${page}/")
    page.link(words.target_blank(target_blank=True))
    others = DashboardLink("driftd dashboards").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return page.link(others.keep_time(keep_time=True).include_vars(include_vars=True))
