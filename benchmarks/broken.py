"""Every format with one message in a hundred broken, beside the same messages whole: the ratio of rows a second, by processor time.

A `cut` message ends in its middle; a `foreign` one is JSON of something else. Both are counted as rejected, and nothing else is. An
`evolved` one has a feature more than all others, and is read; where columns have no names it is rejected, too. Avro, Protobuf and Arrow
have such figures in their own files, with the libraries that write them.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec

from benchmarks.measure import Figures, ratio, said, spread, write
from benchmarks.traffic import BEGIN_MS, ENCODE, FEATURES, MILLI, TOPIC, columns, events

COUNT, ROUNDS, QUICK = 20_000, 5, (2_000, 1)
POLL = 10_000  # rows
SLOWER = 5  # times
BROKEN = 100  # messages, of which one is broken
WAYS = "cut", "foreign", "evolved"
FOREIGN = b'{"error":"model not ready","code":503}'
REQUEST = "org.kubeflow.serving.inference.request"
Event = dict[str, Any]


class Log(NamedTuple):
    """A format's messages of so many rows each, the headers of each, the options of the topic and what stands before its features' names."""

    form: str
    write: Callable[[list[Event]], Any]
    rows: int = 1
    headers: Callable[[Event], dict[str, str]] | None = None
    options: dict[str, Any] | None = None
    prefix: str = ""


def moment(event: Event) -> str:
    """RFC 3339."""
    seconds, millis = divmod(event["ts"], 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{millis:03d}Z"


def tensors(rows: list[Event]) -> Event:
    """A V2 request, a tensor a feature."""
    held = [
        {"name": name, "shape": [len(rows), 1], "datatype": "FP64", "data": [row["features"][name] for row in rows]}
        for name in rows[0]["features"]
    ]
    return {"id": rows[0]["id"], "inputs": held}


def captured(rows: list[Event]) -> Event:
    """A call as SageMaker captures it."""
    [row] = rows
    values = ",".join(map(str, row["features"].values()))
    parts = {"endpointInput": values, "endpointOutput": str(row["prediction"])}
    about = {"eventId": row["id"], "inferenceTime": moment(row)}
    held = {name: {"observedContentType": "text/csv", "data": data, "encoding": "CSV"} for name, data in parts.items()}
    return {"captureData": held, "eventMetadata": about, "eventVersion": "0"}


def enveloped(rows: list[Event], kind: str, data: Any, **more: str) -> Event:
    """A CloudEvent."""
    about = {"specversion": "1.0", "id": rows[0]["id"], "source": "bench", "type": kind, "time": moment(rows[0])}
    return {**about, "datacontenttype": "application/json", **more, "data": data}


def called(rows: list[Event]) -> Event:
    """A row of an inference table of Databricks."""
    [row] = rows
    asked, told = ({"dataframe_records": [row["features"]]}, {"predictions": [row["prediction"]]})
    texts = {"request": ENCODE(asked).decode(), "response": ENCODE(told).decode()}
    return {"databricks_request_id": row["id"], "timestamp_ms": row["ts"], "status_code": 200, **texts}


def exported(rows: list[Event]) -> Event:
    """A row of Vertex AI's table."""
    [row] = rows
    texts = {"request_payload": [ENCODE(row["features"]).decode()], "response_payload": [str(row["prediction"])]}
    return {"endpoint": "e", "deployed_model_id": "1", "logging_time": moment(row), "request_id": 1, **texts}


def changed(rows: list[Event]) -> Event:
    """A change of a table as Debezium tells it."""
    [row] = rows
    source = {"connector": "postgresql", "db": "bench", "ts_ms": row["ts"], "snapshot": "false"}
    after = {"id": row["id"], "prediction": row["prediction"], **row["features"]}
    return {"before": None, "after": after, "source": source, "op": "c", "ts_ms": row["ts"]}


def traced(rows: list[Event]) -> Event:
    """A span of a generative model."""
    [row] = rows
    number, nanos = row["ts"] - BEGIN_MS + 1, row["ts"] * MILLI
    held = [{"key": f"gen_ai.{name}", "value": {"doubleValue": value}} for name, value in row["features"].items()]
    span: Event = {"traceId": f"{number:032x}", "spanId": f"{number:016x}", "startTimeUnixNano": str(nanos)}
    span |= {"endTimeUnixNano": str(nanos + MILLI), "attributes": held}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def served(rows: list[Event]) -> Event:
    """A line of Feast's log."""
    [row] = rows
    held = {f"bench__{name}": value for name, value in row["features"].items()}
    return {"__log_timestamp": moment(row), "__request_id": row["id"], **held}


def monitored(rows: list[Event]) -> Event:
    """A line of BentoML's monitor."""
    [row] = rows
    beside = {"timestamp": moment(row)[:-1], "request_id": row["id"], "trace_id": "1"}
    return {**row["features"], "prediction": row["prediction"], **beside}


