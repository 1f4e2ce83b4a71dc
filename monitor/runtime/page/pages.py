"""Which page is asked for, and what it is made from: a copy of the board, taken under the lock that the loop waits for as long.

What draws a page is imported when the first one is asked for: a daemon at which nobody looks has no need of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Lock

from monitor.facts import AlertChanged, AlertSeen, WindowClosed
from monitor.html.markup import Inside, name, tag
from monitor.runtime.board import Board, SeriesTrack
from monitor.runtime.glance import Glances, ModelGlance
from monitor.runtime.metrics import DaemonStatus
from monitor.runtime.page.frame import frame, has_page, step
from monitor.runtime.telemetry import Telemetry
from monitor.stream.events import SeriesKey

Query = Mapping[str, list[str]]
Answer = tuple[HTTPStatus, bytes]
PATHS = ("/", "/model", "/feature", "/incident", "/report", "/versions")


class AbsentError(Exception):
    """What is asked for is not there; one line says so."""


@dataclass(frozen=True, slots=True)
class Pages:
    """All pages."""

    telemetry: Telemetry
    status: DaemonStatus
    glances: Glances = field(default_factory=Glances)
    _one_at_a_time: Lock = field(default_factory=Lock)  # who comes second finds the windows counted

    def answer(self, path: str, query: Query) -> Answer:
        """The page at a path."""
        answers: dict[str, Callable[[Query], bytes]] = {
            "/": self._first,
            "/model": self._model,
            "/feature": self._feature,
            "/incident": self._incident,
            "/report": self._report,
            "/versions": self._versions,
        }
        try:
            return HTTPStatus.OK, answers[path](query)
        except AbsentError as error:
            return HTTPStatus.NOT_FOUND, self.absent(str(error))

    def absent(self, why: str = "There is no such page.") -> bytes:
        """A page that says that there is none."""
        back: Inside = [tag("a", "See all models and open incidents", href="./"), "."]
        body = [tag("h1", "Nothing here"), tag("p", name(why)), tag("p", back)]
        return frame("Nothing here", "warn", self.status, body)

    def models(self) -> tuple[Board, list[ModelGlance]]:
        """This moment's board, and its models at a glance."""
        with self._one_at_a_time:
            board = self.telemetry.look(self.glances.copy)
            return board, self.glances.models(board, self.status)

    def _first(self, query: Query) -> bytes:
        from monitor.runtime.page.index import first_page

        del query
        board, models = self.models()
        return first_page(board, self.status, models)

    def _model(self, query: Query) -> bytes:
        from monitor.runtime.page.model import ROWS_SHOWN, model_page

        key = SeriesKey(asked(query, "name"), asked(query, "version"))
        board, model, track = self._series(key)
        recent = self.telemetry.look(lambda board: windows_of(board, key, ROWS_SHOWN))
        return model_page(board, self.status, model, track, recent)

    def _feature(self, query: Query) -> bytes:
        from monitor.runtime.page.feature import feature_page

        feature = asked(query, "name")
        board, model, track = self._series(SeriesKey(asked(query, "model"), asked(query, "version")))
        if not has_page(model.board, feature, track.features):
            raise AbsentError(f"{model.key} has no feature {feature}, or no window of it has closed yet.")
        return feature_page(board, self.status, model, track, feature)

    def _incident(self, query: Query) -> bytes:
        from monitor.runtime.page.incident import incident_page

        board = self.telemetry.look(Board.copy)
        alert = found(board, asked(query, "id"))
        return incident_page(board, self.status, alert, self._track(alert.key))

    def _versions(self, query: Query) -> bytes:
        from monitor.runtime.page.versions import versions_page

        model = asked(query, "model")
        try:
            return versions_page(self.telemetry.look(Board.copy), self.status, model)
        except KeyError as error:
            raise AbsentError(str(error.args[0])) from None

    def _report(self, query: Query) -> bytes:
        from monitor.html.report import report_body
        from monitor.runtime.reported import WEEK, reported

        model = asked(query, "model")
        try:
            report = self.telemetry.look(lambda board: reported(board, model, query.get("last", [WEEK])[-1]))
        except (KeyError, ValueError) as error:
            raise AbsentError(str(error.args[0])) from None
        return frame(f"Report of {model}", "none", self.status, report_body(report), step(name(model)))

    def _series(self, key: SeriesKey) -> tuple[Board, ModelGlance, SeriesTrack]:
        with self._one_at_a_time:
            board = self.telemetry.look(lambda board: self.glances.copy(board, key))
            model = self.glances.model(board, key, self.status)
        if model is None:
            raise AbsentError(f"driftd watches no model {key}.")
        return board, model, self._track(key)

    def _track(self, key: SeriesKey) -> SeriesTrack:
        return self.telemetry.look(lambda board: board.track(key))


def asked(query: Query, key: str) -> str:
    """One word of a query. Raises AbsentError."""
    try:
        return query[key][-1]
    except KeyError:
        raise AbsentError(f"The address says no {key}.") from None


def found(board: Board, told: str) -> AlertSeen | AlertChanged:
    """An incident, open or among the last that ended. Raises AbsentError."""
    every: Sequence[AlertSeen | AlertChanged] = [*board.alerts.values(), *reversed(board.resolved)]
    alert = next((each for each in every if told and each.incident == told), None)  # a pending one has no name yet
    if alert is None:
        raise AbsentError("That incident is not open, and not among the last hundred that ended.")
    return alert


def windows_of(board: Board, key: SeriesKey, most: int) -> list[WindowClosed]:
    """The last windows of a series, newest first."""
    windows = board.windows.get(key, ())
    return [*reversed(windows)][:most]
