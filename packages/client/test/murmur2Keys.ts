/** The keys of the golden murmur2 hashes: the same in each run. */

import { randomOf } from "./random.ts"

export const count = 10_000

const alphabet = [..."aZ09-_ äßéñøЖшקمन中日本한🙂𝄞"]

/** Random bytes, bytes with the high bit set, ASCII and other text, 0 to 66 bytes and some more. */
export const make = (): ReadonlyArray<Uint8Array> => {
  const random = randomOf(20261123)
  const next = (): number => random() * 0x100000000
  return Array.from({ length: count }, (_, index) => {
    const length = next() % 67
    if (index % 4 === 0) return Uint8Array.from({ length }, () => next() & 0xff)
    if (index % 4 === 1) return Uint8Array.from({ length }, () => (next() & 0x7f) | 0x80)
    if (index % 4 === 2) return new TextEncoder().encode(`order-${next()}`.slice(0, length))
    const text = Array.from({ length: length % 24 }, () => alphabet[next() % alphabet.length])
    return new TextEncoder().encode(text.join(""))
  })
}
