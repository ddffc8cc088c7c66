"""librdkafka by way of confluent-kafka: `<bootstrap servers> <verb> <settings as JSON>`; prints lines of JSON."""

import json
import signal
import sys

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka import IsolationLevel, KafkaError, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

servers, verb, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])


def say(**what):
    print(json.dumps(what), flush=True)


def fail(error, _):
    if error is not None:
        raise KafkaException(error)


def produce(topic, codec, idempotent, count):
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "compression.type": codec,
            "enable.idempotence": idempotent,
            "linger.ms": 100,
        }
    )
    for index in range(count):
        headers = [("number", str(index))]
        producer.produce(topic, f"value {index}", f"key {index % 100}", headers=headers, on_delivery=fail)
        producer.poll(0)
    assert producer.flush(30) == 0
    say(written=count)


def consume(topic, count, isolation, partitions):
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "not used",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    records, ends = [], set()
    # to the end of every partition, so that what should not be there would be seen
    while len(ends) < partitions or len(records) < count:
        message = consumer.poll(30)
        assert message is not None
        if message.error() is None:
            records.append([message.partition(), message.key().decode(), message.value().decode()])
        elif message.error().code() == KafkaError._PARTITION_EOF:
            ends.add(message.partition())
        else:
            raise KafkaException(message.error())
    consumer.close()
    say(records=records)


def member(topic, group, protocol):
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    classic = {"session.timeout.ms": 10000, "heartbeat.interval.ms": 300, "partition.assignment.strategy": "range"}
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
            **(classic if protocol == "classic" else {}),
        }
    )
    owned = set()

    def assigned(_, partitions):
        owned.update(one.partition for one in partitions)
        say(owned=sorted(owned))

    def revoked(_, partitions):
        owned.difference_update(one.partition for one in partitions)
        say(owned=sorted(owned))

    consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked)
    while not stopping:
        messages = consumer.consume(100, 0.1)
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
            say(read=[message.partition(), message.value().decode()])
        if messages:
            consumer.commit(asynchronous=False)
    consumer.close()


def transaction(**given):
    producer = Producer({"bootstrap.servers": servers, "transactional.id": given["transactionalId"]})
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": given["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([given["from"]])
    producer.init_transactions(30)
    producer.begin_transaction()
    read = 0
    while read < given["count"]:
        message = consumer.poll(30)
        assert message is not None and message.error() is None
        producer.produce(given["to"], "done " + message.value().decode(), message.key())
        read += 1
    positions = consumer.position(consumer.assignment())
    producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), 30)
    producer.commit_transaction(30)
    producer.begin_transaction()
    for index in range(50):
        producer.produce(given["to"], f"aborted {index}", f"key {index}")
    producer.flush(30)
    producer.abort_transaction(30)
    consumer.close()
    say(read=[0, str(read)])


def only(futures):
    (future,) = futures.values()
    return future.result(30)


def admin(topic, source, group):
    client = AdminClient({"bootstrap.servers": servers})
    report = {}
    new = NewTopic(topic, num_partitions=3, replication_factor=2)
    only(client.create_topics([new], operation_timeout=30))
    report["created"] = [name for name in client.list_topics(timeout=30).topics if name == topic]
    try:
        only(client.create_topics([new]))
    except KafkaException as error:
        report["createdAgain"] = error.args[0].name()
    described = only(client.describe_topics(TopicCollection([topic])))
    report["partitions"] = len(described.partitions)
    report["replicas"] = len(described.partitions[0].replicas)
    only(client.create_partitions([NewPartitions(topic, 5)], operation_timeout=30))
    report["partitionsAdded"] = len(only(client.describe_topics(TopicCollection([topic]))).partitions)

    consumer = Consumer({"bootstrap.servers": servers, "group.id": group})
    offsets = [TopicPartition(source, 0, 10), TopicPartition(source, 1, 20)]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()

    def committed():
        found = only(client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return {str(one.partition): one.offset for one in found.topic_partitions}

    report["offsets"] = committed()
    changed = ConsumerGroupTopicPartitions(group, [TopicPartition(source, 0, 5)])
    only(client.alter_consumer_group_offsets([changed]))
    report["offsetsAltered"] = committed()
    report["groups"] = [one.group_id for one in client.list_consumer_groups().result(30).valid]
    report["groupState"] = only(client.describe_consumer_groups([group])).state.name.capitalize()
    place = TopicPartition(source, 0, 15)
    report["lowWatermark"] = only(client.delete_records([place])).low_watermark
    isolation = {"isolation_level": IsolationLevel.READ_UNCOMMITTED}
    report["earliest"] = only(client.list_offsets({place: OffsetSpec.earliest()}, **isolation)).offset
    report["latest"] = only(client.list_offsets({place: OffsetSpec.latest()}, **isolation)).offset
    only(client.delete_consumer_groups([group]))
    report["groupDeleted"] = client.list_consumer_groups().result(30).valid == []
    only(client.delete_topics([topic], operation_timeout=30))
    report["deleted"] = topic not in client.list_topics(timeout=30).topics
    say(**report)


def configs(topic):
    client = AdminClient({"bootstrap.servers": servers})
    only(client.create_topics([NewTopic(topic, 1, 1, config={"retention.ms": "60000"})], operation_timeout=30))
    resource = ConfigResource(ResourceType.TOPIC, topic)
    created = only(client.describe_configs([resource]))["retention.ms"].value
    entry = ConfigEntry("retention.ms", "120000", incremental_operation=AlterConfigOpType.SET)
    only(client.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]))
    say(created=created, altered=only(client.describe_configs([resource]))["retention.ms"].value)


verbs = {"produce": produce, "consume": consume, "member": member, "transaction": transaction}
{**verbs, "admin": admin, "configs": configs}[verb](**settings)
