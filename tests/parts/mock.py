"""librdkafka's own mock cluster, reached by ctypes: a broker in milliseconds that errs on demand.

It has no admin requests, no transactions worth the name, no disk and no restart; those need `ApacheKafka`.
The functions are declared in librdkafka's rdkafka_mock.h, which promises no stable ABI.
"""

import ctypes
import functools
import importlib.util
from enum import IntEnum
from pathlib import Path

from tests.parts.missing import MissingPart

PRODUCER = 0  # rd_kafka_type_t; the mock cluster lives in any client
CONF_OK = 0  # rd_kafka_conf_res_t
ERROR_TEXT_BYTES = 512


class Api(IntEnum):
    """Kafka protocol request keys, for `push_errors`."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    INIT_PRODUCER_ID = 22


class MockBroker:
    """A cluster inside this process; any client on this machine can use it. Brokers are numbered from 1."""

    def __init__(self, *, brokers: int = 1) -> None:
        self._client = _new_client({"test.mock.num.brokers": str(brokers), "log_level": "0"})
        self._cluster = ctypes.c_void_p(_librdkafka().rd_kafka_handle_mock_cluster(self._client))
        self.bootstrap = _librdkafka().rd_kafka_mock_cluster_bootstraps(self._cluster).decode("ascii")
        _librdkafka().rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)

    def create_topic(self, name: str, partitions: int = 1) -> None:
        _check(_librdkafka().rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1))

    def delete_topic(self, name: str) -> None:
        _check(_librdkafka().rd_kafka_mock_topic_delete(self._cluster, name.encode()))

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Forget what lies before an offset, as retention would."""
        _check(_librdkafka().rd_kafka_mock_partition_delete_records(self._cluster, topic.encode(), partition, before))

    def push_errors(self, api_key: int, *codes: int) -> None:
        """Answer the next requests of this kind with these errors, one each; 0 answers one request normally.

        Codes are Kafka's (KafkaError.ILLEGAL_GENERATION, …); KafkaError._TRANSPORT closes the connection.
        A consumer hears of a FETCH error only where there are records to fetch, and gets over some by itself.
        """
        errors = (ctypes.c_int * len(codes))(*codes)
        _librdkafka().rd_kafka_mock_push_request_errors_array(self._cluster, api_key, len(codes), errors)

    def watch_requests(self) -> None:
        """Keep what is asked from now on, and forget what was."""
        _librdkafka().rd_kafka_mock_clear_requests(self._cluster)
        _librdkafka().rd_kafka_mock_start_request_tracking(self._cluster)

    def requests(self, api_key: int) -> int:
        """How many requests of this kind have come since they are watched: of errors that were pushed as many were met."""
        library, count = _librdkafka(), ctypes.c_size_t()
        found = library.rd_kafka_mock_get_requests(self._cluster, ctypes.byref(count))
        keys = [library.rd_kafka_mock_request_api_key(found[at]) for at in range(count.value)]
        library.rd_kafka_mock_request_destroy_array(found, count.value)
        return keys.count(api_key)

    def unwatch_requests(self) -> None:
        """Keep no request any more."""
        _librdkafka().rd_kafka_mock_stop_request_tracking(self._cluster)
        _librdkafka().rd_kafka_mock_clear_requests(self._cluster)

    def clear_errors(self, api_key: int) -> None:
        """Forget the errors that were pushed and not met."""
        _librdkafka().rd_kafka_mock_clear_request_errors(self._cluster, api_key)

    def set_down(self, broker: int = 1) -> None:
        """Close its connections and refuse new ones; its messages stay."""
        _check(_librdkafka().rd_kafka_mock_broker_set_down(self._cluster, broker))

    def set_up(self, broker: int = 1) -> None:
        _check(_librdkafka().rd_kafka_mock_broker_set_up(self._cluster, broker))

    def set_rtt(self, milliseconds: int, *, broker: int = -1) -> None:
        """Delay each answer; -1 is every broker."""
        _check(_librdkafka().rd_kafka_mock_broker_set_rtt(self._cluster, broker, milliseconds))

    def stop(self) -> None:
        """Close it; a second time does nothing."""
        if self._client:
            _librdkafka().rd_kafka_destroy(self._client)
            self._client = ctypes.c_void_p()


