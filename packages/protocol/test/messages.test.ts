/**
 * Every message at every version: round trips of random values by property, and bytes that are damaged at random.
 */
import { assert, describe, it } from "@effect/vitest"
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { apis, data } from "@kafka-effect/protocol/messages/all"
import * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { WireError } from "@kafka-effect/protocol/WireError"
import { Random } from "./Random.ts"
import { randomMessage } from "./RandomMessage.ts"

type AnyMessage = Wire.Message<object>

// The types of all messages differ; what is done here goes for each.
const messages = [
  ...Object.values(apis).flatMap((api) => [api.request, api.response]),
  ...Object.values(data)
] as ReadonlyArray<unknown> as ReadonlyArray<AnyMessage>

const versionsOf = (message: AnyMessage): ReadonlyArray<number> => {
  const { highest, lowest } = Wire.parseVersions(message.facts.versions)!
  return Array.from({ length: highest - lowest + 1 }, (_, index) => lowest + index)
}

const seed = Number(process.env.KAFKA_EFFECT_SEED ?? 20261123)

const caught = (body: () => unknown): WireError => {
  try {
    body()
  } catch (error) {
    if (error instanceof WireError) return error
    throw error
  }
  throw new Error("nothing was thrown")
}

describe("every message at every version", () => {
  it("covers the protocol from the first version to the newest", () => {
    assert.isAbove(messages.length, 190)
    assert.strictEqual(apis.Produce.lowestVersion, 0)
    assert.strictEqual(apis.Produce.highestVersion, 13)
    assert.strictEqual(apis.InitProducerId.highestStableVersion, apis.InitProducerId.highestVersion - 1)
  })

  it("encodes, decodes to the same value, and encodes to the same bytes again", () => {
    const random = new Random(seed)
    for (const message of messages) {
      for (const version of versionsOf(message)) {
        for (let run = 0; run < 3; run++) {
          const value = randomMessage(random, message, version)
          const bytes = WireCodec.encode(message, version, value)
          const decoded = WireCodec.decode(message, version, bytes)
          assert.deepStrictEqual(decoded, value, `${message.messageName} v${version}, seed ${seed}`)
          assert.deepStrictEqual(WireCodec.encode(message, version, decoded), bytes)
        }
      }
    }
  })

  it("tagged fields that the wire cannot carry, and versions that are none, are errors that name them", () => {
    const data = new Uint8Array(1)
    const tags = [-1, 1.5, 2 ** 32, Number.NaN, "9000", 9000n, null, undefined]
    const contents = [[1], "x", null, undefined]
    const wrong = [
      ...tags.map((tag) => [{ tag, data }]),
      ...contents.map((content) => [{ tag: 9000, data: content }]),
      [null],
      [undefined],
      null,
      {},
      "x"
    ]
    for (const unknownTaggedFields of wrong) {
      // Versions without tagged fields and with them.
      for (const version of [2, 3]) {
        // What users without types may give.
        const value = { unknownTaggedFields } as never
        const error = caught(() => WireCodec.encode(ApiVersions.request, version, value))
        assert.strictEqual(error.reason, "InvalidValue")
        assert.strictEqual(error.field, "unknownTaggedFields")
      }
    }
    for (const tag of [9000, 2 ** 32 - 1]) {
      const bytes = WireCodec.encode(ApiVersions.request, 3, { unknownTaggedFields: [{ tag, data }] })
      assert.strictEqual(WireCodec.decode(ApiVersions.request, 3, bytes).unknownTaggedFields?.[0].tag, tag)
    }
    assert.strictEqual(caught(() => WireCodec.encode(ApiVersions.request, 2.5, {})).reason, "UnsupportedVersion")
  })

  it("damaged bytes give a message or a WireError, nothing else", () => {
    const random = new Random(seed)
    let errors = 0
    for (const message of messages) {
      for (const version of versionsOf(message)) {
        const bytes = WireCodec.encode(message, version, randomMessage(random, message, version))
        for (let run = 0; run < 6; run++) {
          const damaged = random.damage(bytes)
          try {
            WireCodec.decode(message, version, damaged)
          } catch (error) {
            if (!(error instanceof WireError)) throw error
            assert.strictEqual(error.name, message.messageName)
            assert.strictEqual(error.version, version)
            errors++
          }
        }
      }
    }
    assert.isAbove(errors, 1000)
  })

  it("random bytes give a message or a WireError, nothing else", () => {
    const random = new Random(seed + 1)
    for (const message of messages) {
      const version = random.pick(versionsOf(message))
      for (let run = 0; run < 20; run++) {
        const bytes = random.bytes(random.integer(0, 200))
        try {
          WireCodec.decode(message, version, bytes)
        } catch (error) {
          if (!(error instanceof WireError)) throw error
        }
      }
    }
  })
})