COMPILED = (
    "json",
    "json-lines",
    "json-batch",
    "json-schema",
    "kserve",
    "seldon",
    "mlserver",
)  # the others are read by Python alone
ROLES = {**dict.fromkeys(FEATURES, "feature"), "prediction": "prediction"}
LOGS = (
    Log("json", lambda rows: rows[0]),
    Log("json-lines", lambda rows: b"\n".join(map(ENCODE, rows)), 100),
    Log("json-batch", lambda rows: rows, 100),
    Log("json-schema", lambda rows: b"\0\0\0\0\1" + ENCODE(rows[0])),
    Log("cloudevents", lambda rows: enveloped(rows, "prediction", rows[0])),
    Log("kserve", lambda rows: enveloped(rows, REQUEST, tensors(rows), inferenceservicename="bench"), 100),
    Log(
        "seldon",
        tensors,
        100,
        lambda row: {"type": "io.seldon.serving.inference.request", "requestid": row["id"], "protocol": "v2"},
    ),
    Log("mlserver", tensors, 100),
    Log("sagemaker-capture", captured, options={"columns": FEATURES}),
    Log(
        "azureml-mdc",
        lambda rows: enveloped(
            rows, "azureml.inference.model_inputs", [rows[0]["features"]], correlationid=rows[0]["id"]
        ),
    ),
    Log("databricks-inference", called),
    Log("vertex-logging", exported),
    Log("mlflow", lambda rows: {"ts": rows[0]["ts"], "instances": [rows[0]["features"]], "predictions": [0.5]}),
    Log("bentoml", monitored, options={"roles": ROLES}),
    Log("feast", served, prefix="bench__"),
    Log("debezium", changed),
    Log("otel", traced, prefix="gen_ai."),
)


def messages(log: Log, parts: list[list[Event]]) -> tuple[list[bytes], list[Any]]:
    """A log of events, so many a message, and the headers of each record."""
    written = [log.write(part) for part in parts]
    headers = (
        [[(name, text.encode()) for name, text in log.headers(part[0]).items()] for part in parts]
        if log.headers
        else [()] * len(parts)
    )
    return [each if isinstance(each, bytes) else ENCODE(each) for each in written], headers


def grown(event: Event) -> Event:
    """The same with a feature more."""
    return {**event, "features": {**event["features"], "feature_20": 0.25}}


def damaged(log: Log, values: list[bytes], parts: list[list[Event]], way: str) -> list[bytes]:
    """The same messages, one in a hundred broken."""
    found = list(values)
    for at in range(BROKEN // 2, len(values), BROKEN):
        match way:
            case "cut":
                found[at] = values[at][: len(values[at]) // 2]
            case "foreign":
                found[at] = FOREIGN
            case _:
                [found[at]] = messages(log, [list(map(grown, parts[at]))])[0]
    return found


def reading(log: Log, values: list[bytes], headers: list[Any]) -> Callable[[], int]:
    """A pass over all messages by the daemon's decoder, a poll's at a time; how many rows it gives."""
    from detectors import Reference
    from monitor.sources.base import TopicRecords
    from monitor.sources.decode.topic import TopicDecoder
    from monitor.sources.formats.fields import FieldMap, SeriesFields
    from monitor.sources.formats.registry import options_of
    from monitor.stream.events import SECOND, SeriesKey

    fields = FieldMap()
    held = {f"{log.prefix}{name}": column for name, column in columns(1_000).items()}
    version = "1" if log.form.startswith("json") else "*"  # most servers name none
    series = [SeriesFields(SeriesKey("bench", version), Reference.fit(held).layout, fields)]
    kind = options_of(log.form)
    options = None if kind is None else kind.model_validate(log.options or {})
    decoder = TopicDecoder(TOPIC, series, fields, SECOND, log.form, options=options)
    polls, each = [], POLL // log.rows
    for begin in range(0, len(values), each):
        part = values[begin : begin + each]
        stamps = [(BEGIN_MS + begin + at) * MILLI for at in range(len(part))]
        keys = [None] * len(part)
        polls.append(
            TopicRecords(TOPIC, [0] * len(part), part, keys=keys, stamps=stamps, headers=headers[begin : begin + each])
        )

    def work() -> int:
        return sum(map(_rows, (decoder.decode(records, time.time_ns()) for records in polls)))

    return work


def _rows(decoded: Any) -> int:
    return sum(len(found) for found in (*decoded.batches, *decoded.halves))


def rate(work: Callable[[], int], count: int) -> float:
    """Rows a second of processor time, of so many but those that were broken; of a message of lines some are whole."""
    began = time.process_time()
    read = work()
    spent = time.process_time() - began
    if not count - count // BROKEN <= read <= count:
        raise ValueError(f"{read} of {count} rows were read")
    return read / spent


def measured(log: Log, count: int, rounds: int) -> Figures:
    """One format: its rate, and the ratios of broken ones to whole ones."""
    held = [msgspec.json.decode(event) for event in events(count)]
    parts = [held[at : at + log.rows] for at in range(0, len(held), log.rows)]
    values, headers = messages(log, parts)
    passes = {"whole": reading(log, values, headers)}
    passes |= {way: reading(log, damaged(log, values, parts, way), headers) for way in WAYS}
    for work in passes.values():
        work()
    rates: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(rounds):
        for name, work in passes.items():
            rates[name].append(rate(work, count))
    ratios = {way: ratio(rates[way], rates["whole"]) for way in WAYS}
    return {"rates": {name: spread(held) for name, held in rates.items()}, "ratios": ratios}


def main() -> None:
    """Each format by itself, whole and broken ones in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--format", choices=[log.form for log in LOGS], action="append")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    count, rounds = QUICK if chosen.quick else (COUNT, chosen.rounds)
    figures: Figures = {}
    print(
        f"broken: {count:,} rows, of slower formats {count // SLOWER:,}, one message in {BROKEN} broken, {rounds} rounds, rows/s of processor time"
    )
    for log in LOGS:
        if chosen.format and log.form not in chosen.format:
            continue
        figures[log.form] = found = measured(log, count if log.form in COMPILED else count // SLOWER, rounds)
        ratios = (f"{way} {said(figure, 2)}" for way, figure in found["ratios"].items())
        print(f"  {log.form:<22} {found['rates']['whole']['median']:>12,.0f}   ÷ whole: {'   '.join(ratios)}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
