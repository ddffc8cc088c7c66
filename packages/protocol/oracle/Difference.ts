/**
 * The first difference, readable: what was compared, the value, both sides' bytes around the first byte that differs, and
 * the field that this byte belongs to.
 */
import { inspect } from "node:util"
import * as Data from "effect/Data"
import { ByteError, ByteReader } from "../src/ByteReader.ts"
import type * as Wire from "../src/Wire.ts"
import * as WireCodec from "../src/WireCodec.ts"
import { WireError } from "../src/WireError.ts"

/** We and Kafka do not agree. */
export class Difference extends Data.TaggedError("Difference")<{
  /** What was compared, for example `FetchRequest v12, value 7`. */
  readonly subject: string
  readonly detail: string
}> {
  override get message(): string {
    return `${this.subject}: ${this.detail}`
  }
}

/** A value as text, long bytes and lists shortened. */
export const show = (value: unknown): string =>
  inspect(value, { depth: null, maxArrayLength: 40, maxStringLength: 300, breakLength: 120 })

/** The first byte at which two differ; the length of the shorter one if it is the beginning of the other. */
export const firstDifference = (ours: Uint8Array, theirs: Uint8Array): number => {
  let position = 0
  while (position < ours.length && position < theirs.length && ours[position] === theirs[position]) position++
  return position
}

export const sameBytes = (ours: Uint8Array, theirs: Uint8Array): boolean =>
  ours.length === theirs.length && firstDifference(ours, theirs) === ours.length

const rowBytes = 16
const rowsAround = 3

/** Both sides row by row around the first difference, the byte that differs in brackets. */
export const dump = (ours: Uint8Array, theirs: Uint8Array): string => {
  const position = firstDifference(ours, theirs)
  const middle = Math.floor(position / rowBytes)
  const lines = [`first difference at byte ${position} (ours ${ours.length} bytes, Java's ${theirs.length})`]
  for (let row = Math.max(middle - rowsAround, 0); row <= middle + rowsAround; row++) {
    for (const [name, bytes] of [["ours", ours] as const, ["Java", theirs] as const]) {
      if (row * rowBytes < bytes.length) lines.push(`  ${name} ${dumpRow(bytes, row * rowBytes, position)}`)
    }
  }
  return lines.join("\n")
}

const dumpRow = (bytes: Uint8Array, start: number, marked: number): string => {
  const cells: Array<string> = []
  for (let index = start; index < Math.min(start + rowBytes, bytes.length); index++) {
    const hex = bytes[index].toString(16).padStart(2, "0")
    cells.push(index === marked ? `[${hex}]` : ` ${hex} `)
  }
  return `${start.toString(16).padStart(6, "0")} ${cells.join("")}`
}

/** Stops where a byte is read that lies at a certain place. */
class StoppingReader extends ByteReader {
  private readonly stop: number

  constructor(bytes: Uint8Array, stop: number) {
    super(bytes)
    this.stop = stop
  }

  override take(size: number): number {
    if (this.offset + size > this.stop) throw new ByteError("Truncated", "here", this.offset)
    return super.take(size)
  }

  override readUnsignedVarint(): number {
    const start = this.offset
    const value = super.readUnsignedVarint()
    if (this.offset > this.stop) throw new ByteError("Truncated", "here", start)
    return value
  }
}

/** The field in whose bytes a place lies, as far as we can read them. */
export const fieldAt = (message: Wire.Message<object>, version: number, bytes: Uint8Array, place: number): string => {
  try {
    WireCodec.of(message, version).decodeFrom(new StoppingReader(bytes, place))
    return "behind the last field"
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    return error.field === "" ? "the message itself" : error.field
  }
}
