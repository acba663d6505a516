#!/usr/bin/env bash
# Runs a real Apache Kafka (KRaft) on loopback for development and tests.
# The jars come from the Maven registry, at the version pinned in kafka/pom.xml. KAFKA_HOME is the folder for
# configuration, logs and data (default: target/kafka). KAFKA_PORT is the first broker's port; the ports of
# the other brokers and of the controllers follow it. With --secure, clients also reach each broker over TLS;
# kafka/secure.sh has the listeners, users and certificates.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

home=${KAFKA_HOME:-$PWD/target/kafka}
libs=$PWD/target/kafka/libs
port=${KAFKA_PORT:-19092}
# Starts fast and uses little memory, at the cost of the broker's peak throughput.
java_options=${KAFKA_JAVA_OPTIONS:--Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1}

usage() { echo "deploy/kafka.sh up [--brokers N] [--secure] | down | status | start N | stop N | kill N | jars" >&2; exit 2; }

client_port() { echo $((port + 2 * ($1 - 1))); }
running() { [ -f "$home/$1.pid" ] && kill -0 "$(cat "$home/$1.pid")" 2>/dev/null; }
# shellcheck source=deploy/kafka/secure.sh
. deploy/kafka/secure.sh
tool() { java -Xshare:auto -XX:TieredStopAtLevel=1 -Dlog4j2.level=ERROR -cp "$libs/*" "$@"; }

# addresses PORT: prints the addresses of all brokers; PORT is the function that returns the port of one.
addresses() {
  local all=() i
  for i in $(seq "$(cat "$home/brokers")"); do all+=("127.0.0.1:$("$1" "$i")"); done
  local IFS=,
  echo "${all[*]}"
}

jars() {
  if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    echo "A real Kafka needs Java 17 and Maven:  sudo apt-get install default-jre-headless maven" >&2
    exit 1
  fi
  mkdir -p "$(dirname "$libs")"
  # The lock lets tests that start at the same time fetch the jars once.
  (
    command -v flock >/dev/null && flock 9
    [ -f "$libs/.done" ] && cmp -s "$libs/.done" deploy/kafka/pom.xml && exit
    rm -rf "$libs"
    mvn -q -B -f deploy/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs"
    cp deploy/kafka/pom.xml "$libs/.done"
  ) 9>"$libs.lock"
}

# settings BROKER BROKERS: writes the properties of one broker of a cluster of BROKERS.
settings() {
  local voters=() i replicas=$2 safe=$(($2 > 1 ? 2 : 1))
  for i in $(seq "$2"); do voters+=("$i@127.0.0.1:$(($(client_port "$i") + 1))"); done
  local own
  own=$(client_port "$1")
  cat >"$home/$1.properties" <<TEXT
process.roles=broker,controller
node.id=$1
controller.quorum.voters=$(IFS=,; echo "${voters[*]}")
listeners=PLAINTEXT://127.0.0.1:$own,CONTROLLER://127.0.0.1:$((own + 1))
controller.listener.names=CONTROLLER
log.dirs=$home/data/$1
num.partitions=4
default.replication.factor=$replicas
min.insync.replicas=$safe
offsets.topic.replication.factor=$replicas
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$safe
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$safe
group.initial.rebalance.delay.ms=0
# Few internal partitions keep a cluster on one machine light. A short session detects a lost broker early.
offsets.topic.num.partitions=6
transaction.state.log.num.partitions=6
broker.session.timeout.ms=6000
num.network.threads=2
num.io.threads=4
TEXT
  # Of a property that is set twice, the later line counts. The file has the passwords of the users.
  if [ -f "$home/secured" ]; then
    chmod 600 "$home/$1.properties"
    secure_settings "$1" >>"$home/$1.properties"
  fi
}

start() {
  running "$1" && return
  # shellcheck disable=SC2086
  nohup java $java_options -Dlog4j2.level=WARN -cp "$libs/*" kafka.Kafka "$home/$1.properties" >>"$home/$1.log" 2>&1 &
  echo $! >"$home/$1.pid"
}

