"""What a configuration will take in memory, by the formula of docs/operate.md; its constants stand here alone."""

from collections.abc import Iterator, Sequence

from detectors import Reference
from detectors.features import CategoricalFeature
from detectors.reference.live_service import blank_service
from detectors.sketches.groups import PLACES
from detectors.sketches.served import BINS
from monitor.pipeline import usual_lead
from monitor.runtime.metrics import MOST_FORMS
from monitor.series.history import KEPT_WINDOWS
from monitor.series.learning import NEEDED
from monitor.series.series import SeriesSpec
from monitor.series.tracks import KEPT_POINTS
from monitor.settings.schema import TopicSettings
from monitor.sources.formats.registry import gives_halves
from monitor.stream.events import Nanos
from monitor.stream.windows import LOOSE, WindowSpec

BASE_BYTES = 96_000_000  # interpreter, libraries and Kafka client: a daemon that has nothing to do
MODEL_BYTES = 50_000
WINDOW_BYTES = 300  # one closed window of the history
POINT_BYTES = 180  # one point of the tracks, and 2 a feature
POINTS = sum(KEPT_POINTS.values())
FEATURE_BYTES = 4_000  # ADWIN with its last 64 panes, columns of scores, names
CHARTS_BYTES = 4_000  # a feature of a calibrated reference, under a budget: allowances, sums, onsets, recovery tests, what is carried over
LEARNING_BYTES = 16  # a feature and window that a cold reference learns from, and a cell of what it adds up
LEARNT_WINDOW_BYTES = 200  # each of these windows
HOUR_BYTES = 12  # an hour of a feature with a profile: its lack of fit, beside HOUR_CELL_BYTES a merged cell
HOUR_CELL_BYTES = 4
REFERENCE_BYTES = 37  # a cell: edges, counts and means, the tables by which values are counted and judged
CATEGORY_BYTES = 180  # a cell that is a category, beside that: its text, and where the decoder finds it
COUNTING_BYTES = 4  # a cell of a pane that is counted into, as its rows need: 1 to 255, 2 to 65 535, 4 beyond; 8 without the compiled parts
KEPT_BYTES = 2  # a cell of any other pane, and of the sum that sliding windows keep, as long as none holds more than 65 535 events; 1 to 255, 4 beyond
COUNTING_GROUPS = 8 * PLACES  # of a pane that is counted into, and of the sum, where events say what they belong to
KEPT_GROUPS = 2 * PLACES  # of any other pane: no group has more than 32 767 rows of it; half to 127, more beyond
COUNTING_SERVED = 8 * BINS  # of a pane that is counted into, and of the sum, where events say how requests were served
KEPT_SERVED = 2 * BINS  # of any other pane
TEXT_BYTES = 110  # a time series of /metrics; as much again while it is scraped
LABELS_BYTES = 80  # of each of the first lines, whose labels are kept
COUNTING_LABELS = 40_000_000  # scipy, and the library that measures a model by its labels
READING_BYTES = (
    60_000_000  # while catching up: the client's queue unpacked, one poll decoded, and what two threads read ahead
)


def reference_bytes(cells: int, categories: int = 0) -> int:
    """One reference with its tables; models that name the same file share it."""
    return cells * REFERENCE_BYTES + categories * CATEGORY_BYTES


def series_bytes(features: int, windows: int = KEPT_WINDOWS) -> int:
    """One series with a history of so many windows, reference and panes apart."""
    points = POINTS * (POINT_BYTES + 2 * features)
    return MODEL_BYTES + windows * WINDOW_BYTES + points + features * FEATURE_BYTES


def pane_bytes(
    cells: int, panes: int, *, sliding: bool, kept: int = KEPT_BYTES, grouped: bool = False, served: bool = False
) -> int:
    """The open panes of one series: the last are counted into, the others kept small; and the sum of sliding windows.

    `grouped`: events say what they belong to; `served`: how requests were served.
    """
    counting, small = min(panes, LOOSE), panes - min(panes, LOOSE)
    groups = grouped * ((counting + sliding) * COUNTING_GROUPS + small * KEPT_GROUPS)
    requests = served * ((counting + sliding) * COUNTING_SERVED + small * KEPT_SERVED)
    return cells * (counting * COUNTING_BYTES + (small + sliding) * kept) + groups + requests


def open_panes(windows: WindowSpec) -> int:
    """Panes of a window, of the lateness after it, and the one that events come into."""
    return windows.length // windows.slide + -(-windows.lateness // windows.slide) + 1


def references(specs: Sequence[SeriesSpec]) -> int:
    """Bytes of all references, each once."""
    distinct = {id(spec.reference): spec.reference for spec in specs}.values()
    layouts = [reference.layout for reference in distinct]
    counts = sum(reference_bytes(layout.size, sum(_categories(layout.categorical))) for layout in layouts)
    return counts + sum(profile_bytes(reference) + labels_bytes(reference) for reference in distinct)


