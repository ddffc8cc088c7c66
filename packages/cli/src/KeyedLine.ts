/**
 * A line as key and value.
 *
 * @since 0.1.0
 */

/**
 * A key, which may be null, and a value.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeyedLine {
  readonly key: Uint8Array | null
  readonly value: Uint8Array
}

const indexOf = (line: Uint8Array, separator: Uint8Array): number =>
  separator.length === 1
    ? line.indexOf(separator[0])
    : Buffer.from(line.buffer, line.byteOffset, line.byteLength).indexOf(separator)

/**
 * Splits a line at the first separator. Without one in it, the key is null and the whole line is the value.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (line: Uint8Array, separator: Uint8Array): KeyedLine => {
  const at = indexOf(line, separator)
  if (at === -1) return { key: null, value: line }
  return { key: line.subarray(0, at), value: line.subarray(at + separator.length) }
}
