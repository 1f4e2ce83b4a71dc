"""The rows that are held against a contract: of plain tables, or of events by a configuration's mapping."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detectors.columns import BOOLEANS, Column
from detectors.contract import Check, ColumnRules, ColumnType, Contract
from detectors.encoding import PREDICTION
from monitor.app import HALVES_LEFT_OUT, fields_of, refuse_half, refuse_unknown_model
from monitor.backtest.recorded import RecordedError
from monitor.commands.dialect import dialect_of
from monitor.commands.events import model_of
from monitor.commands.records import files_of, holds_lines, topic_of
from monitor.settings import ConfigError, load_settings
from monitor.sources.decode.finding import NO_COLUMNS, NOTHING, FeatureFinder
from monitor.sources.decode.raw import RawDecoder
from monitor.sources.formats.fields import FeatureSlot, FeatureSlots, FieldMap
from monitor.sources.formats.fields import Path as Place
from monitor.sources.formats.logged import LogDecoder
from monitor.sources.tables.base import Dialect, TableError, Texts, explained
from monitor.sources.tables.files import table_of
from monitor.sources.tables.lines import LinesTable
from monitor.sources.tables.shape import Shape
from monitor.stream.events import SeriesKey

ID, TIME = "__id__", "__time__"  # of an event, beside its features and `__prediction__`


@dataclass(frozen=True, slots=True)
class RowsChoice:
    """What the command line asked for."""

    inputs: list[Path]
    config: Path | None = None
    model: str | None = None
    version: str | None = None
    topic: str | None = None
    prediction: str | None = None
    delimiter: str = ","
    decimal: str = "."


@dataclass(slots=True)
class Rejections:
    """Events that cannot be read, by reason, and what else there is to know."""

    reasons: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)


# --- tables -------------------------------------------------------------------------------------------------------------


def check_tables(check: Check, contract: Contract, choice: RowsChoice) -> Rejections:
    """Hold the columns of files against a contract, by their names. Raises ConfigError."""
    for option, value in (("--model", choice.model), ("--version", choice.version), ("--topic", choice.topic)):
        if value is not None:
            raise ConfigError(f"{option} needs --config: the configuration says how events are read")
    for name in (ID, TIME):
        if name in contract.columns:
            raise ConfigError(f"columns.{name} needs --config: the configuration says where events have it")
    if choice.prediction is not None and PREDICTION not in contract.columns:
        raise ConfigError(f"--prediction {choice.prediction}: the contract has no column {PREDICTION}")
    dialect, found = dialect_of(choice.delimiter, choice.decimal), Rejections()
    names = {name: choice.prediction or name if name == PREDICTION else name for name in contract.columns}
    try:
        for path in choice.inputs:
            if not check_table(check, contract, path, names, dialect):
                found.remarks.append(
                    f"{path}: has none of the contract's columns; --config reads events as the daemon does"
                )
    except TableError as error:
        raise ConfigError(str(error)) from None
    return found


def check_table(check: Check, contract: Contract, path: Path, names: Mapping[str, str], dialect: Dialect) -> bool:
    """Hold one file against a contract; `names` are those of the file by the contract's. Says whether it has any. Raises TableError."""
    rows = 0
    with explained(path):
        table = table_of(path, dialect)
        there = dict.fromkeys([] if isinstance(table, LinesTable) else table.names)
        if there:
            Shape().add(path, table.names, path)  # which refuses two columns of one name
        wanted = [name for name in names.values() if name in there] or list(there)[:1]
        for chunk, _ in table.read(wanted, texts_of(contract, names, dialect)):
            size = next((len(column) for column in chunk.values()), 0)
            columns: dict[str, Column] = {ours: chunk[theirs] for ours, theirs in names.items() if theirs in chunk}
            check.add(str(path), columns, np.arange(rows + 1, rows + size + 1))
            there |= dict.fromkeys(chunk)
            rows += size
    if not rows:
        raise TableError(f"{path}: holds no rows")
    check.meet(str(path), [name for name in there if name not in names.values()])
    return any(theirs in there for theirs in names.values())


def texts_of(contract: Contract, names: Mapping[str, str], dialect: Dialect) -> Texts:
    """What the texts of a CSV mean: what is no number among numbers stays a text, and is seen."""
    numbers = {names[name] for name, rules in contract.columns.items() if is_read_as_number(rules)}
    booleans = {names[name] for name, rules in contract.columns.items() if rules.type is ColumnType.BOOLEAN}
    return Texts(mixed=numbers, booleans=booleans, decimal=dialect.decimal)


