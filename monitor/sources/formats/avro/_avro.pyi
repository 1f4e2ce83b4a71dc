from collections.abc import Callable
from typing import Any

from monitor.sources.formats.json._scan import Routes as Routes
from monitor.sources.formats.json._scan import Shape as Shape
from monitor.sources.formats.json._scan import route as route
from monitor.sources.formats.json._scan import routes as routes
from monitor.sources.formats.json._scan import scan as scan
from monitor.sources.formats.json._scan import scan_each as scan_each

class Types: ...

def shape(
    types: list[tuple[int, int, int, int, list[int], list[str], int, int, float]], begin: int, told: tuple[Any, ...]
) -> Shape: ...
def types(
    types: list[tuple[int, int, int, int, list[int], list[str], int, int, float]],
    known: list[tuple[list[str], Callable[[Any], Any] | None, object]],
) -> Types: ...
def document(types: Types, raw: bytes, begin: int) -> tuple[object] | int: ...
