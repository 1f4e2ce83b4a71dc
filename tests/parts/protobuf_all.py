"""A message that has every kind of field, declared once: `pkg.All` of proto3 and `old.All` of proto2."""

from typing import Any

from tests.parts.protobuf import SCALARS, WRAPPED, declare, file_of

GOOGLE = {
    "at": ".google.protobuf.Timestamp",
    "took": ".google.protobuf.Duration",
    "open": ".google.protobuf.Struct",
    "any_value": ".google.protobuf.Value",
    "listed": ".google.protobuf.ListValue",
    "times": "repeated .google.protobuf.Timestamp",
}
MAPS = {
    "of_doubles": "map string double",
    "of_longs": "map string int64",
    "by_number": "map int64 string",
    "by_truth": "map bool uint64",
    "of_messages": "map string .{package}.Inner",
    "of_bytes": "map sint32 bytes",
    "of_plans": "map string enum.{package}.Plan",
}


def all_kinds(package: str = "pkg", *, syntax: str = "proto3") -> Any:
    """The file: `Plan`, `Inner`, `All`."""
    file = file_of(f"{package}.proto", package, syntax=syntax)
    plan = file.enum_type.add(name="Plan")
    for name, number in (("FREE", 0), ("PRO", 1), ("OLD", -3)):
        plan.value.add(name=name, number=number)
    optional = "optional " if syntax == "proto3" else ""
    inner = file.message_type.add(name="Inner")
    declare(inner, {"x": "double", "y": f"{optional}int64", "z": "string", "deep": f".{package}.Inner"})
    fields = {f"a_{name}": name for name in SCALARS}
    fields |= {f"o_{name}": f"{optional}{name}" for name in SCALARS}
    fields |= {f"r_{name}": f"repeated {name}" for name in SCALARS}
    fields |= {"plan": f"enum .{package}.Plan", "plans": f"repeated enum .{package}.Plan"}
    fields |= {"inner": f".{package}.Inner", "inners": f"repeated .{package}.Inner"}
    fields |= {"one_a": "oneof=one double", "one_b": "oneof=one string", "one_c": f"oneof=one .{package}.Inner"}
    fields |= {name: said.format(package=package) for name, said in MAPS.items()}
    fields |= GOOGLE | {f"w_{name.rpartition('.')[2]}": f".{name}" for name in WRAPPED}
    if syntax == "proto2":
        fields |= {"defaulted": "double = 2.5", "named": "string = free", "picked": f"enum .{package}.Plan = PRO"}
        fields |= {"packed": "repeated packed int32", "needed": "int64"}
    declare(file.message_type.add(name="All"), fields | {"far": "double @ 5000"})
    return file
