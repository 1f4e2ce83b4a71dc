"""A broker for those who have none: lives in this process, until Ctrl-C. No place for data that matters."""

import signal

from monitor.sources.kafka.embedded import EmbeddedBroker

broker = EmbeddedBroker()
broker.create("car-loan")
print(f"export DRIFTD_KAFKA__BOOTSTRAP_SERVERS={broker.bootstrap_servers}", flush=True)
signal.sigwait([signal.SIGINT, signal.SIGTERM])