def _new_client(settings: dict[str, str]) -> ctypes.c_void_p:
    library = _librdkafka()
    reason = ctypes.create_string_buffer(ERROR_TEXT_BYTES)
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    for key, value in settings.items():
        if library.rd_kafka_conf_set(conf, key.encode(), value.encode(), reason, ERROR_TEXT_BYTES) != CONF_OK:
            raise ValueError(f"librdkafka refuses {key}={value}: {reason.value.decode()}")
    client = library.rd_kafka_new(PRODUCER, conf, reason, ERROR_TEXT_BYTES)  # owns conf from here
    if not client:
        raise RuntimeError(f"librdkafka's mock cluster did not start: {reason.value.decode()}")
    return ctypes.c_void_p(client)


def _check(code: int) -> None:
    if code:
        raise RuntimeError(f"librdkafka's mock cluster: {_librdkafka().rd_kafka_err2str(code).decode()}")


@functools.cache
def _librdkafka() -> ctypes.CDLL:
    library = ctypes.CDLL(str(_shared_object()))
    text, number, handle = ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p
    declarations = {
        "rd_kafka_conf_new": (handle,),
        "rd_kafka_conf_set": (number, handle, text, text, text, ctypes.c_size_t),
        "rd_kafka_new": (handle, number, handle, text, ctypes.c_size_t),
        "rd_kafka_destroy": (None, handle),
        "rd_kafka_err2str": (text, number),
        "rd_kafka_handle_mock_cluster": (handle, handle),
        "rd_kafka_mock_cluster_bootstraps": (text, handle),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, handle, ctypes.c_int32),
        "rd_kafka_mock_topic_create": (number, handle, text, number, number),
        "rd_kafka_mock_topic_delete": (number, handle, text),
        "rd_kafka_mock_partition_delete_records": (number, handle, text, ctypes.c_int32, ctypes.c_int64),
        "rd_kafka_mock_push_request_errors_array": (None, handle, ctypes.c_int16, ctypes.c_size_t, handle),
        "rd_kafka_mock_clear_request_errors": (None, handle, ctypes.c_int16),
        "rd_kafka_mock_start_request_tracking": (None, handle),
        "rd_kafka_mock_stop_request_tracking": (None, handle),
        "rd_kafka_mock_clear_requests": (None, handle),
        "rd_kafka_mock_get_requests": (ctypes.POINTER(handle), handle, handle),
        "rd_kafka_mock_request_api_key": (ctypes.c_int16, handle),
        "rd_kafka_mock_request_destroy_array": (None, handle, ctypes.c_size_t),
        "rd_kafka_mock_broker_set_down": (number, handle, ctypes.c_int32),
        "rd_kafka_mock_broker_set_up": (number, handle, ctypes.c_int32),
        "rd_kafka_mock_broker_set_rtt": (number, handle, ctypes.c_int32, number),
    }
    for name, (result, *arguments) in declarations.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _shared_object() -> Path:
    """The very file the Python client has loaded, so that there is one librdkafka in this process."""
    client = importlib.util.find_spec("confluent_kafka")
    assert client is not None
    assert client.origin is not None
    package = Path(client.origin).parent
    bundled = [*package.parent.glob("confluent_kafka.libs/librdkafka*.so*"), *package.glob(".dylibs/librdkafka*.dylib")]
    if not bundled:
        raise MissingPart(
            "librdkafka's mock cluster is not here: this confluent-kafka was not installed as a wheel",
            "pip install --only-binary confluent-kafka confluent-kafka",
        )
    return bundled[0]
