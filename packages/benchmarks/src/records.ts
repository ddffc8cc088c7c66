/**
 * Record batches without a socket: 1,000 records of 100 bytes with 10-byte keys, written into a batch and read back, CRC
 * included; and the same as a message set of the formats before. A component suite, for finding hot spots.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import * as MessageSet from "@kafka-effect/protocol/MessageSet"
import type { Record } from "@kafka-effect/protocol/Record"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import { crc32c } from "@node-rs/crc32"
import { Bench } from "tinybench"
import { print } from "./table.ts"

const recordsPerBatch = 1000

const types: ReadonlyArray<CompressionType> = ["none", "gzip", "snappy", "lz4", "zstd"]

const keys = Array.from({ length: recordsPerBatch }, (_, index) => Buffer.from(String(index).padStart(10, "0")))
// Text of which half is noise, the same in each run: neither as dense as zeros nor as random bytes.
const values = Array.from({ length: recordsPerBatch }, (_, index) => {
  const noise = createHash("sha256").update(String(index)).digest("hex").slice(0, 50)
  return Buffer.from(`order ${index} `.padEnd(50, ".") + noise)
})

const build = () => {
  const builder = new RecordBatchBuilder(160 * 1024)
  for (let index = 0; index < recordsPerBatch; index++) builder.append(1_700_000_000_000, keys[index], values[index])
  return builder
}

const read = async (bytes: Uint8Array): Promise<ReadonlyArray<Record>> =>
  Records.decode(Records.split(bytes).batches[0])

const checkEqual = (records: ReadonlyArray<Record>): void => {
  assert.equal(records.length, recordsPerBatch)
  for (let index = 0; index < recordsPerBatch; index++) {
    assert.deepEqual([...records[index].key!], [...keys[index]])
    assert.deepEqual([...records[index].value!], [...values[index]])
  }
}

const addMessageSets = async (bench: Bench): Promise<void> => {
  const records = await read(new Uint8Array(await build().build()))
  for (const magic of [0, 1] as const) {
    const bytes = await MessageSet.encode(records, { magic })
    checkEqual(await read(bytes))
    bench.add(`encode message set v${magic}`, () => {
      MessageSet.encode(records, { magic })
    })
    bench.add(`decode message set v${magic}`, () => {
      Records.decode(Records.split(bytes).batches[0])
    })
  }
}

/** What no codec can save: every byte copied once, and the checksum. The yardstick within a run. */
const addLimit = (bench: Bench): void => {
  bench.add("limit: copy and CRC alone", () => {
    const slab = new Uint8Array(160 * 1024)
    let position = 0
    for (let index = 0; index < recordsPerBatch; index++) {
      slab.set(keys[index], position)
      position += keys[index].length
      slab.set(values[index], position)
      position += values[index].length
    }
    crc32c(slab.subarray(0, position))
  })
}

/** Adds the tasks; each codec is checked before it is timed. */
const suite = async (): Promise<Bench> => {
  const bench = new Bench({ time: 1000, warmupTime: 250 })
  addLimit(bench)
  for (const compression of types) {
    const bytes = new Uint8Array(await build().build({ compression }))
    checkEqual(await read(bytes))
    if (compression === "none") {
      bench.add("encode none", () => {
        build().build()
      })
      bench.add("decode none", () => {
        Records.decode(Records.split(bytes).batches[0])
      })
    } else {
      bench.add(`encode ${compression}`, async () => {
        await build().build({ compression })
      })
      bench.add(`decode ${compression}`, async () => {
        await read(bytes)
      })
    }
  }
  await addMessageSets(bench)
  await bench.run()
  return bench
}

if (import.meta.main) print(await suite(), "records", recordsPerBatch)
