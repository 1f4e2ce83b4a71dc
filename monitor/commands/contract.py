"""`driftd contract`: what a reference's data keep to, as a file that people edit, and files held against it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.contract import (
    Check,
    Contract,
    ContractError,
    ContractReport,
    ContractViolation,
    SchemaChange,
    contract_from,
    infer,
    written,
)
from detectors.figures import printable, share
from monitor.commands.contract_rows import Rejections, RowsChoice, check_events, check_tables
from monitor.commands.events import model_of
from monitor.commands.exits import Exit
from monitor.commands.reference import check_output, say
from monitor.commands.show import load_reference
from monitor.explain.documents import as_lines
from monitor.settings import ConfigError, find_config, load_settings, read_yaml

ENDING = ".contract.yaml"
SHOWN_COLUMNS = 20  # new columns that are allowed


# --- infer --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InferChoice:
    """What the command line asked for."""

    reference: Path | None = None
    config: Path | None = None
    model: str | None = None
    version: str | None = None
    output: Path | None = None
    slack: float = 0.0
    overwrite: bool = False


def infer_contract(choice: InferChoice) -> Exit:
    """Write the contract of a reference. Raises ConfigError."""
    source = reference_of(choice)
    output = choice.output or source.with_name(source.name.removesuffix(".json").removesuffix(".reference") + ENDING)
    if output.is_file() and not choice.overwrite:
        raise ConfigError(f"{output}: is there already; name another by --output, or say --overwrite")
    check_output(output, [source])
    try:
        inferred = infer(load_reference(source), choice.slack)
    except ValueError as error:
        raise ConfigError(f"--{error}") from None
    try:
        output.write_text(written(inferred, source.name), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written: {error.strerror or error}") from None
    print(f"{output}: {len(inferred.contract.columns)} columns, from {source}, {inferred.rows:,} rows")
    print(f"next: look through it, then `driftd contract check {output} FILE`")
    return Exit.OK


def reference_of(choice: InferChoice) -> Path:
    """The reference file that is named, or that of a configured model. Raises ConfigError."""
    if choice.reference is not None:
        for option, value in (("--config", choice.config), ("--model", choice.model), ("--version", choice.version)):
            if value is not None:
                raise ConfigError(f"{option}: the reference is named already, {choice.reference}")
        return choice.reference
    config = find_config(choice.config)
    return config.parent / model_of(load_settings(config), choice.model, choice.version).reference


# --- check --------------------------------------------------------------------------------------------------------------


def check_contract(path: Path, choice: RowsChoice, *, as_json: bool) -> Exit:
    """Hold files against a contract. Raises ConfigError."""
    contract = load_contract(path)
    check = Check(contract)
    rejections = (check_tables if choice.config is None else check_events)(check, contract, choice)
    report = check.report()
    for line in (*report.remarks, *rejections.remarks):
        say(line)
    if as_json:
        print(as_lines(document(path, contract, choice, report, rejections)).decode())
    else:
        for line in lines(path, contract, choice.inputs, report, rejections):
            print(printable(line))
    return Exit.OK if report.kept and not rejections.reasons else Exit.NO


def load_contract(path: Path) -> Contract:
    """A contract file. Raises ConfigError naming the key."""
    try:
        return contract_from(read_yaml(path))
    except ContractError as error:
        raise ConfigError(f"{path}: {error}") from None


def lines(
    path: Path, contract: Contract, inputs: Sequence[Path], report: ContractReport, rejections: Rejections
) -> Iterator[str]:
    """What came of it, for people: the verdict, then schema, events and values apart."""
    kept = report.kept and not rejections.reasons
    version = f" version {contract.version}" if contract.version else ""
    files = str(inputs[0]) if len(inputs) == 1 else f"{len(inputs)} files"
    yield f"{path}{version}: {'kept' if kept else 'broken'} by {files}, {report.rows:,} rows"
    breaking = [change for change in report.schema if change.breaks]
    if breaking:
        yield "schema:"
        yield from (f"  {_change(change, inputs)}" for change in breaking)
    if rejections.reasons:
        yield "events that cannot be read, which `driftd explain` shows:"
        yield from (f"  {reason}: {count:,}" for reason, count in rejections.reasons.most_common())
    if report.violations:
        yield "values:"
        yield from (f"  {_violation(violation, inputs)}" for violation in report.violations)
    if allowed := [change.column for change in report.schema if not change.breaks]:
        more = f" and {len(allowed) - SHOWN_COLUMNS} more" if len(allowed) > SHOWN_COLUMNS else ""
        yield f"new columns, which the contract allows: {', '.join(allowed[:SHOWN_COLUMNS])}{more}"


def _change(change: SchemaChange, inputs: Sequence[Path]) -> str:
    where = f" ({', '.join(change.sources)})" if len(inputs) > 1 else ""
    return f"{change.column} {change.words}{where}"


def _violation(violation: ContractViolation, inputs: Sequence[Path]) -> str:
    samples = ", ".join(
        f"{sample.value} in row {sample.row:,}{f' of {sample.source}' if len(inputs) > 1 else ''}"
        for sample in violation.samples
    )
    more = ", …" if violation.count > len(violation.samples) else ""
    return (
        f"{violation.column}: {violation.rule}: {violation.count:,} of {violation.rows:,} rows, "
        f"{share(violation.share)}: {samples}{more}"
    )


def document(
    path: Path, contract: Contract, choice: RowsChoice, report: ContractReport, rejections: Rejections
) -> dict[str, Any]:
    """What came of it, for programs."""
    return {
        "contract": str(path),
        "version": contract.version,
        "files": [str(each) for each in choice.inputs],
        "kept": report.kept and not rejections.reasons,
        "rows": report.rows,
        "schema": [
            {
                "column": change.column,
                "change": change.change,
                "breaks": change.breaks,
                "files": change.sources,
                "words": change.words,
            }
            for change in report.schema
        ],
        "violations": [
            {
                "column": violation.column,
                "rule": violation.rule,
                "count": violation.count,
                "rows": violation.rows,
                "share": violation.share,
                "samples": [
                    {"file": sample.source, "row": sample.row, "value": sample.value} for sample in violation.samples
                ],
            }
            for violation in report.violations
        ],
        "rejected": dict(rejections.reasons),
        "remarks": [*report.remarks, *rejections.remarks],
    }
