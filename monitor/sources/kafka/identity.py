"""Which topic a name stands for: the id that the cluster gave it. One that was made anew under the same name has another."""

from collections.abc import Mapping
from concurrent.futures import Future, wait
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from monitor.sources.kafka.client import ALL_DOWN, SILENT, TRANSPORT, KafkaChoice, properties_of

PATIENCE = 5.0  # seconds
UNANSWERED = frozenset({KafkaError._TIMED_OUT, TRANSPORT, ALL_DOWN})  # noqa: SLF001 - librdkafka's own codes
NONE = "AAAAAAAAAAAAAAAAAAAAAA"  # as brokers before 2.8 have it


class TopicIds:
    """Asks for all topics in one request, which holds nobody up. An answer is there once; who gives no ids is never heard."""

    def __init__(self, choice: KafkaChoice) -> None:
        self._topics = TopicCollection(list(choice.topics))
        self._asked: Mapping[str, Future[Any]] = {}
        self._client: AdminClient | None
        try:
            self._client = AdminClient(properties_of(choice), logger=SILENT)
        except KafkaException:  # what the reading client takes and this one does not
            self._client = None

    @property
    def able(self) -> bool:
        """Whether anything can be asked at all."""
        return self._client is not None

    def ask(self) -> bool:
        """Ask, unless an answer is under way; whether that was asked."""
        if self._asked or self._client is None:
            return False
        self._asked = self._client.describe_topics(self._topics, request_timeout=PATIENCE)
        return True

    def answered(self, patience: float = 0.0) -> dict[str, str] | None:
        """The ids of the topics that there are, as was answered since; None where no answer has come, or no cluster would answer."""
        if not self._asked or wait(self._asked.values(), patience).not_done:
            return None
        asked, self._asked = self._asked, {}
        if all(_unanswered(each.exception()) for each in asked.values()):
            return None
        told = {topic: str(each.result().topic_id) for topic, each in asked.items() if each.exception() is None}
        return {topic: name for topic, name in told.items() if name != NONE}

    def asked_anew(self, patience: float) -> dict[str, str] | None:
        """The ids as they are now. What is under way was perhaps answered before: it is waited for and passed over."""
        self.answered(patience)
        self.ask()
        return self.answered(patience)

    def forget(self) -> None:
        """Pass over what is under way: it may be of the topics as they were."""
        self._asked = {}

    def close(self) -> None:
        """Let go of connections."""
        self._client, self._asked = None, {}


def _unanswered(error: BaseException | None) -> bool:
    """Whether nobody has said anything of a topic."""
    return isinstance(error, KafkaException) and error.args[0].code() in UNANSWERED
