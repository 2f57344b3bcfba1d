"""What the three brokers share."""

from collections.abc import Mapping
from dataclasses import replace

from control.kafka_node import Node, broker_command, prepare_broker
from control.service import Folder, Service, Settings
from control.services import kafka

NODES = tuple(Node(number) for number in (1, 2, 3))
# A majority has each event before it counts as delivered: one broker may die, and nothing waits.
MAJORITY = len(NODES) // 2 + 1


def follows(settings: Settings) -> Mapping[str, str]:
    """Return where clients find the brokers, and how many keep an event."""
    return {
        "KAFKA_BOOTSTRAP": ",".join(f"127.0.0.1:{settings[node.port]}" for node in NODES),
        "KAFKA_REPLICATION": str(len(NODES)),
        "KAFKA_MIN_INSYNC": str(MAJORITY),
    }


def broker(node: Node) -> Service:
    """Return the plain broker's service with the configuration of a member of the cluster."""
    return replace(
        kafka.SERVICE,
        name=node.name,
        place=kafka.SERVICE.place + node.number - 1,
        command=lambda platform: broker_command(platform.layout, node),
        ports=(node.port, node.controller_port),
        folders=lambda layout, _: [Folder(node.folder(layout)), Folder(node.data(layout))],
        prepare=lambda platform: prepare_broker(platform.layout, platform.accounts, platform.settings, node, NODES),
    )


def follower(node: Node) -> Service:
    """Return a broker beside the first one, which speaks for all of them."""
    first = 9092 + 2 * (node.number - 1)
    return replace(
        broker(node),
        adds={node.port: str(first), node.controller_port: str(first + 1)},
        follows=lambda _: {},
        url=lambda settings: f"127.0.0.1:{settings[node.port]}",
        addresses=lambda _: (),
        wait=None,
        provision=None,
        says=("", ""),
        users=(),
    )
