"""Send the analysis rows to Kafka as nested JSON events: python produce.py [servers] [--rows FIRST:LAST]."""

import argparse
import json
import os
import sys
from pathlib import Path

import pyarrow.parquet as pq
from confluent_kafka import Producer

HERE = Path(__file__).parent
TOPIC = "car-loan"
PARTITIONS = 3
APPLICANT = (
    "car_value",
    "salary_range",
    "debt_to_income_ratio",
    "loan_length",
    "repaid_loan_on_prev_car",
    "size_of_downpayment",
    "driver_tenure",
    "y_pred",
)


def event(row: dict[str, object]) -> bytes:
    """One scored application, as a service might log it."""
    return json.dumps(
        {
            "meta": {
                "request": f"loan-{row['id']}",
                "scored_at": f"{row['timestamp']}Z".replace(" ", "T"),
                "model": {"name": "car-loan", "version": 1},
            },
            "applicant": {name: row[name] for name in APPLICANT},
            "result": {"proba": row["y_pred_proba"]},
        }
    ).encode()


def main() -> None:
    """Send rows in order, over the partitions in turn."""
    servers = os.environ.get("DRIFTD_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    parser = argparse.ArgumentParser()
    parser.add_argument("servers", nargs="?", default=servers)
    parser.add_argument("--rows", default="0:50000", help="which rows, the last one left out")
    options = parser.parse_args()
    first, last = map(int, options.rows.split(":"))
    producer = Producer({"bootstrap.servers": options.servers, "linger.ms": 50, "compression.type": "zstd"})
    rows = pq.read_table(HERE / "analysis.parquet").slice(first, last - first).to_pylist()
    for number, row in enumerate(rows, start=first):
        producer.produce(TOPIC, event(row), partition=number % PARTITIONS)
        producer.poll(0)
    left = producer.flush(60)
    print(f"{len(rows) - left} events sent to {TOPIC} at {options.servers}")
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
