"""Three real Apache Kafka nodes on loopback, of which one may be away."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.parts.kafka import START_SECONDS, ApacheKafka, Quorum
from tests.parts.ports import free_ports

NODES = 3
REPLICATED = {  # what is acknowledged lies on two nodes at least
    "offsets.topic.replication.factor": str(NODES),
    "min.insync.replicas": "2",
}


class KafkaCluster:
    """Each node is broker and controller. `bootstrap` names them all."""

    def __init__(self, directory: Path) -> None:
        quorum = Quorum({node: f"127.0.0.1:{port}" for node, port in enumerate(free_ports(NODES), 1)})
        self.nodes: list[ApacheKafka] = []
        try:
            for node in quorum.controllers:
                home = directory / f"node-{node}"
                home.mkdir(parents=True)
                self.nodes.append(ApacheKafka(home, config=REPLICATED, quorum=quorum, node=node))
            for each in self.nodes:
                each.wait()
        except BaseException:
            self.close()
            raise
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Returns once every replica is in sync."""
        self.nodes[0].create_topic(name, partitions)
        self.wait_in_sync()

    def wait_in_sync(self) -> None:
        """Returns once every node is there and has every record, as each of them says."""
        _wait(lambda: all(node.in_sync() for node in self.nodes))

    def close(self) -> None:
        """Stop them and remove their data; the logs stay."""
        for node in self.nodes:
            node.kill()
            node.close()


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the cluster was not in sync within {START_SECONDS} s")
        time.sleep(0.1)