# stop SIGNAL BROKER: sends the signal and waits until the broker has exited.
stop() {
  if running "$2"; then
    kill "-$1" "$(cat "$home/$2.pid")"
    while running "$2"; do sleep 0.1; done
  fi
  rm -f "$home/$2.pid"
}

up() {
  local brokers=1 secured=
  while [ $# -gt 0 ]; do
    case "$1" in
      --brokers) brokers=${2:?give the number of brokers}; shift 2 ;;
      --secure) secured=yes; shift ;;
      *) usage ;;
    esac
  done
  jars
  mkdir -p "$home/data"
  if [ -f "$home/brokers" ] && [ "$(cat "$home/brokers")" != "$brokers" ]; then
    echo "$home has data of $(cat "$home/brokers") brokers; use that number, or remove the folder" >&2
    exit 1
  fi
  # The users of SCRAM are written when the folder is formatted.
  if [ -f "$home/brokers" ] && [ "$secured" != "$([ -f "$home/secured" ] && echo yes)" ]; then
    echo "$home has data of a cluster with$([ -n "$secured" ] && echo out) --secure; start it so, or remove the folder" >&2
    exit 1
  fi
  if [ -n "$secured" ]; then
    secure_files
    touch "$home/secured"
  fi
  echo "$brokers" >"$home/brokers"
  local id="" i
  for i in $(seq "$brokers"); do
    settings "$i" "$brokers"
    if [ ! -d "$home/data/$i" ]; then
      [ -n "$id" ] || id=$(tool kafka.tools.StorageTool random-uuid 2>/dev/null | tail -n 1)
      if [ -n "$secured" ]; then
        format_secured "$id" "$i"
      else
        tool kafka.tools.StorageTool format -t "$id" -c "$home/$i.properties" >"$home/$i.format.log" 2>&1
      fi
    fi
    start "$i"
  done
  # The ports accept connections before the cluster is ready.
  for _ in $(seq 40); do
    for i in $(seq "$brokers"); do running "$i" || { tail -n 20 "$home/$i.log" >&2; exit 1; }; done
    if [ "$(tool org.apache.kafka.tools.BrokerApiVersionsCommand --bootstrap-server "$(addresses client_port)" 2>/dev/null |
      grep -c 'id: ')" -ge "$brokers" ]; then
      echo "Kafka is up at $(addresses client_port)"
      [ -z "$secured" ] || describe_secured
      return
    fi
    sleep 1
  done
  echo "Kafka did not start; last lines of $home/1.log:" >&2
  tail -n 20 "$home/1.log" >&2
  exit 1
}

any_running() { for i in $(all); do running "$i" && return; done; return 1; }

all() { [ -f "$home/brokers" ] && seq "$(cat "$home/brokers")" || true; }

case "${1-}" in
  up) shift; up "$@" ;;
  down)
    # Stops all brokers at once: a broker that stops alone waits for the others to take over its partitions.
    # One without a quorum would wait for minutes, so it is killed after 10 s; its log is as safe as after a
    # power cut.
    for i in $(all); do running "$i" && kill "$(cat "$home/$i.pid")"; done
    for _ in $(seq 100); do any_running && sleep 0.1 || break; done
    for i in $(all); do stop KILL "$i"; done
    echo "Kafka is down; its data remain in $home until you remove them"
    ;;
  status)
    [ -n "$(all)" ] || echo "down"
    for i in $(all); do
      if running "$i"; then echo "broker $i up at 127.0.0.1:$(client_port "$i")"; else echo "broker $i down"; fi
    done
    ;;
  start) start "${2:?give the number of the broker}" ;;
  stop) stop TERM "${2:?give the number of the broker}" ;;
  kill) stop KILL "${2:?give the number of the broker}" ;;
  jars) jars ;;
  tool) shift; tool "$@" ;;
  *) usage ;;
esac
