"""Confluent's client, as a data engineer would use it: writes records that it reads as JSON lines, or reads and prints them."""

import json
import sys
from datetime import datetime, timezone

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

TIMES = {"at", "edited_at", "followers_at", "until"}


def message_class(descriptors, name):
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet()
    with open(descriptors, "rb") as file:
        files.ParseFromString(file.read())
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def with_times(value):
    """The same with times as Python has them."""
    if isinstance(value, list):
        return [with_times(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: datetime.fromisoformat(part.replace("Z", "+00:00")) if name in TIMES else with_times(part)
        for name, part in value.items()
    }


def in_words(value):
    return value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write(brokers, registry, topic, form, schema):
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
    client = SchemaRegistryClient({"url": registry})
    if form == "avro":
        with open(schema) as file:
            serialize = AvroSerializer(client, file.read(), lambda record, _: with_times(record))
    else:
        descriptors, name = schema.split(":")
        kind = message_class(descriptors, name)
        protobuf = ProtobufSerializer(kind, client, {"use.deprecated.format": False})
        serialize = lambda record, context: protobuf(json_format.ParseDict(record, kind()), context)
    context = SerializationContext(topic, MessageField.VALUE)
    for line in sys.stdin:
        record = json.loads(line)
        producer.produce(topic, key=record["conversation"], value=serialize(record, context))
        producer.poll(0)
    producer.flush()


def read(brokers, registry, topic, form, schema, least):
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": "client", "auto.offset.reset": "earliest",
        "isolation.level": "read_committed", "enable.auto.commit": False,
    })
    consumer.subscribe([topic])
    client = SchemaRegistryClient({"url": registry})
    if form == "avro":
        deserialize = AvroDeserializer(client)
    else:
        descriptors, name = schema.split(":")
        # It would ask for the schema compiled, which Apicurio does not do.
        deserialize = ProtobufDeserializer(message_class(descriptors, name), {"use.deprecated.format": False})
    context = SerializationContext(topic, MessageField.VALUE)
    seen, silent = 0, 0
    while seen < int(least) or silent < 3:
        message = consumer.poll(1.0)
        if message is None:
            silent += 1
            assert silent < 60, f"{topic} holds {seen} of {least}"
            continue
        assert message.error() is None, message.error()
        silent, seen = 0, seen + 1
        record = deserialize(message.value(), context)
        if form != "avro":
            record = json_format.MessageToDict(record, preserving_proto_field_name=True)
        print(json.dumps(record, default=in_words))
    consumer.close()


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
