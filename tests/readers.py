"""The readers of a topic of JSON, each by itself."""

from collections.abc import Sequence

from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.base import Reader
from monitor.sources.formats.json import look
from monitor.sources.formats.json.scanning import TopicScanner
from monitor.sources.formats.json.typed import typed_reader


def readers_of(decoder: TopicDecoder) -> Sequence[Reader]:
    """The quickest first: the compiled scan, where it is there, typed structs, and value by value. Each reads what those before it leave.

    Values that are put together from elsewhere first are read by no quick one.
    """
    if len(decoder.readers) == 1:
        return decoder.readers
    quick = [each for each in decoder.readers if isinstance(each, TopicScanner)]
    typed = typed_reader(decoder._reads, look)
    return [*quick, *([] if typed is None else [typed]), decoder.readers[-1]]
