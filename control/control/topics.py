"""Topics, users and rights on the broker: made from the contracts, safe to repeat."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from contracts.entities import all_topics
from contracts.model import Entity
from control.progress import say
from control.registry import users_of
from control.service import Acl, Services
from core.errors import TieoutError
from core.kafka_login import KafkaPlace, kafka_python_login


def rights(entities: Sequence[Entity], services: Services | None = None) -> dict[str, list[Acl]]:
    """Return what each user may do. Nothing else is allowed to anyone but admin and broker.

    Args:
        entities: all of them, payments first.
        services: whose users; without them those of the plain services.
    """
    found = {}
    for user in users_of(services):
        allowed = list(user.rights(entities))
        if any((each.operation, each.resource) == ("READ", "TOPIC") for each in allowed):
            allowed.append(Acl("READ", f"{user.name}-", "GROUP", prefixed=True))
        found[user.name] = allowed
    return found


@contextmanager
def administrator(settings: Mapping[str, str]) -> Iterator[Any]:
    """Yield kafka-python's admin client, logged in as admin: the second client beside confluent-kafka."""
    from kafka.admin import KafkaAdminClient

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # refusals are raised; it logs each of them as well
    client = KafkaAdminClient(
        **kafka_python_login(KafkaPlace.of(settings), "admin", settings["KAFKA_PASSWORD_ADMIN"]),
        request_timeout_ms=10_000,
        bootstrap_timeout_ms=3_000,
    )
    try:
        yield client
    finally:
        client.close()


def ensure_topics(settings: Mapping[str, str], entities: Sequence[Entity], services: Services | None = None) -> None:
    """Bring users, topics and rights to what contract and services state; what is already so stays.

    A topic with fewer partitions than the contract says is given more; one with more keeps them. Every reader takes new
    partitions in, and loses none of the old ones.
    """
    place = KafkaPlace.of(settings)
    copies, insync = (settings.get(f"KAFKA_{each}") or "1" for each in ("REPLICATION", "MIN_INSYNC"))
    with administrator(settings) as admin:
        # Users by a certificate, and passwords of PLAIN, are the broker's operator's to make.
        if place.has_passwords and place.mechanism != "PLAIN":
            passwords = {user.name: settings[user.secret] for user in users_of(services)}
            _ensure_users(admin, passwords, place.mechanism.replace("-", "_"))
        present = set(admin.list_topics())
        for topic in all_topics(entities):
            config = {**topic.config, **({"min.insync.replicas": insync} if insync != "1" else {})}
            if topic.name in present:
                _add_partitions(admin, topic.name, topic.partitions)
                _set_configuration(admin, topic.name, config)
            else:
                wanted = {"num_partitions": topic.partitions, "replication_factor": int(copies), "configs": config}
                admin.create_topics({topic.name: wanted}, wait_for_metadata=True)
        _ensure_rights(admin, entities, rights(entities, services))


def _ensure_users(admin: Any, passwords: Mapping[str, str], mechanism: str) -> None:
    from kafka.admin import UserScramCredentialUpsertion

    refused = admin.alter_user_scram_credentials(
        [UserScramCredentialUpsertion(user, mechanism, word, 8192) for user, word in passwords.items()]
    )
    for user, error in refused.items():
        if error is not None:
            raise TieoutError(
                f"user {user} could not be set: {error}", "the broker runs.", "./scripts/tieout logs kafka"
            )


def _add_partitions(admin: Any, name: str, partitions: int) -> None:
    described = admin.describe_topics([name])[0]
    there = len(described["partitions"])
    if there > partitions:
        say(f"  topic {name} has {there} partitions, the contract says {partitions}; all of them are read")
    if there < partitions:
        admin.create_partitions({name: partitions})
        say(f"  topic {name} has {partitions} partitions now instead of {there}, as the contract says")


def _set_configuration(admin: Any, name: str, config: Mapping[str, str]) -> None:
    from kafka.admin import ConfigResource

    admin.alter_configs([ConfigResource("TOPIC", name, dict(config))])


def _ensure_rights(admin: Any, entities: Sequence[Entity], allowed: Mapping[str, list[Acl]]) -> None:
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

    _take_old_rights_back(admin, entities, allowed)
    kinds = {False: ACLResourcePatternType.LITERAL, True: ACLResourcePatternType.PREFIXED}
    acls = []
    for user, each in ((user, each) for user, found in allowed.items() for each in found):
        pattern = ResourcePattern(ResourceType[each.resource], each.name, kinds[each.prefixed])
        acls.append(ACL(f"User:{user}", "*", ACLOperation[each.operation], ACLPermissionType.ALLOW, pattern))
    failed = admin.create_acls(acls)["failed"]
    if failed:
        raise TieoutError(f"rights could not be set: {failed[0]}", "the broker runs.", "./scripts/tieout logs kafka")


def _take_old_rights_back(admin: Any, entities: Sequence[Entity], allowed: Mapping[str, list[Acl]]) -> None:
    """Revoke what an earlier version allowed: the right of one of our users on a topic of ours that it has no more."""
    from kafka.admin import (
        ACLFilter,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourcePatternFilter,
        ResourceType,
    )
    from kafka.errors import NoError

    anything = ResourcePatternFilter(ResourceType.TOPIC, None, ACLResourcePatternType.ANY)
    found, _ = admin.describe_acls(ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ALLOW, anything))
    ours = {topic.name for topic in all_topics(entities)}
    old = []
    for acl in found:
        user, pattern = acl.principal.removeprefix("User:"), acl.resource_pattern
        is_literal = pattern.pattern_type == ACLResourcePatternType.LITERAL
        wanted = is_literal and Acl(acl.operation.name, pattern.resource_name) in allowed.get(user, [])
        if user in allowed and pattern.resource_name in ours and not wanted:
            exactly = ResourcePatternFilter(pattern.resource_type, pattern.resource_name, pattern.pattern_type)
            old.append(ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, exactly))
    failed = [error.__name__ for _, _, error in (admin.delete_acls(old) if old else []) if error is not NoError]
    if failed:
        raise TieoutError(
            f"old rights could not be taken back: {failed[0]}", "the broker runs.", "./scripts/tieout logs kafka"
        )
