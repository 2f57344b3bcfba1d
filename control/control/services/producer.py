"""The demo's gateway: payments, one after the other."""

import sys

from control.service import BROKER, INTERACTIVE, Acl, Folder, KafkaUser, Service

SERVICE = Service(
    name="producer",
    place=22,
    command=lambda platform: (
        *(sys.executable, "-P", "-m", "control"),
        *("produce", "--rate", platform.settings["PRODUCER_RATE"]),
    ),
    knows=(*BROKER, "KAFKA_PASSWORD_GATEWAY", "CARD_HASH_KEY", "PRODUCER_RATE"),
    waits_for=("kafka",),
    priority=INTERACTIVE,
    is_optional=True,
    folders=lambda layout, _: [Folder(layout.batch_files, kept=True), Folder(layout.undelivered, kept=True)],
    # A topic of control totals has one writer: what is on it is that user's word and nobody else's.
    users=(
        KafkaUser(
            "gateway",
            lambda entities: [
                *(Acl("WRITE", entity.topic.name) for entity in entities),
                Acl("WRITE", entities[0].platform.control_topics["gateway"].name),
            ],
        ),
    ),
)
