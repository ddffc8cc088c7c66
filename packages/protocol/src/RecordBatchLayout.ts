/**
 * Where things are in a record batch v2 (the protocol guide's "Record Batch").
 *
 * @since 0.1.0
 */

/** The format's number, in each batch at the place where message sets have theirs. */
export const magic = 2

/** Places in the header. */
export const at = {
  batchLength: 8,
  partitionLeaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57
} as const

/** Bytes of the header: the records begin behind it. */
export const headerBytes = 61

/** The part of the header that the batch's own length does not count: base offset and length. */
export const uncountedBytes = 12

/** Bits of the attributes. */
export const compressionMask = 7
export const appendTimeFlag = 8
export const transactionalFlag = 16
export const controlFlag = 32
