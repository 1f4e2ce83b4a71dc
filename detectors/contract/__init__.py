"""Data contracts: what every row of a model's data keeps to, inferred from a reference, edited by people, checked row by row."""

from detectors.contract.check import Check
from detectors.contract.contract import ColumnRules, ColumnType, Contract, ContractError, Ordering
from detectors.contract.document import contract_from
from detectors.contract.infer import InferredContract, infer
from detectors.contract.report import ContractReport, ContractViolation, SchemaChange, ValueSample
from detectors.contract.writing import written

__all__ = [
    "Check",
    "ColumnRules",
    "ColumnType",
    "Contract",
    "ContractError",
    "ContractReport",
    "ContractViolation",
    "InferredContract",
    "Ordering",
    "SchemaChange",
    "ValueSample",
    "contract_from",
    "infer",
    "written",
]
