#!/usr/bin/env bash
# Runs a real schema registry (Apicurio, with Confluent's API) on loopback for development and tests.
# It comes from the Maven registry, at the version pinned in registry/pom.xml. Its schemas are lost when
# it stops. REGISTRY_HOME is the folder for its log (default: target/registry); REGISTRY_PORT is its port.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

home=${REGISTRY_HOME:-$PWD/target/registry}
app=$PWD/target/registry/app
port=${REGISTRY_PORT:-18081}
address=http://127.0.0.1:$port/apis/ccompat/v7

usage() { echo "deploy/registry.sh up | down | status | jars" >&2; exit 2; }

answers() {
  { exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /apis/ccompat/v7/subjects HTTP/1.0\r\n\r\n' >&3 && head -n 1 <&3; } 2>/dev/null |
    grep -q ' 200'
}

running() { [ -f "$home/pid" ] && kill -0 "$(cat "$home/pid")" 2>/dev/null; }

jars() {
  if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    echo "A schema registry needs Java 17 and Maven:  sudo apt-get install default-jre-headless maven" >&2
    exit 1
  fi
  mkdir -p "$(dirname "$app")"
  # The lock lets tests that start at the same time fetch it once.
  (
    command -v flock >/dev/null && flock 9
    [ -f "$app/.done" ] && cmp -s "$app/.done" deploy/registry/pom.xml && exit
    rm -rf "$app"
    mvn -q -B -f deploy/registry/pom.xml dependency:copy-dependencies -DoutputDirectory="$app"
    tar -xzf "$app"/*.tar.gz -C "$app"
    rm "$app"/*.tar.gz
    cp deploy/registry/pom.xml "$app/.done"
  ) 9>"$app.lock"
}

up() {
  jars
  mkdir -p "$home"
  if ! running; then
    nohup java -Xmx300m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dquarkus.http.host=127.0.0.1 \
      -Dquarkus.http.port="$port" -jar "$app"/*-runner.jar >"$home/log" 2>&1 &
    echo $! >"$home/pid"
  fi
  for _ in $(seq 240); do
    running || break
    if answers; then
      echo "The schema registry is up at $address"
      return
    fi
    sleep 0.25
  done
  echo "The schema registry did not start; last lines of $home/log:" >&2
  tail -n 20 "$home/log" >&2
  exit 1
}

down() {
  if running; then
    kill "$(cat "$home/pid")"
    while running; do sleep 0.1; done
  fi
  rm -f "$home/pid"
}

case "${1-}" in
  up) up ;;
  down) down; echo "The schema registry is down" ;;
  status) if running; then echo "up at $address"; else echo "down"; fi ;;
  jars) jars ;;
  *) usage ;;
esac
