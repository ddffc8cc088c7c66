"""A member of a group by librdkafka, which prints what it does as memberMain.ts does.

Arguments: bootstrap servers, group, topic, assignor, session timeout in milliseconds. SIGTERM makes it stop in order.
"""

import json
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException

servers, group, topic, assignor, session = sys.argv[1:]
stopping = False


def stop(*_):
    global stopping
    stopping = True


def say(what, **more):
    print(json.dumps({"at": time.monotonic_ns() // 1000, "what": what, **more}), flush=True)


def commit():
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as error:
        if error.args[0].code() != KafkaError._NO_OFFSET:
            say("log", text=str(error))


def say_partitions(what):
    def callback(_, partitions):
        if partitions:
            say(what, partitions=[{"topic": one.topic, "partition": one.partition} for one in partitions])
        if what == "revoked":
            commit()

    return callback


signal.signal(signal.SIGTERM, stop)
consumer = Consumer(
    {
        "bootstrap.servers": servers,
        "group.id": group,
        "partition.assignment.strategy": assignor,
        "session.timeout.ms": int(session),
        "heartbeat.interval.ms": 300,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 200,
    }
)
consumer.subscribe(
    [topic],
    on_assign=say_partitions("assigned"),
    on_revoke=say_partitions("revoked"),
    on_lost=say_partitions("lost"),
)
say("ready")
while not stopping:
    messages = consumer.consume(100, 0.1)
    by_partition = {}
    for message in messages:
        if message.error() is None:
            by_partition.setdefault(message.partition(), []).append(message)
        elif message.error().code() != KafkaError._PARTITION_EOF:
            say("log", text=str(message.error()))
    for partition, some in by_partition.items():
        offsets = [one.offset() for one in some]
        values = [one.value().decode() for one in some]
        say("begin", topic=topic, partition=partition, offsets=offsets, values=values)
        say("done", topic=topic, partition=partition, last=offsets[-1])
    if by_partition:
        commit()
consumer.close()
say("stopped")
