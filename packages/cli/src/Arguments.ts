/**
 * The words of a command line, brought into the one form that `effect/cli` reads without doubt: `--name=value`.
 *
 * Users type values behind short options without a space (`-K:`, `-o-10`), and values that begin with a dash
 * (`-f '-%s'`), as every `getopt` allows.
 *
 * @since 0.1.0
 */

/**
 * Options that take a value, with their one-letter names, or none.
 *
 * @category constants
 * @since 0.1.0
 */
export const valued = {
  brokers: "b",
  "key-separator": "K",
  partition: "p",
  compression: "z",
  acks: "a",
  header: "H",
  from: "o",
  max: "n",
  format: "f",
  group: "g",
  topic: "t",
  to: "",
  state: "",
  port: "",
  topics: "",
  data: ""
} as const

/**
 * Options without a value, with their one-letter names, or none.
 *
 * @category constants
 * @since 0.1.0
 */
export const switches = {
  "exit-at-end": "e",
  json: "",
  "all-topics": "",
  "dry-run": "",
  "no-auto-create": "",
  help: "h",
  version: "v"
} as const

const namesByLetter = new Map<string, string>(Object.entries(valued).map(([name, letter]) => [letter, name]))
const switchLetters = new Set<string>(Object.values(switches))
const switchNames = new Set<string>(Object.keys(switches))

const isOption = (word: string): boolean => {
  if (word.startsWith("--")) {
    const name = word.slice(2).split("=", 1)[0]
    return word === "--" || name in valued || switchNames.has(name)
  }
  return word.length === 2 && word.startsWith("-") && (namesByLetter.has(word[1]) || switchLetters.has(word[1]))
}

/** The value in the next word, unless that is an option: then the value is missing, and that is what to say. */
const takesNext = (next: string | undefined): next is string => next !== undefined && !isOption(next)

interface Expanded {
  readonly words: ReadonlyArray<string>
  /** Whether the next word is among them, as a value. */
  readonly tookNext: boolean
}

const withValue = (before: ReadonlyArray<string>, name: string, next: string | undefined): Expanded =>
  takesNext(next)
    ? { words: [...before, `--${name}=${next}`], tookNext: true }
    : { words: [...before, `--${name}`], tookNext: false }

/** What a word of short options stands for; itself where it has an unknown letter. */
const expandShort = (word: string, next: string | undefined): Expanded => {
  const before: Array<string> = []
  for (let at = 1; at < word.length; at++) {
    const name = namesByLetter.get(word[at])
    if (name !== undefined) {
      if (at + 1 === word.length) return withValue(before, name, next)
      return { words: [...before, `--${name}=${word.slice(at + 1).replace(/^=/, "")}`], tookNext: false }
    }
    if (!switchLetters.has(word[at])) break
    before.push(`-${word[at]}`)
  }
  return { words: before.length === word.length - 1 ? before : [word], tookNext: false }
}

const expand = (word: string, next: string | undefined): Expanded => {
  if (word.startsWith("--") && word.slice(2) in valued) return withValue([], word.slice(2), next)
  if (word.startsWith("-") && !word.startsWith("--") && word.length > 1) return expandShort(word, next)
  return { words: [word], tookNext: false }
}

/**
 * Rewrites the words before `--`: short options with a value, and long ones whose value is the next word, become
 * `--name=value`. What it does not know stays as it is.
 *
 * @category combinators
 * @since 0.1.0
 */
export const normalise = (words: ReadonlyArray<string>): ReadonlyArray<string> => {
  const result: Array<string> = []
  for (let at = 0; at < words.length; at++) {
    if (words[at] === "--") return [...result, ...words.slice(at)]
    const expanded = expand(words[at], words[at + 1])
    result.push(...expanded.words)
    if (expanded.tookNext) at++
  }
  return result
}
