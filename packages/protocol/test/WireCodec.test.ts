import { assert, describe, it, vi } from "@effect/vitest"
import { ByteReader } from "@kafka-effect/protocol/ByteReader"
import { ByteWriter } from "@kafka-effect/protocol/ByteWriter"
import { Fetch, FetchRequest, FetchResponse } from "@kafka-effect/protocol/messages/Fetch"
import { FindCoordinatorRequest } from "@kafka-effect/protocol/messages/FindCoordinator"
import { MetadataRequest, MetadataResponse } from "@kafka-effect/protocol/messages/Metadata"
import { ProduceRequest, ProduceResponse } from "@kafka-effect/protocol/messages/Produce"
import { RequestHeader } from "@kafka-effect/protocol/messages/RequestHeader"
import { StreamsGroupHeartbeatRequest } from "@kafka-effect/protocol/messages/StreamsGroupHeartbeat"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { WireError } from "@kafka-effect/protocol/WireError"
import { Effect, Schema } from "effect"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"))

const failure = (body: () => unknown): WireError => {
  try {
    body()
  } catch (error) {
    if (error instanceof WireError) return error
    throw error
  }
  throw new Error("nothing was thrown")
}

describe("WireCodec", () => {
  it("writes what the protocol guide says: Metadata v0 and v9", () => {
    const request = { topics: [{ name: "orders" }] }
    assert.strictEqual(hex(WireCodec.encode(MetadataRequest, 0, request)), `000000010006${hex(Buffer.from("orders"))}`)
    // compact array of 1, compact string, the struct's tags, three booleans, the message's tags
    assert.strictEqual(
      hex(WireCodec.encode(MetadataRequest, 9, request)),
      `0207${hex(Buffer.from("orders"))}0001000000`
    )
  })

  it("keeps codecs: the same object for the same message and version", () => {
    assert.strictEqual(WireCodec.of(MetadataRequest, 4), WireCodec.of(MetadataRequest, 4))
    assert.notStrictEqual<unknown>(WireCodec.of(MetadataRequest, 4), WireCodec.of(MetadataRequest, 5))
  })

  it("refuses a version that does not exist, naming those that do", () => {
    const error = failure(() => WireCodec.of(MetadataRequest, 99))
    assert.strictEqual(error.reason, "UnsupportedVersion")
    assert.include(error.message, "MetadataRequest has 0-13")
  })

  it("gives null where a version allows it and refuses it where not", () => {
    assert.strictEqual(hex(WireCodec.encode(MetadataRequest, 1, { topics: null })), "ffffffff")
    assert.isNull(WireCodec.decode(MetadataRequest, 1, fromHex("ffffffff")).topics)
    const written = failure(() => WireCodec.encode(MetadataRequest, 0, { topics: null }))
    assert.strictEqual(written.message, "MetadataRequest v0 at topics: null is not allowed by this version")
    const read = failure(() => WireCodec.decode(MetadataRequest, 0, fromHex("ffffffff")))
    assert.strictEqual(read.reason, "InvalidValue")
    assert.strictEqual(read.field, "topics")
  })

  it("takes the default for a field that the version lacks", () => {
    const request = WireCodec.decode(MetadataRequest, 0, fromHex("00000000"))
    assert.deepStrictEqual(request, {
      topics: [],
      allowAutoTopicCreation: true,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false
    })
  })

  it("refuses a value that the version cannot carry, unless the field is ignorable", () => {
    const error = failure(() => WireCodec.encode(MetadataRequest, 3, { topics: null, allowAutoTopicCreation: false }))
    assert.strictEqual(error.reason, "UnsupportedVersion")
    assert.strictEqual(error.field, "allowAutoTopicCreation")
    // topicId is ignorable
    const topics = [{ topicId: "AAAAAAAAAAAAAAAAAAAAAQ", name: "a" }]
    assert.strictEqual(hex(WireCodec.encode(MetadataRequest, 1, { topics })), "00000001000161")
  })

  it("writes a tagged field only when it is not the default, and reads it back", () => {
    const without = WireCodec.encode(FetchRequest, 12, { topics: [] })
    assert.strictEqual(without[without.length - 1], 0)
    const withTag = WireCodec.encode(FetchRequest, 12, { topics: [], clusterId: "abc" })
    assert.strictEqual(hex(withTag.subarray(without.length - 1)), "01" + "00" + "04" + "04616263")
    assert.strictEqual(WireCodec.decode(FetchRequest, 12, withTag).clusterId, "abc")
  })

  it("keeps unknown tagged fields, in the order of their tags, around those that it knows", () => {
    const unknownTaggedFields = [
      { tag: 3, data: fromHex("01") },
      { tag: 1000, data: fromHex("0203") }
    ]
    const bytes = WireCodec.encode(FetchRequest, 12, { clusterId: "abc", unknownTaggedFields })
    const request = WireCodec.decode(FetchRequest, 12, bytes)
    assert.deepStrictEqual(
      request.unknownTaggedFields?.map(({ data, tag }) => [tag, hex(data)]),
      [
        [3, "01"],
        [1000, "0203"]
      ]
    )
    assert.strictEqual(hex(WireCodec.encode(FetchRequest, 12, request)), hex(bytes))
    // clusterId is ignorable, fields that nobody knows are not
    assert.strictEqual(failure(() => WireCodec.encode(FetchRequest, 11, request)).field, "unknownTaggedFields")
    const known = [{ tag: 0, data: fromHex("00") }]
    assert.strictEqual(
      failure(() => WireCodec.encode(FetchRequest, 12, { unknownTaggedFields: known })).field,
      "unknownTaggedFields"
    )
  })

  it("puts one byte in front of a struct that may be null", () => {
    const bytes = WireCodec.encode(StreamsGroupHeartbeatRequest, 0, { topology: null })
    assert.isNull(WireCodec.decode(StreamsGroupHeartbeatRequest, 0, bytes).topology)
    const some = WireCodec.encode(StreamsGroupHeartbeatRequest, 0, { topology: { epoch: 7, subtopologies: [] } })
    assert.strictEqual(WireCodec.decode(StreamsGroupHeartbeatRequest, 0, some).topology?.epoch, 7)
  })

  it("gives records as a view of the input", () => {
    const records = fromHex("0102030405")
    const bytes = WireCodec.encode(ProduceRequest, 9, {
      topicData: [{ name: "t", partitionData: [{ index: 0, records }] }]
    })
    const found = WireCodec.decode(ProduceRequest, 9, bytes).topicData[0].partitionData[0].records!
    assert.strictEqual(hex(found), "0102030405")
    assert.strictEqual(found.buffer, bytes.buffer)
  })

  it("never gives a header's client id in compact form, though header v2 is flexible", () => {
    const header = { requestApiKey: 3, requestApiVersion: 9, correlationId: 1, clientId: "me" }
    assert.strictEqual(
      hex(WireCodec.encode(RequestHeader, 2, header)),
      "0003" + "0009" + "00000001" + "00026d65" + "00"
    )
    assert.strictEqual(hex(WireCodec.encode(RequestHeader, 1, header)), "0003" + "0009" + "00000001" + "00026d65")
    assert.strictEqual(
      hex(WireCodec.encode(RequestHeader, 0, { ...header, clientId: undefined })),
      "0003" + "0009" + "00000001"
    )
  })

  it("is a genuine Schema: decodes, encodes, and fails with an issue that says where", () => {
    const codec: Schema.Codec<MetadataRequest, Uint8Array> = WireCodec.schema(MetadataRequest, 9)
    const request = Schema.decodeUnknownSync(codec)(fromHex(`0207${hex(Buffer.from("orders"))}0001000000`))
    assert.strictEqual(request.topics?.[0].name, "orders")
    assert.strictEqual(hex(Schema.encodeSync(codec)(request)), "02076f72646572730001000000")
    const result = Effect.runSync(Effect.result(Schema.decodeUnknownEffect(codec)(fromHex("0207"))))
    assert.strictEqual(result._tag, "Failure")
    if (result._tag === "Failure") assert.include(result.failure.message, "MetadataRequest v9 at topics")
  })

  it("does not keep the memory of a huge message, not even of one that fails", () => {
    const huge = { name: "t", partitionData: [{ index: 0, records: new Uint8Array(3_000_000) }] }
    const bad = { name: "t", partitionData: [{ index: 0.5, records: null }] }
    const slab = (): number => {
      const written = vi.spyOn(ByteWriter.prototype, "writeInt16")
      try {
        WireCodec.encode(ProduceRequest, 8, { acks: 1 })
        // `this` of a method of ByteWriter.
        return (written.mock.contexts[0] as ByteWriter).bytes.length
      } finally {
        written.mockRestore()
      }
    }
    assert.isAtMost(slab(), 1 << 20)
    WireCodec.encode(ProduceRequest, 8, { topicData: [huge] })
    assert.isAtMost(slab(), 1 << 20)
    const error = failure(() => WireCodec.encode(ProduceRequest, 8, { topicData: [huge, bad] }))
    assert.strictEqual(error.field, "topicData[1].partitionData[0].index")
    assert.isAtMost(slab(), 1 << 20)
  })

  it("finds a value outside of its wire type before it is written", () => {
    const encode = (value: Wire.Input<FetchRequest>) => failure(() => WireCodec.encode(FetchRequest, 4, value)).message
    assert.strictEqual(encode({ maxWaitMs: 2 ** 31 }), "FetchRequest v4 at maxWaitMs: int32 wanted, found 2147483648")
    assert.strictEqual(encode({ maxWaitMs: 1.5 }), "FetchRequest v4 at maxWaitMs: int32 wanted, found 1.5")
    assert.strictEqual(
      encode({ topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 2n ** 63n }] }] }),
      "FetchRequest v4 at topics[0].partitions[0].fetchOffset: int64 (a bigint) wanted, found 9223372036854775808n"
    )
    const long = failure(() => WireCodec.encode(MetadataRequest, 0, { topics: [{ name: "x".repeat(40_000) }] }))
    assert.strictEqual(long.reason, "InvalidLength")
    const half = failure(() => WireCodec.encode(MetadataRequest, 0, { topics: [{ name: "\ud800" }] }))
    assert.strictEqual(half.reason, "InvalidUtf8")
    const uuid = failure(() => WireCodec.encode(MetadataRequest, 12, { topics: [{ topicId: "nonsense" }] }))
    assert.strictEqual(uuid.field, "topics[0].topicId")
  })
})

