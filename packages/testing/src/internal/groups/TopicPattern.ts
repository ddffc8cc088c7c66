/**
 * A subscription by regular expression (KIP-848): RE2's syntax, as far as JavaScript's engine has the same. What JavaScript
 * knows and RE2 does not (looking around, back references, unknown escapes) is refused.
 *
 * @since 0.1.0
 */

/** RE2's names of ASCII classes. */
const classes: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  digit: "0-9",
  lower: "a-z",
  punct: "!-/:-@[-`{-~",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f"
}

/** The letters that RE2 knows behind a backslash. */
const escapes = "abfnrtvxABCDEPQSWdpswz0"

/** A character as itself, within a class and outside. */
const escaped = (character: string): string => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`

const translate = (pattern: string): string =>
  pattern
    .replace(/\\Q([\s\S]*?)(?:\\E|$)/g, (_, text: string) => text.replace(/[!-/:-@[-`{-~]/g, escaped))
    .replace(/\\([!-/:-@[-`{-~AzPp])(?:(?<=[Pp])([A-Z]))?/g, (all, character: string, property?: string) => {
      if (character === "A") return "^"
      if (character === "z") return "$"
      if (character !== "P" && character !== "p") return escaped(character)
      return property === undefined ? all : `\\${character}{${property}}`
    })
    .replace(/\(\?P</g, "(?<")
    .replace(/\[:(\w+):\]/g, (all, name: string) => classes[name] ?? all)

/** What RE2 does not have; undefined for nothing. */
const unsupported = (pattern: string): string | undefined => {
  const withoutLiterals = pattern.replace(/\\Q[\s\S]*?(?:\\E|$)/g, "")
  for (const [, character] of withoutLiterals.matchAll(/\\([\s\S])/g)) {
    if (/[0-9A-Za-z]/.test(character) && !escapes.includes(character)) return "invalid escape sequence"
  }
  return /\(\?<?[=!]/.test(withoutLiterals.replace(/\\[\s\S]/g, "")) ? "invalid or unsupported Perl syntax" : undefined
}

/** Whether a topic matches as a whole; what is wrong, for what is no expression. @internal */
export const compile = (pattern: string): ((topic: string) => boolean) | { readonly problem: string } => {
  const problem = unsupported(pattern)
  if (problem !== undefined) return { problem }
  // JavaScript has such flags for the whole expression only, beside it.
  const [, flags = "", rest = pattern] = /^\(\?([ims]+)\)([\s\S]*)$/.exec(pattern) ?? []
  const text = translate(rest)
  try {
    const expression = new RegExp(`^(?:${text})$`, text.includes("\\p") || text.includes("\\P") ? `${flags}u` : flags)
    return (topic) => expression.test(topic)
  } catch (error) {
    if (error instanceof SyntaxError) return { problem: error.message.replace(/^.*: /, "") }
    throw error
  }
}
