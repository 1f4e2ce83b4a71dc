"""driftd's daemon: Kafka events in, drift scores, alerts and retraining requests out."""

from monitor.importing import later, share_generated

for _name in ("asyncio", "calendar", "csv", "difflib", "gzip", "mimetypes", "subprocess"):
    later(_name)  # 5 MB, 4 of them asyncio's: libraries import them for what is not used of them
share_generated("monitor", "detectors")  # 3 MB