describe("bad bytes", () => {
  const decode = (text: string, version = 1) => failure(() => WireCodec.decode(MetadataRequest, version, fromHex(text)))

  it("truncated", () => {
    assert.strictEqual(decode("000000").message, "MetadataRequest v1 at topics: 4 bytes wanted, 3 left (byte 0)")
    assert.strictEqual(
      decode("00000001000161", 4).message,
      "MetadataRequest v4 at allowAutoTopicCreation: 1 bytes wanted, 0 left (byte 7)"
    )
    assert.strictEqual(decode("000000").reason, "Truncated")
  })

  it("trailing", () => {
    assert.strictEqual(decode("0000000000").reason, "TrailingBytes")
  })

  it("a negative length that is not null", () => {
    assert.strictEqual(decode("fffffffe").reason, "InvalidLength")
    assert.strictEqual(decode("00000001fffe").field, "topics[0].name")
  })

  it("a string read past its own message", () => {
    const error = decode("00000001ff0061")
    assert.strictEqual(error.reason, "InvalidLength")
    assert.strictEqual(error.field, "topics[0].name")
    assert.strictEqual(decode("00000001000561").reason, "InvalidLength")
  })

  it("an absurd count makes no array", () => {
    const error = decode("7fffffff000161")
    assert.strictEqual(error.reason, "InvalidLength")
    assert.include(error.detail, "2147483647 elements")
    assert.strictEqual(decode("ffffffff0f", 9).reason, "InvalidLength")
  })

  it("a varint without an end", () => {
    assert.strictEqual(decode("ffffffffffff", 9).reason, "InvalidLength")
  })

  it("text that is not UTF-8, wherever the bad byte is, short and long", () => {
    for (const length of [1, 9, 10, 11, 47, 48, 49, 300]) {
      for (let position = 0; position < length; position += length > 50 ? 37 : 1) {
        const text = Buffer.alloc(length, "a")
        const size = Buffer.alloc(2)
        size.writeInt16BE(length)
        text[position] = 0xff
        const error = decode(`00000001${hex(size)}${hex(text)}`)
        assert.strictEqual(error.reason, "InvalidUtf8", `length ${length}, position ${position}`)
        assert.strictEqual(error.field, "topics[0].name")
      }
    }
  })

  it("U+FFFD in the text itself is no damage", () => {
    const bytes = WireCodec.encode(MetadataRequest, 1, { topics: [{ name: "a\ufffdb" }] })
    assert.strictEqual(WireCodec.decode(MetadataRequest, 1, bytes).topics?.[0].name, "a\ufffdb")
  })

  it("text keeps what a byte order mark is to others", () => {
    const bytes = WireCodec.encode(MetadataRequest, 1, { topics: [{ name: "\ufeffb\ufffd" }] })
    assert.strictEqual(WireCodec.decode(MetadataRequest, 1, bytes).topics?.[0].name, "\ufeffb\ufffd")
  })

  it("tags: out of order, longer than the message, longer than their value", () => {
    const base = hex(WireCodec.encode(FetchRequest, 12, { topics: [] }).subarray(0, -1))
    const tags = (text: string) => failure(() => WireCodec.decode(FetchRequest, 12, fromHex(base + text)))
    assert.strictEqual(tags("02" + "0501aa" + "0401bb").reason, "InvalidValue")
    assert.strictEqual(tags("02" + "0501aa" + "0501bb").reason, "InvalidValue")
    assert.strictEqual(tags("01" + "0509aa").reason, "InvalidLength")
    assert.strictEqual(tags("01" + "0003" + "0261" + "00").reason, "TrailingBytes")
    assert.strictEqual(tags("01" + "0003" + "0261" + "00").field, "clusterId")
  })

  it("every truncation of a message is an error that names the message", () => {
    const bytes = WireCodec.encode(FetchResponse, 12, {
      responses: [
        {
          topic: "überraschung",
          partitions: [{ partitionIndex: 3, abortedTransactions: [{ producerId: 7n }], records: fromHex("010203") }]
        }
      ],
      nodeEndpoints: []
    })
    for (let length = 0; length < bytes.length; length++) {
      const error = failure(() => WireCodec.decode(FetchResponse, 12, bytes.subarray(0, length)))
      assert.strictEqual(error.name, "FetchResponse")
      assert.strictEqual(error.version, 12)
    }
  })
})

