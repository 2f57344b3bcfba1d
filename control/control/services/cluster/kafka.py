"""The first of three brokers; clients are told of all of them."""

from dataclasses import replace

from control.service import Settings
from control.services.cluster._brokers import NODES, broker, follows
from control.services.kafka import wait_for_broker


def _wait(settings: Settings, seconds: float) -> None:
    wait_for_broker(settings, seconds, brokers=len(NODES))


SERVICE = replace(broker(NODES[0]), follows=follows, wait=_wait)
