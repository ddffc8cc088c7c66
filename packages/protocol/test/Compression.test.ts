import * as zlib from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { ByteError } from "@kafka-effect/protocol/ByteReader"
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import * as Compression from "@kafka-effect/protocol/Compression"
import { crc32 } from "@kafka-effect/protocol/Crc32"
import * as Lz4 from "@kafka-effect/protocol/Lz4"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import { WireError } from "@kafka-effect/protocol/WireError"
import { Random } from "./Random.ts"

const codecs: ReadonlyArray<CompressionType> = ["gzip", "snappy", "lz4", "zstd"]
const options = { magic: 2 }
const seed = Number(process.env.KAFKA_EFFECT_SEED ?? 20261123)

/** Half of it compresses well, half not at all. */
const content = (size: number): Uint8Array => {
  const random = new Random(seed + size)
  const noise = random.bytes(size >> 1)
  const result = new Uint8Array(size).fill(97)
  result.set(noise, size - noise.length)
  return result
}

const damage = async (body: () => unknown): Promise<ByteError> => {
  try {
    await body()
  } catch (error) {
    if (error instanceof ByteError) return error
    throw error
  }
  throw new Error("nothing was thrown")
}

const same = (found: Uint8Array, expected: Uint8Array): boolean => Buffer.from(found).equals(expected)

describe("every codec", () => {
  for (const [type, fast, small] of [
    ["gzip", 1, 9],
    ["zstd", -50, 19]
  ] as const) {
    it(`${type} compresses harder at a higher level, at once and on the thread pool`, async () => {
      const words = new Random(seed)
      for (const size of [4000, 100_000]) {
        const text = Buffer.from(Array.from({ length: size }, () => "etaoin shrdlu"[words.integer(0, 12)]).join(""))
        const [fastest, smallest] = await Promise.all(
          [fast, small].map((level) => Compression.compress(type, text, { magic: 2, level }))
        )
        assert.isAbove(fastest.length, smallest.length)
        for (const each of [fastest, smallest]) {
          assert.isTrue(same(await Compression.decompress(type, each, size, options), text))
        }
      }
    })
  }

  it("zstd in very many frames, even empty ones, lets timers run in between", async () => {
    for (const [content, count] of [
      [new Uint8Array(0), 100_000],
      [new Uint8Array(1), 20_000]
    ] as const) {
      const frame = zlib.zstdCompressSync(content)
      const data = Buffer.alloc(frame.length * count, frame)
      let ticks = 0
      const timer = setInterval(() => ticks++, 1)
      const restored = await Compression.decompress("zstd", data, 1e6, options)
      clearInterval(timer)
      assert.strictEqual(restored.length, content.length * count)
      assert.isAbove(ticks, 20)
    }
  })

  for (const type of codecs) {
    it(`${type} restores what it compressed, at the edges of blocks and of the thread pool`, async () => {
      for (const edge of [1, 32 * 1024, 64 * 1024, 128 * 1024, 256 * 1024]) {
        for (const size of [edge - 1, edge, edge + 1]) {
          const compressed = await Compression.compress(type, content(size), options)
          const restored = await Compression.decompress(type, compressed, Math.max(size, 1), options)
          assert.isTrue(same(restored, content(size)), `${size} bytes`)
        }
      }
    })

    it(`${type} restores as much as the limit, and not one byte more`, async () => {
      for (const size of [100, 1_000_000]) {
        const compressed = await Compression.compress(type, content(size), options)
        assert.strictEqual((await Compression.decompress(type, compressed, size, options)).length, size)
        const error = await damage(() => Compression.decompress(type, compressed, size - 1, options))
        assert.strictEqual(error.reason, "TooLarge")
      }
    })

    it(`${type} works at once on what is small, and elsewhere on what becomes large`, async () => {
      const small = await Compression.compress(type, new Uint8Array(10_000), options)
      assert.notInstanceOf(Compression.decompress(type, small, 1e6, options), Promise)
      const large = await Compression.compress(type, new Uint8Array(1_000_000), options)
      const restored = Compression.decompress(type, large, 1e6, options)
      assert.instanceOf(restored, Promise)
      assert.strictEqual((await restored).length, 1_000_000)
    })

    it(`${type} that is cut anywhere is damaged`, async () => {
      for (const size of [300, 200_000]) {
        const compressed = await Compression.compress(type, content(size), options)
        const step = Math.max(1, Math.floor(compressed.length / 300))
        for (let length = 0; length < compressed.length; length += step) {
          // What is left of snappy's frame behind a block is a whole one.
          const error = await damage(async () => {
            const restored = await Compression.decompress(type, compressed.subarray(0, length), 1e6, options)
            if (type === "snappy" && restored.length < size) throw new ByteError("Decompression", "short", 0)
          })
          assert.strictEqual(error.reason, "Decompression", `${length} of ${compressed.length} bytes`)
        }
      }
    })
  }

  it("a number that no codec has", () => {
    for (const id of [-1, 5, 6, 7]) assert.throws(() => Compression.typeOf(id))
    assert.deepStrictEqual([0, 1, 2, 3, 4].map(Compression.typeOf), ["none", ...codecs])
  })
})