describe("ByteReader and ByteWriter", () => {
  it("strings around the limits of the fast paths, at every position of a non-ASCII character", () => {
    for (const length of [0, 1, 9, 10, 11, 47, 48, 49, 126, 127, 128, 200]) {
      for (let position = -1; position < length; position++) {
        const text = Array.from({ length }, (_, index) => (index === position ? "é" : "a")).join("")
        for (const compact of [false, true]) {
          const writer = new ByteWriter(1)
          writer.writeString(text, compact)
          const reader = new ByteReader(writer.finish())
          const size = compact ? reader.readUnsignedVarint() - 1 : reader.readInt16()
          assert.strictEqual(size, Buffer.byteLength(text))
          assert.strictEqual(reader.readUtf8(size), text)
          assert.strictEqual(reader.remaining, 0)
        }
      }
    }
  })

  it("numbers at their bounds", () => {
    const writer = new ByteWriter(1)
    for (const value of [-(2n ** 63n), -1n, 0n, 2n ** 63n - 1n]) writer.writeInt64(value)
    for (const value of [0, 127, 128, 16383, 16384, 2 ** 31, 2 ** 32 - 1]) writer.writeUnsignedVarint(value)
    writer.writeFloat64(Math.PI)
    const reader = new ByteReader(writer.finish())
    for (const value of [-(2n ** 63n), -1n, 0n, 2n ** 63n - 1n]) assert.strictEqual(reader.readInt64(), value)
    for (const value of [0, 127, 128, 16383, 16384, 2 ** 31, 2 ** 32 - 1]) {
      assert.strictEqual(reader.readUnsignedVarint(), value)
    }
    assert.strictEqual(reader.readFloat64(), Math.PI)
  })

  it("views stay valid while the writer grows and is used again", () => {
    const writer = new ByteWriter(4)
    writer.writeInt32(1)
    const first = writer.finish()
    for (let index = 0; index < 100; index++) writer.writeInt32(index)
    assert.strictEqual(hex(first), "00000001")
  })
})

describe("Api", () => {
  it("knows its versions", () => {
    assert.strictEqual(Fetch.key, 1)
    assert.strictEqual(Fetch.lowestVersion, 0)
    assert.strictEqual(Fetch.highestVersion, 18)
  })

  it("a produce response of the first version has its defaults", () => {
    const response = WireCodec.decode(ProduceResponse, 0, fromHex("00000000"))
    assert.deepStrictEqual(response, { responses: [], throttleTimeMs: 0, nodeEndpoints: [] })
  })

  it("late fields: the coordinator list of v4 and the single key of v3", () => {
    assert.strictEqual(failure(() => WireCodec.encode(FindCoordinatorRequest, 4, { key: "g" })).field, "key")
    assert.strictEqual(
      failure(() => WireCodec.encode(FindCoordinatorRequest, 3, { coordinatorKeys: ["g"] })).field,
      "coordinatorKeys"
    )
  })

  it("a metadata response carries its error code from v13 on", () => {
    const bytes = WireCodec.encode(MetadataResponse, 13, { errorCode: 129 })
    assert.strictEqual(WireCodec.decode(MetadataResponse, 13, bytes).errorCode, 129)
  })
})
