import { ByteBuffer } from "../src/ByteBuffer.ts"
import type { BytesRecord, Printer } from "../src/Format.ts"

/** A record with a key, a value and headers in text. */
export const record = (fields: Partial<BytesRecord> = {}): BytesRecord => ({
  topic: "žluť",
  partition: 3,
  offset: 2n ** 60n,
  leaderEpoch: 0,
  timestamp: 1_700_000_000_000,
  timestampType: "create",
  key: Buffer.from("k"),
  value: Buffer.from("value ž"),
  headers: [],
  ...fields
})

export const print = (printer: Printer, ...records: ReadonlyArray<BytesRecord>): Buffer => {
  const buffer = new ByteBuffer()
  for (const each of records) printer(buffer, each)
  return Buffer.from(buffer.bytes)
}
