#!/usr/bin/env bash
# One real Apache Kafka broker (KRaft) on loopback for development: up, down, status.
# Jars come from the Maven registry at the version pinned in kafka/pom.xml; everything lives under target/kafka.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

home=$PWD/target/kafka
port=${KAFKA_PORT:-19092}
controller=$((port + 1))
topics="firewatch.events firewatch.actions firewatch.signals firewatch.scores firewatch.dlq escalations.pr escalations.support"

running() { [ -f "$home/pid" ] && kill -0 "$(cat "$home/pid")" 2>/dev/null; }

tool() { java -Dlog4j2.level=ERROR -cp "$home/libs/*" "$@"; }

jars() {
  if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    echo "A real Kafka needs Java 17 and Maven:  sudo apt-get install openjdk-17-jre-headless maven" >&2
    exit 1
  fi
  [ -f "$home/libs/.done" ] && cmp -s "$home/libs/.done" deploy/kafka/pom.xml && return
  rm -rf "$home/libs"
  mvn -q -B -f deploy/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$home/libs"
  cp deploy/kafka/pom.xml "$home/libs/.done"
}

settings() {
  cat >"$home/server.properties" <<TEXT
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
controller.listener.names=CONTROLLER
log.dirs=$home/data
num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
TEXT
}

up() {
  if running; then echo "Kafka is up at 127.0.0.1:$port"; return; fi
  jars
  settings
  if [ ! -d "$home/data" ]; then
    id=$(tool kafka.tools.StorageTool random-uuid 2>/dev/null | tail -n 1)
    tool kafka.tools.StorageTool format -t "$id" -c "$home/server.properties" >"$home/format.log" 2>&1
  fi
  nohup java -Xmx1g -Dlog4j2.level=WARN -cp "$home/libs/*" kafka.Kafka "$home/server.properties" >"$home/server.log" 2>&1 &
  echo $! >"$home/pid"
  local made=0
  for _ in $(seq 60); do
    running || break
    # The port answers before the broker does; making the first topic is the proof.
    if tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --create --if-not-exists \
      --topic firewatch.events --partitions 4 >"$home/topics.log" 2>&1; then
      made=1
      break
    fi
    sleep 1
  done
  if [ $made = 0 ]; then
    echo "Kafka did not start; the end of $home/server.log:" >&2
    tail -n 20 "$home/server.log" >&2
    exit 1
  fi
  for topic in $topics; do
    tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --create --if-not-exists \
      --topic "$topic" --partitions 4 >>"$home/topics.log" 2>&1
  done
  echo "Kafka is up at 127.0.0.1:$port with the topics $topics"
}

down() {
  if running; then
    kill "$(cat "$home/pid")"
    while running; do sleep 0.2; done
  fi
  rm -f "$home/pid"
  echo "Kafka is down; its data stay in target/kafka/data until you remove them"
}

case "${1-}" in
  up) up ;;
  down) down ;;
  status) if running; then echo "up at 127.0.0.1:$port"; else echo "down"; fi ;;
  *) echo "./dev kafka up|down|status" >&2; exit 2 ;;
esac