describe("lz4", () => {
  const wordOf = (value: number): Buffer => {
    const word = Buffer.alloc(4)
    word.writeUInt32LE(value >>> 0)
    return word
  }

  const frame = (flags: number, descriptor: number, blocks: ReadonlyArray<Uint8Array>, extra = Buffer.alloc(0)) =>
    new Uint8Array(
      Buffer.concat([
        Buffer.from([0x04, 0x22, 0x4d, 0x18, flags, descriptor]),
        extra,
        Buffer.from([0]), // the header's checksum, which readers of magic 0 pass over
        ...blocks.flatMap((block) => [wordOf(block.length), block]),
        wordOf(0)
      ])
    )

  const restore = (data: Uint8Array, limit = 1e6) => Lz4.decompress(data, limit, { anyChecksum: true })

  /** Literals, then a match that copies `length` bytes from `distance` before. */
  const sequence = (literals: string, distance: number, length: number): Uint8Array =>
    Buffer.concat([
      Buffer.from([(literals.length << 4) | (length - 4)]),
      Buffer.from(literals),
      Buffer.from([distance & 0xff, distance >> 8])
    ])

  const lastLiterals = (literals: string): Uint8Array =>
    Buffer.concat([Buffer.from([literals.length << 4]), Buffer.from(literals)])

  it("blocks that refer to the ones before, also across stored ones", async () => {
    const first = lastLiterals("abcdefghijkl")
    const second = Buffer.concat([sequence("-", 13, 12), lastLiterals("12345")])
    const data = frame(0x40, 0x40, [first, second])
    assert.strictEqual(Buffer.from(await restore(data)).toString(), "abcdefghijkl-abcdefghijkl12345")
  })

  it("refer back to 64 KiB, over many blocks", async () => {
    const random = new Random(seed)
    const parts: Array<Uint8Array> = [Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0])]
    let expected = Buffer.alloc(0)
    for (let index = 0; index < 30; index++) {
      const noise = random.bytes(random.integer(5_000, 50_000))
      parts.push(wordOf(noise.length | 0x80000000), noise)
      expected = Buffer.concat([expected, noise, Buffer.from("-")])
      const distance = Math.min(expected.length, random.integer(60_000, 65_535))
      const start = expected.length - distance
      const match = Buffer.concat([sequence("-", distance, 10), lastLiterals("12345")])
      parts.push(wordOf(match.length), match)
      expected = Buffer.concat([expected, expected.subarray(start, start + 10), Buffer.from("12345")])
    }
    parts.push(wordOf(0))
    assert.isTrue(same(await restore(new Uint8Array(Buffer.concat(parts))), expected))
  })

  it("takes time in proportion to the input, however many blocks it has", async () => {
    for (const flags of [0x40, 0x60]) {
      const blocks = Array.from({ length: 20_000 }, () => lastLiterals("a"))
      const started = performance.now()
      assert.strictEqual((await restore(frame(flags, 0x40, blocks))).length, 20_000)
      // Copying all that came before for each block takes a minute.
      assert.isBelow(performance.now() - started, 10_000)
    }
  })

  it("content size and checksums of blocks and content are passed over", async () => {
    const block = lastLiterals("hello")
    const withSize = frame(0x68, 0x40, [block], Buffer.from([5, 0, 0, 0, 0, 0, 0, 0]))
    assert.strictEqual(Buffer.from(await restore(withSize)).toString(), "hello")
    const withChecksums = new Uint8Array(
      Buffer.concat([
        Buffer.from([4, 0x22, 0x4d, 0x18, 0x74, 0x40, 0]),
        wordOf(6),
        block,
        wordOf(1),
        wordOf(0),
        wordOf(2)
      ])
    )
    assert.strictEqual(Buffer.from(await restore(withChecksums)).toString(), "hello")
  })

  it("refuses what Kafka refuses: versions, block sizes, dictionaries, a wrong header checksum", async () => {
    const block = lastLiterals("hello")
    for (const [flags, descriptor] of [
      [0x20, 0x40],
      [0x61, 0x40],
      [0x60, 0x30]
    ]) {
      assert.strictEqual((await damage(() => restore(frame(flags, descriptor, [block])))).reason, "Decompression")
    }
    const wrong = await damage(() => Lz4.decompress(frame(0x60, 0x40, [block]), 100, { anyChecksum: false }))
    assert.include(wrong.detail, "checksum")
  })

  it("a block that ends inside of a sequence", async () => {
    for (const block of [
      [0x50, 97],
      [0xf0, 255, 255],
      [0x10, 97, 1],
      [0x1f, 97, 1, 0, 255]
    ]) {
      const error = await damage(() => restore(frame(0x60, 0x40, [Buffer.from(block)])))
      assert.include(error.detail, "inside of a sequence")
    }
  })

  it("a block that is larger than its frame allows is not restored", async () => {
    const long = Buffer.concat([
      Buffer.from([0x1f, 97, 1, 0]),
      Buffer.alloc(300, 255),
      Buffer.from([0]),
      lastLiterals("12345")
    ])
    const error = await damage(() => restore(frame(0x60, 0x40, [long])))
    assert.strictEqual(error.reason, "Decompression")
    assert.include(error.detail, "65536")
    // 300 × 255 + 15 + 4 of the match, and the literals: the sum is known before anything is restored.
    const expected = 1 + 300 * 255 + 19 + 5
    assert.strictEqual((await restore(frame(0x60, 0x50, [long]))).length, expected)
    assert.strictEqual((await damage(() => restore(frame(0x60, 0x50, [long]), expected - 1))).reason, "TooLarge")
  })
})

