/**
 * Control records: what brokers write between the records of users, in batches whose `isControl` is set (KIP-98).
 *
 * @since 0.1.0
 */
import { ByteReader } from "./ByteReader.ts"
import { EndTxnMarker } from "./messages/EndTxnMarker.ts"
import type { Record } from "./Record.ts"
import * as WireCodec from "./WireCodec.ts"
import { WireError } from "./WireError.ts"

/**
 * What a control record says. Types that are of no use to clients (leader changes, snapshots) come as `other`.
 *
 * @category models
 * @since 0.1.0
 */
export type ControlRecord =
  | { readonly type: "abort" | "commit"; readonly coordinatorEpoch: number }
  | { readonly type: "other"; readonly id: number }

/**
 * Reads a record of a control batch. Throws `WireError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = ({ key, value }: Record): ControlRecord => {
  if (key === null || key.length < 4) {
    const detail = `the key of a control record has 4 bytes, found ${key === null ? "null" : key.length}`
    throw new WireError({ reason: "Truncated", name: "ControlRecord", version: -1, field: "key", offset: 0, detail })
  }
  const reader = new ByteReader(key)
  reader.readInt16() // the version of the key: later ones only add to it
  const id = reader.readInt16()
  if (id !== 0 && id !== 1) return { type: "other", id }
  const content = new ByteReader(value ?? new Uint8Array(0))
  // Later versions of the marker add fields behind those of version 0.
  content.take(Math.min(2, content.remaining))
  const { coordinatorEpoch } = WireCodec.of(EndTxnMarker, 0).decodeFrom(content)
  return { type: id === 0 ? "abort" : "commit", coordinatorEpoch }
}

/**
 * The key and value of the marker with which a coordinator ends a transaction, in version 0.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (
  type: "abort" | "commit",
  coordinatorEpoch: number
): { readonly key: Uint8Array; readonly value: Uint8Array } => {
  const key = new Uint8Array(4)
  new DataView(key.buffer).setInt16(2, type === "abort" ? 0 : 1)
  const value = new Uint8Array(6)
  new DataView(value.buffer).setInt32(2, coordinatorEpoch)
  return { key, value }
}