def is_read_as_number(rules: ColumnRules) -> bool:
    """Whether texts of a CSV that are numbers are numbers; an epoch is one too."""
    return rules.type is not None and rules.type.is_ordered


# --- events -------------------------------------------------------------------------------------------------------------


def check_events(check: Check, contract: Contract, choice: RowsChoice) -> Rejections:
    """Hold the events of one model against a contract, read as the daemon reads them. Raises ConfigError."""
    assert choice.config is not None
    if choice.prediction is not None:
        raise ConfigError("--prediction: the configuration says it, in topics.fields")
    settings = load_settings(choice.config)
    model, topic = model_of(settings, choice.model, choice.version), topic_of(settings, choice.topic)
    refuse_half(topic)
    fields, dialect = fields_of(topic), dialect_of(choice.delimiter, choice.decimal)
    refuse_unknown_model(topic, fields, [each.name for each in settings.models])
    if ID in contract.columns and not fields.id:
        raise ConfigError(f"columns.{ID}: topics.{topic.name}.fields.id does not say where events have it")
    finder = FeatureFinder(fields, predicted=topic.kind == "predictions", identifier=fields.id)
    keys = [SeriesKey(each.name, each.series_version) for each in settings.models]
    ours = SeriesKey(model.name, model.series_version)
    rejections, others, halves = Rejections(), 0, 0
    holds_lines(choice.inputs)
    for path in choice.inputs:
        decoder = RawDecoder(topic.name, keys, ours, slots_of(contract), fields, topic.format, options=topic.options)
        check_event_file(check, contract, path, decoder, finder, dialect)
        rejections.reasons += decoder.reasons
        others += decoder.others
        halves += decoder.halves
    if halves:
        rejections.remarks.append(f"left out {halves:,} {HALVES_LEFT_OUT}")
    if not check.rows:
        why = f"; {rejections.remarks[0]}" if halves else ""
        why += f"; rejected: {', '.join(rejections.reasons)}" if rejections.reasons else ""
        raise ConfigError(f"{choice.inputs[0]}: holds no event of {ours}{why}")
    if others:
        rejections.remarks.append(f"left out {others:,} events of other models")
    return rejections


def check_event_file(
    check: Check, contract: Contract, path: Path, decoder: RawDecoder, finder: FeatureFinder, dialect: Dialect
) -> None:
    """Hold one file of events against a contract. Raises ConfigError."""
    try:
        logged = isinstance(decoder.bare, LogDecoder)  # whose columns are those of messages
        names = set[str]() if logged else set(table_features(path, decoder.fields, finder, dialect))
        for _ in files_of([path], decoder, dialect).pieces():
            for held in decoder.drain():
                columns = held.columns(paths_of(contract, decoder.fields))
                if TIME in contract.columns:
                    columns[TIME] = held.times.view("datetime64[ns]")
                names |= held.rows.names(decoder.fields.features)
                check.add(str(path), columns, held.numbers)
    except (RecordedError, TableError) as error:
        raise ConfigError(str(error)) from None
    others = finder.predicted_inside | (set() if decoder.fields.features else finder.envelope)
    check.meet(str(path), sorted(names - others))


def table_features(path: Path, fields: FieldMap, finder: FeatureFinder, dialect: Dialect) -> Iterator[str]:
    """The features that the columns of a table may be; none of a file of messages. Raises TableError."""
    if not holds_lines([path]):
        from monitor.backtest.tables import feature_columns

        with explained(path):
            yield from feature_columns(table_of(path, dialect).names, fields, finder)


def slots_of(contract: Contract) -> FeatureSlots:
    """The columns of a contract as a decoder looks for them."""
    numeric, categorical = [], []
    for name, rules in contract.columns.items():
        if name in {ID, TIME}:
            continue
        if is_read_as_number(rules):
            numeric.append(FeatureSlot(name))
        else:
            categories = BOOLEANS if rules.type is ColumnType.BOOLEAN else rules.values or (NOTHING,)
            categorical.append(FeatureSlot(name, categories))
    return FeatureSlots(tuple(numeric), tuple(categorical)) if numeric or categorical else NO_COLUMNS


def paths_of(contract: Contract, fields: FieldMap) -> dict[str, Place]:
    """Where messages have the columns of a contract; the event time is known already."""
    return {name: fields.id if name == ID else fields.feature_path(name) for name in contract.columns if name != TIME}