describe("zstd", () => {
  const compress = (text: string): Buffer => zlib.zstdCompressSync(Buffer.from(text))
  const restore = async (data: Uint8Array, limit = 1e6): Promise<string> =>
    Buffer.from(await Compression.decompress("zstd", data, limit, options)).toString()

  it("several frames, and frames to skip between them", async () => {
    const skippable = Buffer.from([0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
    const data = Buffer.concat([skippable, compress("one "), skippable, compress("two")])
    assert.strictEqual(await restore(data), "one two")
    assert.strictEqual((await damage(() => restore(data, 6))).reason, "TooLarge")
  })

  it("a content of unknown size, with a checksum, as Java writes it", async () => {
    const stream = zlib.createZstdCompress({ params: { [zlib.constants.ZSTD_c_checksumFlag]: 1 } })
    const chunks: Array<Buffer> = []
    const done = new Promise((resolve) => stream.on("data", (chunk) => chunks.push(chunk)).on("end", resolve))
    for (let part = 0; part < 30; part++) stream.write("0123456789".repeat(1000))
    stream.end()
    await done
    assert.strictEqual(await restore(Buffer.concat(chunks)), "0123456789".repeat(30_000))
    assert.strictEqual((await damage(() => restore(Buffer.concat(chunks), 299_999))).reason, "TooLarge")
  })

  it("bytes that are not zstd", async () => {
    assert.strictEqual((await damage(() => restore(Buffer.from("hello hello")))).reason, "Decompression")
    assert.strictEqual(
      (await damage(() => restore(Buffer.concat([compress("x"), Buffer.from("junk")])))).reason,
      "Decompression"
    )
  })
})

describe("gzip", () => {
  it("several members, and a size at the end that is not true", async () => {
    const restore = async (data: Uint8Array) =>
      Buffer.from(await Compression.decompress("gzip", data, 1e6, options)).toString()
    const members = Buffer.concat([zlib.gzipSync("a".repeat(200_000)), zlib.gzipSync("b")])
    assert.strictEqual(await restore(members), `${"a".repeat(200_000)}b`)
    const lying = zlib.gzipSync("hello")
    lying.writeUInt32LE(0xffffffff, lying.length - 4)
    assert.strictEqual((await damage(() => restore(lying))).reason, "Decompression")
  })
})

describe("snappy", () => {
  const header = Buffer.from("82534e41505059000000000100000001", "hex")
  const restore = (data: Uint8Array) => Compression.decompress("snappy", data, 1e6, options)

  it("blocks whose lengths are not true", async () => {
    for (const length of ["ffffffff", "7fffffff", "80000000", "00000005"]) {
      const data = Buffer.concat([header, Buffer.from(length, "hex"), Buffer.from([1, 0, 97])])
      assert.strictEqual((await damage(() => restore(data))).reason, "Decompression")
    }
    // A block of three bytes that says it restores to 256 MiB.
    const claim = Buffer.concat([header, Buffer.from([0, 0, 0, 6, 0x80, 0x80, 0x80, 0x80, 0x01, 0])])
    assert.strictEqual((await damage(() => restore(claim))).reason, "Decompression")
  })

  it("many small blocks", async () => {
    const block = Buffer.concat([Buffer.from([0, 0, 0, 3, 1, 0]), Buffer.from("a")])
    const restored = await restore(Buffer.concat([header, ...Array.from({ length: 5000 }, () => block)]))
    assert.strictEqual(Buffer.from(restored).toString(), "a".repeat(5000))
  })
})

describe("codecs written for KafkaJS", () => {
  it("what they throw comes as a WireError, at once or later", async () => {
    const original = Compression.codecOf("lz4")
    const builder = new RecordBatchBuilder()
    builder.append(0, null, new Uint8Array(100))
    const good = Uint8Array.from(await builder.build({ compression: "lz4" }))
    const cause = new Error("out of order")
    const broken = () => {
      throw cause
    }
    const tries = [
      Compression.fromKafkaJs(() => ({ compress: async () => broken(), decompress: async () => broken() })),
      { compress: broken, decompress: broken }
    ]
    try {
      for (const codec of tries) {
        Compression.register("lz4", codec)
        for (const [reason, body] of [
          ["InvalidValue", () => builder.build({ compression: "lz4" })],
          ["Decompression", () => Records.decode(Records.split(good).batches[0])]
        ] as const) {
          const error = await (async () => body())().catch((failure: unknown) => failure)
          assert.instanceOf(error, WireError)
          assert.strictEqual(error.reason, reason)
          assert.strictEqual(error.name, "RecordBatch")
          assert.strictEqual(error.cause, cause)
        }
      }
    } finally {
      Compression.register("lz4", original)
    }
  })
})

describe("CRC-32", () => {
  it("is zlib's, at every length and place", () => {
    const data = new Random(seed).bytes(600)
    for (let length = 0; length < 400; length++) {
      const start = length % 7
      assert.strictEqual(crc32(data, start, start + length), zlib.crc32(data.subarray(start, start + length)))
    }
  })
})
