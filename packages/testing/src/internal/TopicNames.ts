/**
 * Which names topics may have (Kafka's `Topic.validate`).
 *
 * @since 0.1.0
 */

const maxLength = 249

/** What is wrong with a name; undefined for nothing. @internal */
export const problem = (name: string): string | undefined => {
  if (name.length === 0) return "Topic name is invalid: the empty string is not allowed"
  if (name === "." || name === "..") return `Topic name is invalid: '${name}' is not allowed`
  if (name.length > maxLength) return `Topic name is invalid: the length of '${name}' is longer than ${maxLength}`
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return `Topic name is invalid: '${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`
  }
  return undefined
}
