"""The gateway's own delivery with bytes that were built beforehand: what sending alone takes."""

import gc
import json
import resource
import sys
import time

from bench.feed import messages, open_feed
from data_generator.delivery import Delivery, producer_settings
from data_generator.stopping import Stop


def main() -> None:
    """Build everything, then send it and wait for every acknowledgement."""
    told = json.loads(sys.stdin.read())
    feed = open_feed(told["payments"], told["card_hash_key"])
    built = list(messages(feed, told.get("repeat_every", 0)))
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    acknowledged = 0

    def acknowledge(_number: int, _partition: int, _offset: int) -> None:
        nonlocal acknowledged
        acknowledged += 1

    settings = producer_settings(told["bootstrap"], told["password"], told["max_bytes"])
    delivery = Delivery(settings, told["topic"], Stop(), acknowledge, lambda _: None)
    begun = time.perf_counter()
    delivery.connect()
    for number, message in enumerate(built):
        delivery.send(number, message)
    delivery.finish()
    seconds = time.perf_counter() - begun
    size = sum(
        len(m.key or b"") + len(m.value or b"") + sum(len(n) + len(v or b"") for n, v in m.headers) for m in built
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    answer = {"seconds": seconds, "acknowledged": acknowledged, "bytes_each": size / len(built), "peak_mib": peak}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
