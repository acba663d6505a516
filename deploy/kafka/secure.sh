# Settings of a broker with TLS, SASL and access rights; ../kafka.sh reads this file for `up --secure`.
# All files lie in $secure, which only its owner can read. Each user's password is in USER.password.

secure=$home/secure
# Users of SCRAM and PLAIN: `firewatch`, and `admin`, who may do everything. `guest`, to whom nobody grants anything,
# is a user of PLAIN only.
secure_users=(firewatch guest admin)

# Each broker has three ports for clients above its plain port: SASL over TLS, TLS with client certificates, and SASL
# over TLS with a certificate of another host.
sasl_port() { echo $(($(client_port "$1") + 30)); }
mtls_port() { echo $(($(client_port "$1") + 50)); }
other_host_port() { echo $(($(client_port "$1") + 70)); }

password_of() { cat "$secure/$1.password"; }

# authority NAME: makes a certificate authority.
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj "/CN=firewatch test $1" \
    -keyout "$secure/$1.key" -out "$secure/$1.pem" 2>/dev/null
}

# certificate NAME AUTHORITY SUBJECT [ALTERNATIVE_NAMES]: makes NAME.pem with NAME.key, signed by an authority, and
# NAME.store.pem with both, as a broker reads them.
certificate() {
  local names=()
  [ -z "${4-}" ] || names=(-addext "subjectAltName=$4")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj "$3" ${names[@]+"${names[@]}"} \
    -addext basicConstraints=critical,CA:FALSE -CA "$secure/$2.pem" -CAkey "$secure/$2.key" \
    -keyout "$secure/$1.key" -out "$secure/$1.pem" 2>/dev/null
  cat "$secure/$1.key" "$secure/$1.pem" >"$secure/$1.store.pem"
}

# Makes what is missing: authorities, certificates and passwords. An unfinished folder is made again.
secure_files() {
  [ -f "$secure/.done" ] && return
  if ! command -v openssl >/dev/null; then
    echo "A secured Kafka needs OpenSSL 3:  sudo apt-get install openssl" >&2
    exit 1
  fi
  rm -rf "$secure"
  (
    umask 077
    mkdir -p "$secure"
    authority ca
    authority foreign-ca
    certificate broker ca "/CN=broker" "DNS:localhost,IP:127.0.0.1"
    certificate other-host ca "/CN=broker" "DNS:other.example,IP:192.0.2.1"
    certificate client ca "/CN=firewatch"
    certificate foreign-client foreign-ca "/CN=firewatch"
    local user
    for user in "${secure_users[@]}"; do openssl rand -hex 24 | tr -d '\n' >"$secure/$user.password"; done
    touch "$secure/.done"
  )
}

# secure_settings BROKER: prints the properties that replace the plain ones. The plain listener remains for the
# brokers and for Kafka's tools; who connects there is ANONYMOUS and may do everything.
secure_settings() {
  local plain user users=() listener
  plain=$(client_port "$1")
  for user in "${secure_users[@]}"; do users+=("user_$user=\"$(password_of "$user")\""); done
  cat <<TEXT
listeners=PLAINTEXT://127.0.0.1:$plain,CONTROLLER://127.0.0.1:$((plain + 1)),SASL_SSL://127.0.0.1:$(sasl_port "$1"),SSL://127.0.0.1:$(mtls_port "$1"),OTHER_HOST://127.0.0.1:$(other_host_port "$1")
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,OTHER_HOST:SASL_SSL
inter.broker.listener.name=PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:ANONYMOUS;User:admin
ssl.keystore.type=PEM
ssl.keystore.location=$secure/broker.store.pem
ssl.truststore.type=PEM
ssl.truststore.location=$secure/ca.pem
listener.name.ssl.ssl.client.auth=required
# A certificate of CN=firewatch is the same principal as the user firewatch.
listener.name.ssl.ssl.principal.mapping.rules=RULE:^CN=([^,]+).*\$/\$1/,DEFAULT
listener.name.other_host.ssl.keystore.type=PEM
listener.name.other_host.ssl.keystore.location=$secure/other-host.store.pem
TEXT
  for listener in sasl_ssl other_host; do
    cat <<TEXT
listener.name.$listener.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
listener.name.$listener.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required ${users[*]};
listener.name.$listener.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.$listener.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
TEXT
  done
}

# format_secured ID BROKER: formats the folder of a broker with the SCRAM users. The arguments are in a file, so that
# no list of processes shows the passwords.
format_secured() {
  local user mechanism arguments=$secure/format.arguments
  (
    umask 077
    {
      echo "-Xshare:auto -XX:TieredStopAtLevel=1 -Dlog4j2.level=ERROR -cp \"$libs/*\""
      echo "kafka.tools.StorageTool format -t $1 -c $home/$2.properties"
      for user in firewatch admin; do
        for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
          echo "--add-scram '$mechanism=[name=$user,password=$(password_of "$user")]'"
        done
      done
    } >"$arguments"
  )
  # The log and the data have the keys that SCRAM derives from the passwords.
  touch "$home/$2.format.log"
  chmod 600 "$home/$2.format.log"
  chmod 700 "$home/data"
  java "@$arguments" >"$home/$2.format.log" 2>&1
  rm -f "$arguments"
}

# Prints how clients reach the brokers.
describe_secured() {
  cat <<TEXT
  SASL over TLS (SCRAM-SHA-512, SCRAM-SHA-256, PLAIN): $(addresses sasl_port)
  TLS with client certificates: $(addresses mtls_port)
  Files in $secure: USER.password of ${secure_users[*]}, ca.pem, client.pem, client.key
  Only admin may do anything until you grant access with deploy/kafka.sh tool org.apache.kafka.tools.AclCommand
TEXT
}