def labels_bytes(reference: Reference) -> int:
    """The labelled windows of a reference, which are read one by one."""
    return 0 if reference.performance is None else len(reference.performance.kept)


def profile_bytes(reference: Reference) -> int:
    """The hours of a calibration."""
    hours = () if reference.calibration is None else reference.calibration.hours
    return sum(
        HOUR_CELL_BYTES * profile.counts.size + HOUR_BYTES * profile.season * profile.missed.size for profile in hours
    )


def charts(specs: Sequence[SeriesSpec]) -> int:
    """Bytes of the budget's charts, and of what they are learnt from where a reference is cold."""
    charted = [
        spec.reference for spec in specs if spec.judging.plan is not None and spec.reference.calibration is not None
    ]
    learnt = sum(learning(spec) for spec in specs if spec.judging.learns)
    learnt += sum(learning_service(spec) for spec in specs if spec.judging.learns_service)
    return sum(len(reference.names) for reference in charted) * CHARTS_BYTES + learnt


def learning(spec: SeriesSpec) -> int:
    """Bytes of what one cold reference learns from, when it has nearly learnt enough."""
    windows = max(spec.judging.learn_for // spec.windows.length, NEEDED)
    each = len(spec.reference.names) * LEARNING_BYTES + LEARNT_WINDOW_BYTES
    return windows * each + spec.reference.layout.size * LEARNING_BYTES


def learning_service(spec: SeriesSpec) -> int:
    """The same of how requests are served."""
    windows = max(spec.judging.learn_for // spec.windows.length, NEEDED)
    each = len(spec.judging.served) * LEARNING_BYTES + LEARNT_WINDOW_BYTES
    return windows * each + blank_service(spec.judging.served).profile.layout.size * LEARNING_BYTES


def _categories(features: Sequence[CategoricalFeature]) -> Iterator[int]:
    return (len(feature.categories) for feature in features)


def grouped(topics: Sequence[TopicSettings]) -> bool:
    """Whether events of some topic say what they belong to: panes then hold groups, whatever a reference knows of them."""
    return any(topic.fields.group is not None for topic in topics)


def served(topics: Sequence[TopicSettings]) -> bool:
    """Whether events of some topic say how requests were served: panes then hold what they took."""
    return any(topic.fields.latency is not None or topic.fields.error is not None for topic in topics)


def panes(specs: Sequence[SeriesSpec], *, grouped: bool = False, served: bool = False) -> int:
    """Bytes of all panes that are usually open."""
    return sum(
        pane_bytes(
            spec.reference.layout.size,
            open_panes(spec.windows),
            sliding=spec.windows.slide < spec.windows.length,
            grouped=grouped,
            served=served,
        )
        for spec in specs
    )


def last_windows(specs: Sequence[SeriesSpec]) -> int:
    """Bytes of the counts of each series' last window, which are shown beside the reference."""
    return sum(spec.reference.layout.size for spec in specs) * KEPT_BYTES


def panes_ahead(
    specs: Sequence[SeriesSpec],
    idle_after: Nanos,
    max_future: Nanos,
    *,
    grouped: bool = False,
    served: bool = False,
) -> int:
    """Bytes of the panes that partitions may fill, at most, while another holds event time back."""
    lead = max_future + usual_lead([spec.windows for spec in specs], idle_after)
    groups = grouped * KEPT_GROUPS + served * KEPT_SERVED
    return sum((spec.reference.layout.size * KEPT_BYTES + groups) * -(-lead // spec.windows.slide) for spec in specs)


def joins(specs: Sequence[SeriesSpec]) -> int:
    """Bytes of the predictions and labels that wait for each other, at most, and of what counts them."""
    bounds = [spec.performance.join.memory for spec in specs if spec.performance is not None]
    return 2 * sum(bounds) + (COUNTING_LABELS if bounds else 0)


def halves(specs: Sequence[SeriesSpec], topics: Sequence[TopicSettings]) -> int:
    """Bytes of the requests and responses that wait for each other, at most, where topics bring such."""
    come_apart = any(topic.half is not None or gives_halves(topic.format, topic.options) for topic in topics)
    return sum(spec.halves_spec.memory for spec in specs) * 5 // 2 if come_apart else 0


def steady(specs: Sequence[SeriesSpec], time_series: int, *, grouped: bool = False, served: bool = False) -> int:
    """Bytes of a daemon that keeps up, its history full, while it is scraped."""
    series = sum(series_bytes(len(spec.reference.names)) for spec in specs)
    return (
        BASE_BYTES
        + series
        + references(specs)
        + charts(specs)
        + panes(specs, grouped=grouped, served=served)
        + last_windows(specs)
        + joins(specs)
        + 2 * TEXT_BYTES * time_series
        + LABELS_BYTES * min(time_series, MOST_FORMS)
    )
