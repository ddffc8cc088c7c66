/**
 * `npm start`: runs the pipeline against the Kafka that `KAFKA_BOOTSTRAP_SERVERS` names, or a broker inside this process.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as TestBroker from "@kafka-effect/testing/TestBroker"
import * as Effect from "effect/Effect"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Pipeline from "./Pipeline.ts"

const total = 100_000
const partitions = 6

const bootstrapServers = Effect.suspend(() => {
  const named = (process.env.KAFKA_BOOTSTRAP_SERVERS ?? "").split(",").filter((server) => server.trim() !== "")
  if (named.length > 0) return Effect.succeed<ReadonlyArray<string>>(named)
  console.error("With a broker inside this process (set KAFKA_BOOTSTRAP_SERVERS to use a real Kafka)")
  return Effect.map(TestBroker.make(), (broker) => broker.bootstrapServers)
})

const main = Effect.gen(function* () {
  const servers = yield* bootstrapServers
  console.log(`Kafka at ${servers.join(", ")}`)
  const result = yield* Pipeline.run(`orders-${Date.now()}`, total, partitions).pipe(
    Effect.provide(Producer.layer({ batchSize: 64 * 1024 })),
    Effect.provide(Kafka.layer({ bootstrapServers: servers }))
  )
  const { acknowledged, consumed, disordered, duration } = result
  const rate = Math.round(consumed / (duration / 1000)).toLocaleString("en")
  console.log(
    `Order kept per customer in each of ${partitions} partitions: ${disordered === 0 ? "yes" : "NO"}; ${rate} orders/s`
  )
  console.log(`Produced ${acknowledged.toLocaleString("en")} orders, all acknowledged`)
  console.log(`Consumed ${consumed.toLocaleString("en")} orders`)
  if (disordered > 0) process.exitCode = 1
})

main.pipe(
  Effect.scoped,
  // What a user can act on is one line; anything else is a defect and keeps its trace.
  Effect.catch((error) =>
    Effect.sync(() => {
      console.error(error.message)
      process.exitCode = 1
    })
  ),
  NodeRuntime.runMain
)
