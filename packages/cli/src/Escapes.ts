/**
 * Backslash escapes in text that a user types: `\n`, `\t`, `\x1f` and the like, as kcat reads them.
 *
 * The result is bytes, not text: `\xff` is the byte 255, which no text in UTF-8 contains.
 *
 * @since 0.1.0
 */

const named = new Map([
  ["n", 0x0a],
  ["r", 0x0d],
  ["t", 0x09]
])

// One escape: hexadecimal, octal (from 0) or decimal, or any other character, which stands for itself.
const escape = /\\(?:x([0-9a-fA-F]{1,2})|(0[0-7]*)|([1-9][0-9]*)|([\s\S]))/gu

const byteOf = (hexadecimal: string | undefined, octal: string | undefined, decimal: string | undefined): number => {
  if (hexadecimal !== undefined) return Number.parseInt(hexadecimal, 16)
  return (octal !== undefined ? Number.parseInt(octal, 8) : Number(decimal)) & 0xff
}

/**
 * Turns text with escapes into bytes: `\n`, `\r`, `\t`, `\xHH`, `\0…` (octal), `\1…` to `\9…` (decimal); a backslash
 * before anything else gives that character, a backslash at the end itself. All else is written in UTF-8.
 *
 * @category decoding
 * @since 0.1.0
 */
export const unescape = (text: string): Uint8Array => {
  const parts: Array<Uint8Array> = []
  let end = 0
  for (const match of text.matchAll(escape)) {
    const [whole, hexadecimal, octal, decimal, character] = match
    parts.push(Buffer.from(text.slice(end, match.index)))
    end = match.index + whole.length
    if (character === undefined) parts.push(Uint8Array.of(byteOf(hexadecimal, octal, decimal)))
    else {
      const byte = named.get(character)
      parts.push(byte === undefined ? Buffer.from(character) : Uint8Array.of(byte))
    }
  }
  parts.push(Buffer.from(text.slice(end)))
  return Buffer.concat(parts)
}
