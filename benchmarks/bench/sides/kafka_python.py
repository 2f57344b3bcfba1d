"""The same builder in front of kafka-python's producer, with the same acknowledgements, batches and waiting."""

import gc
import json
import sys
import time

from kafka import KafkaProducer

from bench.feed import messages, open_feed
from core.kafka_login import kafka_python_login


def main() -> None:
    """Build and send every event; wait for every acknowledgement."""
    told = json.loads(sys.stdin.read())
    feed = open_feed(told["payments"], told["card_hash_key"])
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    failed: list[BaseException] = []
    producer = KafkaProducer(
        **kafka_python_login(told["bootstrap"], "gateway", told["password"]),
        acks="all",
        enable_idempotence=True,
        linger_ms=20,
        batch_size=262_144,
        max_request_size=told["max_bytes"],
    )
    begun = time.perf_counter()
    for message in messages(feed):
        headers = [(name, value.encode() if isinstance(value, str) else value) for name, value in message.headers]
        sent = producer.send(told["topic"], key=message.key, value=message.value, headers=headers)
        sent.add_errback(failed.append)
    producer.flush()
    seconds = time.perf_counter() - begun
    producer.close()
    if failed:
        raise SystemExit(f"{len(failed)} events were refused: {failed[0]}")
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")


if __name__ == "__main__":
    main()
