"""Schemas that a registry keeps for messages: how a message names its own, and the client that asks for it. No format itself."""

from monitor.sources.formats.schema_registry.client import Registered, RegisteredSchema, SchemaRegistry
from monitor.sources.formats.schema_registry.framing import Framed, Key, framed
from monitor.sources.formats.schema_registry.section import SchemaRegistrySettings as RegistrySettings

__all__ = ["Framed", "Key", "Registered", "RegisteredSchema", "RegistrySettings", "SchemaRegistry", "framed"]
