import { assert, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { Control, TestBroker, VirtualTime } from "@kafka-effect/testing"
import { Effect, Fiber, Layer } from "effect"
import { Consumer, Kafka, Producer, Serde } from "kafka-effect"

const Orders = Kafka.topic("orders", { key: Serde.string, value: Serde.string })
const Receipts = Kafka.topic("receipts", { key: Serde.string, value: Serde.string })

// the application: a receipt for every order
const receipts = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  const consumer = yield* Consumer.make({ groupId: "receipts", topics: [Orders], fallback: "earliest" })
  const work = consumer.run((orders) =>
    Effect.forEach(orders, ({ key, value }) => producer.send(Receipts, { key, value: `receipt for ${value}` }), {
      concurrency: "unbounded",
      discard: true
    })
  )
  return { work, stop: consumer.stop }
})

// a cluster for it: three brokers without sockets, and groups that do not wait for more members
const Cluster = TestBroker.layerKafka({
  brokers: 3,
  network: "memory",
  topics: { orders: 3, receipts: 1 },
  settings: { "group.initial.rebalance.delay.ms": "0" }
})

it.effect("writes one receipt for each order, whatever the brokers do", () =>
  Effect.gen(function* () {
    const broker = yield* TestBroker.TestBroker
    const producer = yield* Producer.Producer
    const orders = Array.from({ length: 100 }, (_, index) => ({ key: `customer-${index % 10}`, value: `${index}` }))
    yield* producer.sendAll(Orders, orders)

    // from now on: a leader that has moved, a receipt that was written and not acknowledged, a commit that nobody answers
    yield* broker.on(Produce, Control.fail(codes.NOT_LEADER_OR_FOLLOWER))
    yield* broker.on(Produce, Control.loseAnswer)
    yield* broker.on(OffsetCommit, Control.silence)

    const application = yield* receipts
    const working = yield* Effect.forkChild(application.work)
    yield* broker
      .records("receipts", 0)
      .pipe(
        Effect.delay("20 millis"),
        Effect.repeat({ until: (records) => records.length >= orders.length }),
        Effect.timeout("1 minute")
      )

    // it ends its work, commits, and leaves the group
    yield* application.stop
    yield* Fiber.join(working)

    const written = yield* broker.records("receipts", 0)
    const text = new TextDecoder()
    const values = written.map(({ value }) => text.decode(value ?? undefined))
    assert.sameMembers(
      values,
      orders.map(({ value }) => `receipt for ${value}`)
    )
  }).pipe(
    Effect.scoped,
    Effect.provide(Producer.layer().pipe(Layer.provideMerge(Cluster))),
    // minutes of it take milliseconds
    VirtualTime.passing
  )
)
