/**
 * What the shop sells: the topic `orders`, said once, used by the pipeline that writes and the one that reads.
 */
import * as Schema from "effect/Schema"
import * as Kafka from "kafka-effect/Kafka"
import * as Serde from "kafka-effect/Serde"

/** An order; `sequence` counts the orders of one customer, so that a reader can tell whether they come in order. */
export const Order = Schema.Struct({
  id: Schema.String,
  customer: Schema.String,
  sequence: Schema.Int,
  amount: Schema.Finite,
  note: Schema.optionalKey(Schema.String)
})

/** The value of a record of the topic. */
export type Order = typeof Order.Type

/** The topic: keys are customers, values are orders as JSON. */
export const topic = (name: string) => Kafka.topic(name, { key: Serde.string, value: Serde.json(Order) })

const customers = 100

/** The n-th order. */
export const make = (index: number): Order => ({
  id: `order-${index}`,
  customer: `customer-${index % customers}`,
  sequence: Math.floor(index / customers),
  amount: ((index * 7919) % 10_000) / 100,
  ...(index % 10 === 0 ? { note: "größer verpacken" } : {})
})
