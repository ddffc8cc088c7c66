import { assert, describe, it } from "@effect/vitest"
import { ByteWriter } from "@kafka-effect/protocol/ByteWriter"

const hex = (pieces: ReadonlyArray<Uint8Array>): string => Buffer.concat(pieces).toString("hex")

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)

describe("external byte arrays", () => {
  it("none by default: all are copied", () => {
    const writer = new ByteWriter(8)
    const large = filled(100_000, 7)
    writer.writeInt8(1)
    writer.writeBytes(large)
    assert.strictEqual(writer.external.length, 0)
    assert.strictEqual(writer.externalBytes, 0)
    assert.strictEqual(writer.offset, 100_001)
    large.fill(0)
    const pieces = writer.takePieces(0)
    assert.strictEqual(pieces.length, 1)
    assert.strictEqual(hex(pieces), `01${"07".repeat(100_000)}`)
  })

  it("from their length on they stay where they are, shorter ones are copied", () => {
    const writer = new ByteWriter(64, 10)
    const shorter = filled(9, 1)
    const exact = filled(10, 2)
    writer.writeBytes(shorter)
    writer.writeBytes(exact)
    assert.strictEqual(writer.offset, 9)
    assert.strictEqual(writer.externalBytes, 10)
    const pieces = writer.takePieces(0)
    assert.strictEqual(pieces.length, 2)
    assert.notStrictEqual(pieces[0].buffer, shorter.buffer)
    assert.strictEqual(pieces[1], exact)
  })

  it("are in their order among what was written, and no piece is empty", () => {
    const writer = new ByteWriter(64, 2)
    writer.writeBytes(filled(2, 0xa1))
    writer.writeBytes(filled(3, 0xa2))
    writer.writeInt16(0x0102)
    writer.writeBytes(filled(2, 0xa3))
    writer.writeInt8(3)
    assert.strictEqual(writer.externalBytes, 7)
    const pieces = writer.takePieces(0)
    assert.deepStrictEqual(
      pieces.map((piece) => hex([piece])),
      ["a1a1", "a2a2a2", "0102", "a3a3", "03"]
    )
    writer.writeBytes(filled(2, 0xa4))
    assert.deepStrictEqual(writer.takePieces(writer.offset), [filled(2, 0xa4)])
  })

  it("a growing slab in between loses nothing, and lengths in front can be set afterwards", () => {
    const writer = new ByteWriter(1, 4)
    let expected = ""
    writer.writeInt32(0)
    for (let index = 0; index < 50; index++) {
      const own = filled(index % 4, index)
      const external = filled(4 + index, 0x80 + index)
      writer.writeBytes(own)
      writer.writeBytes(external)
      expected += hex([own, external])
    }
    const { length } = writer.bytes
    assert.isAbove(length, 64)
    const total = writer.offset - 4 + writer.externalBytes
    writer.setInt32(0, total)
    assert.strictEqual(total, expected.length / 2)
    assert.strictEqual(hex(writer.takePieces(0)), total.toString(16).padStart(8, "0") + expected)
  })

  it("pieces are taken from an offset on, and forgotten once they were taken", () => {
    const writer = new ByteWriter(64, 4)
    writer.writeInt16(0x0102)
    writer.writeBytes(filled(4, 0xa1))
    assert.strictEqual(hex(writer.takePieces(0)), "0102a1a1a1a1")
    assert.strictEqual(writer.external.length, 0)
    assert.strictEqual(writer.externalBytes, 0)
    const start = writer.offset
    assert.deepStrictEqual(writer.takePieces(start), [])
    writer.writeInt16(0x0304)
    writer.writeBytes(filled(4, 0xa2))
    assert.strictEqual(hex(writer.takePieces(start)), "0304a2a2a2a2")
  })

  it("rewind forgets a message that failed, and no other", () => {
    const writer = new ByteWriter(4, 4)
    writer.writeInt8(1)
    writer.writeBytes(filled(5, 0xa1))
    const start = writer.offset
    const count = writer.external.length
    // The message that fails: the slab grows, and more is external.
    writer.writeBytes(filled(6, 0xee))
    for (let index = 0; index < 100; index++) writer.writeInt8(0xee)
    writer.writeBytes(filled(7, 0xee))
    writer.rewind(start, count)
    assert.strictEqual(writer.offset, start)
    assert.strictEqual(writer.external.length, 1)
    assert.strictEqual(writer.externalBytes, 5)
    writer.writeInt8(2)
    writer.writeBytes(filled(4, 0xa2))
    assert.strictEqual(writer.externalBytes, 9)
    assert.strictEqual(hex(writer.takePieces(0)), "01a1a1a1a1a102a2a2a2a2")
  })

  it("rewind to the beginning forgets all", () => {
    const writer = new ByteWriter(4, 4)
    writer.writeBytes(filled(5, 0xa1))
    writer.writeInt8(1)
    writer.rewind(0, 0)
    assert.strictEqual(writer.externalBytes, 0)
    assert.deepStrictEqual(writer.takePieces(0), [])
  })
})
