"""driftd's daemon: Kafka events in, drift scores, alerts and retraining requests out."""

from monitor.importing import later

later("asyncio")  # 4 MB: three libraries import it for what is not used of them
