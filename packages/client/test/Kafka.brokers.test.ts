import { assert, describe, it } from "@effect/vitest"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Effect } from "effect"
import * as Kafka from "../src/Kafka.ts"

describeBrokers("Kafka", () => {
  it.live("sends any request to any broker", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.make({ bootstrapServers })
      const response = yield* kafka.request("any", Metadata, { topics: null })
      assert.isAtLeast(response.brokers.length, 1)
    })
  )
})
