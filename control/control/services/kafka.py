"""The broker, with the topics that the contracts state."""

from collections.abc import Mapping

from control.kafka_node import FIRST, broker_command, prepare_broker, wait_for_broker
from control.service import INTERACTIVE, Acl, Address, Folder, Group, KafkaUser, Service, Services


def _make_topics(settings: Mapping[str, str], services: Services) -> None:
    from contracts.entities import load_entities
    from control.topics import ensure_topics

    ensure_topics(settings, load_entities(), services)


SERVICE = Service(
    name="kafka",
    place=11,
    group=Group.BASE,
    command=lambda platform: broker_command(platform.layout),
    ports=(FIRST.port, FIRST.controller_port),
    follows=lambda settings: {"KAFKA_BOOTSTRAP": f"127.0.0.1:{settings['KAFKA_PORT']}"},
    priority=INTERACTIVE,
    url=lambda settings: settings["KAFKA_BOOTSTRAP"],
    addresses=lambda platform: [
        Address("broker", platform.settings["KAFKA_BOOTSTRAP"], "SCRAM users in .env", place=10)
    ],
    folders=lambda layout, _: [Folder(FIRST.folder(layout)), Folder(layout.kafka_data)],
    is_elsewhere=lambda settings: not settings["KAFKA_BOOTSTRAP"].startswith("127.0.0.1:"),
    prepare=lambda platform: prepare_broker(platform.layout, platform.accounts, platform.settings),
    wait=wait_for_broker,
    provision=_make_topics,
    says=("kafka on {KAFKA_BOOTSTRAP}", "topics, users, rights"),
    users=(
        # No service's: a person puts dead letters back.
        KafkaUser(
            "redrive",
            lambda entities: [
                *(Acl("WRITE", entity.topic.name) for entity in entities),
                Acl("WRITE", entities[0].platform.control_topics["redrive"].name),
            ],
        ),
    ),
)
