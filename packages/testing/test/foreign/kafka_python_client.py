"""kafka-python, from 1.3.4 to 3: `<bootstrap servers> <verb> <settings as JSON>`; prints lines of JSON."""

import json
import signal
import sys

import kafka
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition

servers, verb, settings = sys.argv[1].split(","), sys.argv[2], json.loads(sys.argv[3])


def say(**what):
    print(json.dumps(what))
    sys.stdout.flush()


def produce(topic, codec, idempotent, count):
    options = {"enable_idempotence": True} if idempotent else {"acks": "all"}
    codec = None if codec == "none" else codec
    producer = KafkaProducer(bootstrap_servers=servers, compression_type=codec, linger_ms=100, **options)
    sent = []
    for index in range(count):
        record = {"value": b"value %d" % index, "key": b"key %d" % (index % 100)}
        if idempotent:
            record["headers"] = [("number", b"%d" % index)]
        sent.append(producer.send(topic, **record))
    producer.flush(30)
    for future in sent:
        future.get(30)
    producer.close()
    say(written=count)


def consume(topic, count, isolation, partitions):
    options = {} if isolation == "read_uncommitted" else {"isolation_level": isolation}
    consumer = KafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, **options)
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    consumer.assign(places)
    consumer.seek_to_beginning()
    ends = consumer.end_offsets(places)
    records = []
    # to the end of every partition, so that what should not be there would be seen
    while len(records) < count or any(consumer.position(place) < ends[place] for place in places):
        for place, some in consumer.poll(timeout_ms=1000).items():
            records.extend([place.partition, one.key.decode(), one.value.decode()] for one in some)
    consumer.close()
    say(records=records)


def member(topic, group, protocol):
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    consumer = KafkaConsumer(
        bootstrap_servers=servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=10000,
        heartbeat_interval_ms=300,
        fetch_max_wait_ms=100,
    )

    class Listener(ConsumerRebalanceListener):
        def on_partitions_assigned(self, assigned):
            say(owned=sorted(one.partition for one in assigned))

        def on_partitions_revoked(self, revoked):
            say(owned=[])

    consumer.subscribe([topic], listener=Listener())
    while not stopping:
        found = consumer.poll(timeout_ms=100)
        for place, some in found.items():
            for one in some:
                say(read=[place.partition, one.value.decode()])
        if found:
            consumer.commit()
    consumer.close()


def transaction(**given):
    producer = KafkaProducer(bootstrap_servers=servers, transactional_id=given["transactionalId"])
    consumer = KafkaConsumer(
        given["from"],
        bootstrap_servers=servers,
        group_id=given["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer.init_transactions()
    producer.begin_transaction()
    read = 0
    while read < given["count"]:
        for some in consumer.poll(timeout_ms=1000).values():
            for one in some:
                producer.send(given["to"], b"done " + one.value, one.key)
                read += 1
    offsets = {place: OffsetAndMetadata(consumer.position(place), "", -1) for place in consumer.assignment()}
    producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
    producer.commit_transaction()
    producer.begin_transaction()
    for index in range(50):
        producer.send(given["to"], b"aborted %d" % index, b"key %d" % index)
    producer.flush(30)
    producer.abort_transaction()
    consumer.close()
    producer.close()
    say(read=[0, str(read)])


def admin(topic, source, group):
    from kafka.admin import KafkaAdminClient, OffsetSpec
    from kafka.errors import TopicAlreadyExistsError

    client = KafkaAdminClient(bootstrap_servers=servers)
    report = {}
    new = {"num_partitions": 3, "replication_factor": 2}
    client.create_topics({topic: new}, wait_for_metadata=True)
    report["created"] = [name for name in client.list_topics() if name == topic]
    try:
        client.create_topics({topic: new})
    except TopicAlreadyExistsError:
        report["createdAgain"] = "TOPIC_ALREADY_EXISTS"
    (described,) = client.describe_topics([topic])
    report["partitions"] = len(described["partitions"])
    report["replicas"] = len(described["partitions"][0]["replica_nodes"])
    client.create_partitions({topic: 5})
    (described,) = client.describe_topics([topic])
    report["partitionsAdded"] = len(described["partitions"])

    consumer = KafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
    first, second = TopicPartition(source, 0), TopicPartition(source, 1)
    consumer.assign([first, second])
    consumer.commit({first: OffsetAndMetadata(10, "", -1), second: OffsetAndMetadata(20, "", -1)})
    consumer.close()

    def committed():
        return {str(place.partition): one.offset for place, one in client.list_group_offsets(group)[group].items()}

    report["offsets"] = committed()
    client.alter_group_offsets(group, {first: OffsetAndMetadata(5, "", -1)})
    report["offsetsAltered"] = committed()
    report["groups"] = [one["group_id"] for one in client.list_groups()]
    report["groupState"] = str(client.describe_groups([group])[group]["group_state"])
    report["lowWatermark"] = client.delete_records({first: 15})[first]["low_watermark"]
    report["earliest"] = client.list_partition_offsets({first: OffsetSpec.EARLIEST})[first].offset
    report["latest"] = client.list_partition_offsets({first: OffsetSpec.LATEST})[first].offset
    client.delete_groups([group])
    report["groupDeleted"] = client.list_groups() == []
    client.delete_topics([topic])
    report["deleted"] = topic not in client.list_topics()
    client.close()
    say(**report)


def configs(topic):
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

    client = KafkaAdminClient(bootstrap_servers=servers)
    client.create_topics({topic: {"configs": {"retention.ms": "60000"}}}, wait_for_metadata=True)

    def retention():
        found = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return found["topic"][topic]["retention.ms"]["value"]

    created = retention()
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "120000"})])
    say(created=created, altered=retention())
    client.close()


verbs = {"produce": produce, "consume": consume, "member": member, "transaction": transaction}
{**verbs, "admin": admin, "configs": configs}[verb](**settings)
