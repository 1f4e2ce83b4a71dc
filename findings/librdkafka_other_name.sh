#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka's OpenSSL): a broker whose certificate is signed by the very authority of ssl.ca.location, but
# is of another name than bootstrap.servers has, is reported as an authority that is wrong: "certificate verify failed: broker
# certificate could not be verified, verify that ssl.ca.location is correctly configured or root CA certificates are installed".
# No word says that the name is what differs. With ssl.endpoint.identification.algorithm=none the same authority is accepted.
# What follows: whoever reads the message looks at the authority, which is right.
# Ends with 0 where this is so, with 1 where it has changed.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.1
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout "$home/key.pem" -out "$home/ca.pem" \
    -subj /CN=kafka.internal -addext subjectAltName=DNS:kafka.internal 2>/dev/null
"$home/venv/bin/python" - "$home" <<'PYTHON'
import socket
import ssl
import sys
import threading
import time

from confluent_kafka import Consumer, libversion, version

home = sys.argv[1]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{home}/ca.pem", f"{home}/key.pem")
listener = socket.create_server(("127.0.0.1", 0))
shaken = []


def serve():
    while True:
        plain, _ = listener.accept()
        try:
            with context.wrap_socket(plain, server_side=True) as secure:
                shaken.append(secure.recv(4))  # the first bytes of a request: the client trusts us
        except OSError:
            pass


threading.Thread(target=serve, daemon=True).start()


def complaints(**properties):
    said = []
    consumer = Consumer({
        "bootstrap.servers": f"localhost:{listener.getsockname()[1]}", "broker.address.family": "v4", "group.id": "g",
        "security.protocol": "SSL", "ssl.ca.location": f"{home}/ca.pem", "log_level": 0,
        "error_cb": lambda error: said.append(error.str()), **properties,
    })
    until = time.monotonic() + 5
    while time.monotonic() < until:
        consumer.poll(0.2)
    consumer.close()
    return said


def requests():
    return sum(bool(first) for first in shaken)


said = [text for text in complaints() if "SSL handshake failed" in text]
refused = requests() == 0
complaints(**{"ssl.endpoint.identification.algorithm": "none"})
print(f"confluent-kafka {version()[0] if isinstance(version(), tuple) else version()}, librdkafka {libversion()[0]}: {said[:1]}; requests after the check of names is left out: {requests()}")
blames = bool(said) and all("verify that ssl.ca.location is correctly configured" in text for text in said)
names = any("name" in text.lower().replace("hostname", "name") and "mismatch" in text.lower() for text in said)
sys.exit(0 if blames and not names and refused and requests() else 1)
PYTHON
