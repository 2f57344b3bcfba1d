"""The first of three brokers; clients are told of all of them."""

from dataclasses import replace

from control.kafka_node import wait_for_broker
from control.service import Settings
from control.services.cluster._brokers import NODES, broker, follows


def _wait(settings: Settings, seconds: float) -> None:
    wait_for_broker(settings, seconds, brokers=len(NODES))


SERVICE = replace(broker(NODES[0]), follows=follows, wait=_wait)
