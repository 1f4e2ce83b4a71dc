"""What a reader's schema adds to a writer's: its names of fields, and defaults of those that the writer lacks."""

from typing import Any

from monitor.sources.formats.avro.logical import default_of
from monitor.sources.formats.avro.schema import AvroType, SchemaError


def resolved(writer: AvroType, reader: AvroType | None) -> AvroType:
    """The writer's type with fields under the names that a reader has for them, and constants for those that it lacks."""
    return writer if reader is None else _Resolver().pair(writer, reader)


class _Resolver:
    def __init__(self) -> None:
        self._made: dict[tuple[int, int], AvroType] = {}

    def pair(self, writer: AvroType, reader: AvroType) -> AvroType:
        key = id(writer), id(reader)
        if key in self._made:
            return self._made[key]
        if writer.kind == "union":
            made = self._made[key] = AvroType("union")
            made.children = [self.pair(branch, reader) for branch in writer.children]
            return made
        reader = _branch_of(writer, reader)
        if writer.kind in {"array", "map"} and reader.kind == writer.kind:
            made = self._made[key] = AvroType(writer.kind)
            made.children = [self.pair(writer.children[0], reader.children[0])]
            return made
        if writer.kind == "record" and reader.kind == "record":
            made = self._made[key] = AvroType("record", name=writer.name)
            self._record(made, writer, reader)
            return made
        return writer

    def _record(self, made: AvroType, writer: AvroType, reader: AvroType) -> None:
        written = set(writer.names)
        own = {
            alias: name for name, aliases in reader.field_aliases.items() if name not in written for alias in aliases
        }
        types = dict(zip(reader.names, reader.children, strict=True))
        made_names: set[str] = set()
        for name, child in zip(writer.names, writer.children, strict=True):
            known = name if name in types else own.get(name, name)
            known = name if known in made_names else known
            made_names.add(known)
            made.names.append(known)
            made.children.append(self.pair(child, types[known]) if known in types else child)
        for name, child in types.items():
            if name not in made_names and name in reader.defaults:
                made.names.append(name)
                made.children.append(constant(child, reader.defaults[name]))


def _branch_of(writer: AvroType, reader: AvroType) -> AvroType:
    """The branch of a reader's union that a writer's type is read as; the reader's type itself where that is none."""
    if reader.kind != "union":
        return reader
    alike = [branch for branch in reader.children if branch.kind == writer.kind]
    named = [branch for branch in alike if writer.name and writer.name in {branch.name, *branch.aliases}]
    return (named or alike or [reader])[0]


def constant(told: AvroType, value: Any) -> AvroType:
    """What a default means: of a union it is one of its first branch, as before Avro 1.12, or of that which it fits."""
    try:
        return AvroType("constant", value=default_of(told, value))
    except RecursionError:
        raise SchemaError(f"the default {str(value)[:40]} holds itself without an end") from None
