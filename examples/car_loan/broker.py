"""A broker for those who have none: lives in this process, until Ctrl-C. No place for data that matters."""

import signal
import sys
from threading import Event

from monitor.sources.kafka.embedded import LIMIT, EmbeddedBroker

TOPIC = "car-loan"
EVERY = 5.0  # seconds between two looks at what was dropped

stopping = Event()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: stopping.set())
broker = EmbeddedBroker()
broker.create(TOPIC)
print(f"export DRIFTD_KAFKA__BOOTSTRAP_SERVERS={broker.bootstrap_servers}", flush=True)
print(f"A broker for a walk: {LIMIT}.", file=sys.stderr)
while not stopping.wait(EVERY):
    for line in broker.news(TOPIC):
        print(line, file=sys.stderr)
