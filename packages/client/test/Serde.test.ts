import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import * as Serde from "../src/Serde.ts"

const context: Serde.RecordContext = { topic: "orders", partition: 3, headers: [], target: "value" }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const Order = Schema.Struct({ id: Schema.String, amount: Schema.Number })

describe("Serde", () => {
  it("string: UTF-8 both ways; null and what is no UTF-8 are refused", () => {
    assert.deepStrictEqual(Serde.string.encode("größe", context), bytes("größe"))
    assert.strictEqual(Serde.string.decode(bytes("größe"), context), "größe")
    assert.throws(() => Serde.string.decode(null, context), "Serde.nullable")
    assert.throws(() => Serde.string.decode(new Uint8Array([0xff]), context))
  })

  it("string: keeps what a byte order mark is to others", () => {
    assert.strictEqual(Serde.string.decode(bytes("\ufeffa"), context), "\ufeffa")
  })

  it("json: through a Schema, which is held to", () => {
    const serde = Serde.json(Order)
    assert.deepStrictEqual(serde.decode(serde.encode({ id: "1", amount: 2.5 }, context), context), {
      id: "1",
      amount: 2.5
    })
    assert.throws(() => serde.decode(bytes('{"id":1}'), context))
    assert.throws(() => serde.decode(bytes("{"), context))
  })

  it("schema: any Schema between values and bytes", () => {
    const serde = Serde.schema(Schema.Uint8Array)
    assert.deepStrictEqual(serde.decode(bytes("x"), context), bytes("x"))
  })

  it("nullable: lets null through and nothing else", () => {
    const serde = Serde.nullable(Serde.string)
    assert.isNull(serde.encode(null, context))
    assert.isNull(serde.decode(null, context))
    assert.strictEqual(serde.decode(bytes("a"), context), "a")
  })

  it("attempt: gives what cannot be decoded as a failed Exit that says where", () => {
    const serde = Serde.attempt(Serde.json(Order))
    assert.isTrue(Exit.isSuccess(serde.decode(bytes('{"id":"1","amount":1}'), context)))
    const failed = serde.decode(bytes("nonsense"), context)
    assert.isTrue(Exit.isFailure(failed))
    assert.include(JSON.stringify(failed), "orders")
  })
})
