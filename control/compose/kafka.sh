#!/usr/bin/env bash
# The broker of docker-compose.yml: writes its configuration, formats its log once with the first users, and becomes it.
# Inside the container it listens on all addresses; docker-compose.yml publishes the client's port on 127.0.0.1 only.
set -euo pipefail
umask 077
properties=/tmp/server.properties
login="org.apache.kafka.common.security.scram.ScramLoginModule required username=\"broker\" password=\"$KAFKA_PASSWORD_BROKER\";"

cat >"$properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:29093
listeners=CLIENT://:9092,INTERNAL://:29092,CONTROLLER://127.0.0.1:29093
advertised.listeners=CLIENT://127.0.0.1:$KAFKA_PORT,INTERNAL://kafka:29092
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,INTERNAL:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
sasl.enabled.mechanisms=SCRAM-SHA-256
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-256
sasl.mechanism.controller.protocol=SCRAM-SHA-256
listener.name.client.scram-sha-256.sasl.jaas.config=$login
listener.name.internal.scram-sha-256.sasl.jaas.config=$login
listener.name.controller.scram-sha-256.sasl.jaas.config=$login
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:broker
allow.everyone.if.no.acl.found=false
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.max.timeout.ms=60000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.dirs=/var/lib/kafka/data/log
PROPERTIES

if [[ ! -f /var/lib/kafka/data/log/meta.properties ]]; then
  # Its standard output lists the users' keys: it goes nowhere.
  /opt/kafka/bin/kafka-storage.sh format --cluster-id "$(/opt/kafka/bin/kafka-storage.sh random-uuid)" --config "$properties" \
    --add-scram "SCRAM-SHA-256=[name=admin,password=$KAFKA_PASSWORD_ADMIN]" \
    --add-scram "SCRAM-SHA-256=[name=broker,password=$KAFKA_PASSWORD_BROKER]" >/dev/null
fi
exec /opt/kafka/bin/kafka-server-start.sh "$properties"
