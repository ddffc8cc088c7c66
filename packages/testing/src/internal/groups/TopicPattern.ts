/**
 * A subscription by regular expression (KIP-848): RE2's syntax, as far as JavaScript's engine has the same. What RE2 refuses
 * and JavaScript knows (looking around, back references) is refused.
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

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")

const translate = (pattern: string): string =>
  pattern
    .replace(/\\Q([\s\S]*?)(?:\\E|$)/g, (_, text: string) => literal(text))
    .replace(/\\A/g, "^")
    .replace(/\\z/g, "$")
    .replace(/\(\?P</g, "(?<")
    .replace(/\[:(\^?)(\w+):\]/g, (all, not: string, name: string) =>
      not === "" && name in classes ? classes[name] : all
    )

/** The topics that match, as a whole; why not, for what is no expression. @internal */
export const compile = (pattern: string): ((topic: string) => boolean) | { readonly problem: string } => {
  if (/(?<!\\)(?:\\\\)*\(\?<?[=!]/.test(pattern)) return { problem: "invalid or unsupported Perl syntax" }
  if (/(?<!\\)(?:\\\\)*\\[1-9]/.test(pattern)) return { problem: "invalid escape sequence" }
  // JavaScript has such flags for the whole expression only, beside it.
  const [, flags = "", rest = pattern] = /^\(\?([ims]+)\)([\s\S]*)$/.exec(pattern) ?? []
  try {
    const expression = new RegExp(`^(?:${translate(rest)})$`, flags)
    return (topic) => expression.test(topic)
  } catch (error) {
    if (error instanceof SyntaxError) return { problem: error.message }
    throw error
  }
}
