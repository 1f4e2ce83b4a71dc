"""What both dashboards say the same way: states, the score-to-threshold ratio, the frame around the panels."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, DatasourceVariable
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType
from panels import GREEN, GREY, ORANGE, RED, YELLOW, mapping

TAG = "driftd"
DRIFT_STATES = mapping({-1: ("no verdict", GREY), 0: ("ok", GREEN), 1: ("warning", ORANGE), 2: ("drift", RED)})
ALERT_STATES = mapping({0: ("inactive", GREEN), 1: ("pending", YELLOW), 2: ("firing", RED), 3: ("recovering", ORANGE)})


def ratio(selector: str = "") -> str:
    """Score ÷ threshold, of all series or of those that `selector` names."""
    return f"driftd_drift_score{selector} / (driftd_drift_threshold{selector} > 0)"


def or_none(expr: str, label: str) -> str:
    """`expr`, or a zero called "none" where it has no series: an empty panel cannot be told from a broken one."""
    return f'{expr} or on () label_replace(vector(0), "{label}", "none", "", "")'


def percentile(share: float) -> str:
    """A percentile of the checkpoint's duration."""
    buckets = "sum by (le) (rate(driftd_checkpoint_duration_seconds_bucket[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets})"


def framed(title: str, uid: str, about: str) -> Dashboard:
    """A dashboard without panels: what it is for, its data source, its links."""
    page = Dashboard(title).uid(uid).description(about).tags([TAG]).readonly()
    page.time("now-6h", "now").refresh("30s").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    page.with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    others = DashboardLink("driftd dashboards").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return page.link(others.keep_time(keep_time=True).include_vars(include_vars=True))
