"""What Debezium writes of a table of PostgreSQL, for real: `python -m tests.parts.formats.debezium DIRECTORY` prints it as JSON.

Needs Java 17, Maven and PostgreSQL 15 (`apt-get install openjdk-17-jdk-headless maven postgresql-15`), and root, for PostgreSQL
runs as the user postgres. Times, positions and transactions are made equal in each run; all else is as it was written.
"""

import base64
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.parts.ports import free_ports

HERE = Path(__file__).parent
RECORDED = HERE / "debezium.json"
POSTGRES = Path("/usr/lib/postgresql/15/bin")
TABLE = """CREATE TABLE scores (id text PRIMARY KEY, label int, amount numeric(10,2), free numeric, dbl double precision, rl real,
 name text, paid boolean, day date, at timestamp, at3 timestamp(3), zoned timestamptz, clock time, doc jsonb, raw bytea,
 price money, span interval, small smallint, large bigint, uid uuid, tags text[])"""
ROW = """'{id}', 1, 12.34, 1.5, 0.1, 0.1, 'pro', true, '2026-01-02', '2026-01-02 03:04:05.123456', '2026-01-02 03:04:05.123',
 '2026-01-02 03:04:05.123456+01', '03:04:05.5', '{{"a": 1}}', '\\xff00', '12.34', '1 hour', 3, 9007199254740993,
 '00000000-0000-0000-0000-000000000001', '{{a,b}}'"""
ODD = """'{id}', 0, 'NaN', 'NaN', 'NaN', 'Infinity', NULL, NULL, 'infinity', 'infinity', '-infinity', 'infinity', NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL"""
BEFORE = [TABLE, "ALTER TABLE scores REPLICA IDENTITY DEFAULT"]
BEFORE += [f"INSERT INTO scores VALUES ({ROW.format(id='r-1')})", f"INSERT INTO scores VALUES ({ODD.format(id='r-2')})"]
AFTER = [
    f"INSERT INTO scores VALUES ({ROW.format(id='r-3')})",
    f"INSERT INTO scores VALUES ({ODD.format(id='r-4')})",
    "UPDATE scores SET label = 0, amount = -0.05, free = 'Infinity', dbl = '-Infinity' WHERE id = 'r-3'",
    "DELETE FROM scores WHERE id = 'r-4'",
    "TRUNCATE scores",
]
UNWRAP = {"transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState"}
REWRITE = {
    **UNWRAP,
    "transforms.unwrap.delete.tombstone.handling.mode": "rewrite",
    "transforms.unwrap.add.fields": "op,source.ts_ms,source.snapshot",
}
SCHEMAS = {"converter.schemas.enable": "true"}
BARE = {"converter.schemas.enable": "false"}
VARIANTS: dict[str, tuple[int, dict[str, str]]] = {  # records in all: a delete is followed by a tombstone
    "schemas": (8, SCHEMAS),
    "bare": (8, BARE),
    "bare_double": (8, {**BARE, "decimal.handling.mode": "double"}),
    "schemas_string": (8, {**SCHEMAS, "decimal.handling.mode": "string"}),
    "connect_times": (8, {**SCHEMAS, "time.precision.mode": "connect"}),
    "unwrapped": (6, {**SCHEMAS, **UNWRAP}),
    "unwrapped_rewrite": (6, {**BARE, **REWRITE}),
}
PINNED = [
    (re.compile(rb'"(ts_ms|__source_ts_ms|__ts_ms)":\d{13}\b'), rb'"\1":1790000000123'),
    (re.compile(rb'"ts_us":\d+'), rb'"ts_us":1790000000123456'),
    (re.compile(rb'"ts_ns":\d+'), rb'"ts_ns":1790000000123456789'),
    (re.compile(rb'"(lsn|txId|xmin)":\d+'), rb'"\1":1'),
    (re.compile(rb'"sequence":"(?:[^"\\]|\\.)*"'), rb'"sequence":"[]"'),
]


def jars(home: Path) -> Path:
    """Debezium's jars, fetched by Maven once."""
    found = home / "jars"
    if not found.is_dir():
        command = (
            "mvn",
            "-q",
            "-B",
            "--strict-checksums",
            "-f",
            HERE / "debezium-pom.xml",
            "dependency:copy-dependencies",
        )
        subprocess.run([*command, f"-DoutputDirectory={found}"], check=True, timeout=600, stdout=sys.stderr)
    return found


def pinned(raw: bytes) -> bytes:
    """What differs from run to run, made equal."""
    for pattern, same in PINNED:
        raw = pattern.sub(same, raw)
    return raw


def as_postgres(*command: object) -> None:
    subprocess.run(["runuser", "-u", "postgres", "--", *map(str, command)], check=True, timeout=120, stdout=sys.stderr)


def changes(home: Path, work: Path, port: int, name: str) -> list[list[str | None]]:
    """Keys and values of one variant, in a database of its own."""
    count, settings = VARIANTS[name]
    database = name.replace("_", "")
    as_postgres(POSTGRES / "createdb", "-h", "127.0.0.1", "-p", port, database)
    properties = {
        "name": "engine",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
        "database.hostname": "127.0.0.1",
        "database.port": str(port),
        "database.user": "postgres",
        "database.password": "none",
        "database.dbname": database,
        "topic.prefix": "db",
        "plugin.name": "pgoutput",
        "slot.name": f"slot_{database}",
        "publication.name": f"publication_{database}",
        "table.include.list": "public.scores",
        "skipped.operations": "none",
    } | settings
    said = subprocess.run(
        [
            "java",
            "-cp",
            f"{jars(home)}/*",
            str(HERE / "Changes.java"),
            f"jdbc:postgresql://127.0.0.1:{port}/{database}?user=postgres",
            ";".join(BEFORE),
            ";".join(AFTER),
            "2",
            str(count),
            *(f"{key}={value}" for key, value in properties.items()),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=work,
        check=False,
    )
    if said.returncode:
        print(said.stderr[-5000:], said.stdout[-2000:], file=sys.stderr)
    lines = [line.split(" ") for line in said.stdout.splitlines()]
    return [[None if part == "-" else pinned(base64.b64decode(part)).decode() for part in line] for line in lines]


def record(home: Path) -> dict[str, object]:
    """All variants."""
    with tempfile.TemporaryDirectory(prefix="driftd-debezium-") as held:
        work, port = Path(held), free_ports(1)[0]
        shutil.chown(work, "postgres")
        as_postgres(POSTGRES / "initdb", "-D", work / "data", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8")
        options = f"-p {port} -c wal_level=logical -c listen_addresses=127.0.0.1 -c unix_socket_directories={work} -c max_replication_slots=20 -c max_wal_senders=20 -c fsync=off -c timezone=UTC"
        as_postgres(POSTGRES / "pg_ctl", "-D", work / "data", "-w", "-o", options, "-l", work / "log", "start")
        try:
            records = {name: changes(home, work, port, name) for name in VARIANTS}
        finally:
            as_postgres(POSTGRES / "pg_ctl", "-D", work / "data", "-m", "immediate", "stop")
    return {"debezium": "3.6.1.Final", "postgresql": "15", "connect": "4.3.0", "records": records}


if __name__ == "__main__":
    home = Path(sys.argv[1]).resolve()
    home.mkdir(parents=True, exist_ok=True)
    print(json.dumps(record(home), indent=1, ensure_ascii=False))
