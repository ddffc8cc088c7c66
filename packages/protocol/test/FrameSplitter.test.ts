import { assert, describe, it } from "@effect/vitest"
import * as FrameSplitter from "../src/FrameSplitter.ts"

const limit = 1000

const frame = (size: number, fill: number): Uint8Array => {
  const bytes = new Uint8Array(4 + size).fill(fill)
  new DataView(bytes.buffer).setInt32(0, size)
  return bytes
}

const concat = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(parts))

const collector = (maxFrameSize = limit) => {
  const frames: Array<Uint8Array> = []
  const splitter = FrameSplitter.make({ maxFrameSize, onFrame: (frame) => frames.push(frame) })
  return { frames, push: splitter.push }
}

const sizes = (frames: ReadonlyArray<Uint8Array>) => frames.map(({ length }) => length)

const assertFilled = (frames: ReadonlyArray<Uint8Array>): void => {
  assert.isTrue(frames.every((bytes, index) => bytes.every((byte) => byte === index + 1)))
}

const failure = (run: () => void): FrameSplitter.FrameError => {
  try {
    run()
  } catch (error) {
    assert.instanceOf(error, FrameSplitter.FrameError)
    return error
  }
  return assert.fail("expected a FrameError")
}

describe("FrameSplitter", () => {
  const stream = concat(frame(4, 1), frame(17, 2), frame(300, 3), frame(5, 4))
  const expected = [4, 17, 300, 5]

  it("cuts frames that come one byte at a time", () => {
    const { frames, push } = collector()
    for (const byte of stream) push(Uint8Array.of(byte))
    assert.deepStrictEqual(sizes(frames), expected)
    assertFilled(frames)
  })

  it("cuts frames that are split at any boundary", () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const { frames, push } = collector()
      push(stream.subarray(0, cut))
      push(stream.subarray(cut))
      assert.deepStrictEqual(sizes(frames), expected, `cut at ${cut}`)
      assertFilled(frames)
    }
  })

  it("cuts frames that are split at any two boundaries", () => {
    const short = concat(frame(4, 1), frame(9, 2))
    for (let first = 0; first <= short.length; first++) {
      for (let second = first; second <= short.length; second++) {
        const { frames, push } = collector()
        push(short.subarray(0, first))
        push(short.subarray(first, second))
        push(short.subarray(second))
        assert.deepStrictEqual(sizes(frames), [4, 9], `cut at ${first} and ${second}`)
      }
    }
  })

  it("cuts many frames out of one piece without copying", () => {
    const many = concat(...Array.from({ length: 500 }, (_, index) => frame(4 + (index % 7), index & 0xff)))
    const { frames, push } = collector()
    push(many)
    assert.strictEqual(frames.length, 500)
    for (const bytes of frames) assert.strictEqual(bytes.buffer, many.buffer)
  })

  it("takes a frame exactly at the limit and refuses one above it", () => {
    const { frames, push } = collector()
    push(frame(limit, 1))
    assert.deepStrictEqual(sizes(frames), [limit])
    const error = failure(() => push(frame(limit + 1, 1)))
    assert.deepStrictEqual({ size: error.size, isFirst: error.isFirst }, { size: limit + 1, isFirst: false })
  })

  it("refuses negative sizes, and sizes too small for a correlation id", () => {
    for (const size of [-1, -2147483648, 0, 3]) {
      const header = new Uint8Array(4)
      new DataView(header.buffer).setInt32(0, size)
      assert.strictEqual(failure(() => collector().push(header)).size, size)
      const { push } = collector()
      push(header.subarray(0, 3))
      assert.strictEqual(failure(() => push(header.subarray(3))).size, size)
    }
  })

  it("refuses a size as soon as it is known, whatever follows", () => {
    const error = failure(() => collector().push(Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02)))
    assert.isTrue(error.isFirst)
  })

  it("leaves frames as they were when later pieces come", () => {
    const { frames, push } = collector(1_000_000)
    const first = concat(frame(100, 1), frame(200_000, 2))
    push(first.subarray(0, 150))
    push(first.subarray(150, 90_000))
    push(first.subarray(90_000))
    const kept = frames.map((bytes) => bytes.slice())
    for (let index = 0; index < 50; index++) push(frame(70_000, 9))
    push(frame(200_000, 8).subarray(0, 100_000))
    assert.deepStrictEqual(frames.slice(0, kept.length), kept)
  })

  it("allocates what has come, not what was announced", () => {
    const { push } = collector(2_000_000_000)
    const before = process.memoryUsage().arrayBuffers
    const huge = frame(8, 0)
    new DataView(huge.buffer).setInt32(0, 1_900_000_000)
    push(huge)
    assert.isBelow(process.memoryUsage().arrayBuffers - before, 10_000_000)
  })
})
