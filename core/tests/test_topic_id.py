from base64 import b64encode
from uuid import UUID

from hypothesis import given
from hypothesis.strategies import uuids

from core.topic_id import normalise_topic_id


def test_an_id_is_spelled_as_the_broker_does():
    assert normalise_topic_id(UUID("fbefbeff-ffff-4fbe-bbef-beffffffffff")) == "----____T767777______w"


@given(uuids())
def test_both_clients_ids_are_spelled_the_same(identity):
    assert normalise_topic_id(b64encode(identity.bytes).decode()) == normalise_topic_id(identity)
