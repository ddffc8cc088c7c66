/** What members of a group have done, taken together: who owned what when, and what is wrong with it. */
import type { Sighting } from "./GroupObserver.ts"
import type { MemberProcess } from "./MemberProcess.ts"

export interface MemberReport {
  /** Everything that must not happen, told in words. */
  readonly faults: ReadonlyArray<string>
  /** Distinct values that were worked on to the end. */
  readonly values: ReadonlySet<string>
  /** Records that were begun, and how many of them not for the first time. */
  readonly begun: number
  readonly repeated: number
  /** By `topic:partition`: behind the last offset that was worked on to the end. */
  readonly ends: ReadonlyMap<string, number>
  readonly leases: number
  readonly endings: Readonly<Record<Ending, number>>
}

type Ending = "revoked" | "lost" | "killed" | "open"

/** The time for which a member had a partition. */
class Tenure {
  readonly member: string
  readonly key: string
  readonly from: number
  /** From here on somebody else may have it. */
  to = Number.POSITIVE_INFINITY
  ending: Ending = "open"
  /** The first offset that was worked on, and the last that was to the end. */
  first: number | undefined
  begun: number | undefined
  done: number | undefined
  /** Behind the last that was done before its process slept for longer than its session, if it ever did. */
  doneAwake = 0

  constructor(member: string, key: string, from: number) {
    this.member = member
    this.key = key
    this.from = from
  }
}

const seconds = (micros: number): string => `${(micros / 1e6).toFixed(3)} s`

export const examine = (
  members: ReadonlyArray<MemberProcess>,
  options: { readonly sessionTimeout: number; readonly sightings?: ReadonlyMap<string, ReadonlyArray<Sighting>> }
): MemberReport => {
  const faults: Array<string> = []
  const tenures: Array<Tenure> = []
  const values = new Set<string>()
  const valueAt = new Map<string, Map<number, string>>()
  const doneAt = new Map<string, Map<number, number>>()
  const ends = new Map<string, number>()
  let begun = 0
  let repeated = 0

  const examineMember = (member: MemberProcess): void => {
    const { name } = member
    const owned = new Map<string, Tenure>()
    const lost = new Map<string, Tenure>()
    const inHand = new Map<
      string,
      { readonly offsets: ReadonlyArray<number>; readonly values: ReadonlyArray<string> }
    >()
    const pauseBefore = (from: number, at: number) =>
      member.pauses.find(
        (pause) => pause.from >= from && pause.to < at && pause.to - pause.from > options.sessionTimeout * 1000
      )
    for (const line of member.lines()) {
      const { at } = line
      switch (line.what) {
        case "assigned":
          for (const { partition, topic } of line.partitions) {
            const key = `${topic}:${partition}`
            if (owned.has(key)) faults.push(`${name} was given ${key} at ${seconds(at)} and had it already`)
            const tenure = new Tenure(name, key, at)
            owned.set(key, tenure)
            tenures.push(tenure)
          }
          break
        case "revoked":
        case "lost":
          for (const { partition, topic } of line.partitions) {
            const key = `${topic}:${partition}`
            const tenure = owned.get(key)
            if (tenure === undefined) {
              faults.push(`${key} was ${line.what} at ${seconds(at)} by ${name}, who had it not`)
              continue
            }
            owned.delete(key)
            if (line.what === "lost") lost.set(key, tenure)
            else lost.delete(key)
            // Whoever was paused was dead for the group from then on.
            tenure.to = Math.min(at, pauseBefore(tenure.from, at)?.from ?? at)
            tenure.ending = line.what
          }
          break
        case "begin": {
          const key = `${line.topic}:${line.partition}`
          const tenure = owned.get(key)
          const { offsets } = line
          const where = `${name} began ${key} ${offsets[0]}-${offsets.at(-1)} at ${seconds(at)}`
          inHand.set(key, line)
          if (tenure === undefined) {
            faults.push(`${where}, which it had not`)
            break
          }
          if (pauseBefore(tenure.from, at) !== undefined)
            faults.push(`${where} after a pause that its session did not outlast`)
          const known = valueAt.get(key) ?? new Map<number, string>()
          valueAt.set(key, known)
          offsets.forEach((offset, index) => {
            if (tenure.begun !== undefined && offset !== tenure.begun + 1)
              faults.push(`${where}: ${offset} follows ${tenure.begun}`)
            tenure.first ??= offset
            tenure.begun = offset
            begun++
            const before = known.get(offset)
            if (before !== undefined) repeated++
            if (before !== undefined && before !== line.values[index]) {
              faults.push(`${where}: at ${offset} is ${line.values[index]}, and was ${before}`)
            }
            known.set(offset, line.values[index])
          })
          break
        }
        case "done": {
          const key = `${line.topic}:${line.partition}`
          const work = inHand.get(key)
          const times = doneAt.get(key) ?? new Map<number, number>()
          doneAt.set(key, times)
          for (const offset of work?.offsets ?? []) times.set(offset, Math.min(at, times.get(offset) ?? at))
          for (const value of work?.values ?? []) values.add(value)
          ends.set(key, Math.max(line.last + 1, ends.get(key) ?? 0))
          const tenure = owned.get(key)
          if (tenure !== undefined) {
            tenure.done = line.last
            if (pauseBefore(tenure.from, at) === undefined) tenure.doneAwake = line.last + 1
          }
          break
        }
        case "committed":
          for (const [topic, partition, offset] of line.offsets) {
            const key = `${topic}:${partition}`
            const tenure = owned.get(key) ?? lost.get(key)
            if (tenure === undefined || pauseBefore(tenure.from, at) === undefined || offset <= tenure.doneAwake)
              continue
            faults.push(
              `${name} committed ${key} ${offset} at ${seconds(at)}, of what it had in hand when its session ended`
            )
          }
          break
        case "failed":
          faults.push(`${name} failed at ${seconds(at)}: ${line.text}`)
          break
      }
    }
    for (const tenure of owned.values()) {
      if (member.killedAt === undefined) continue
      tenure.to = Math.min(member.killedAt, pauseBefore(tenure.from, member.killedAt)?.from ?? member.killedAt)
      tenure.ending = "killed"
    }
  }

  /** Whoever gets a partition that was given back in order begins where the one before has ended. */
  const examineSuccession = (list: ReadonlyArray<Tenure>): void => {
    let before: Tenure | undefined
    let expected: number | undefined
    for (const tenure of list) {
      const { first, from, key, member } = tenure
      if (before !== undefined && before.to > from) {
        faults.push(
          `${key} was given to ${member} at ${seconds(from)}, while ${before.member} had it until ${seconds(before.to)} (${before.ending})`
        )
      }
      if (first !== undefined && expected !== undefined && first !== expected) {
        faults.push(`${key}: ${member} began at ${first}, and before it was given back at ${expected}`)
      }
      if (tenure.ending !== "revoked") expected = undefined
      else if (tenure.done !== undefined) expected = tenure.done + 1
      // Who had it only for a moment may have committed for it what it has not worked on: nothing.
      before = tenure
    }
  }

  /** What is committed was worked on to the end before, and is never less than before. */
  const examineCommits = (key: string, sightings: ReadonlyArray<Sighting>): void => {
    const times = doneAt.get(key)
    let offset = 0
    let last = 0
    for (const sighting of sightings) {
      if (sighting.offset < offset) {
        faults.push(
          `${key}: the committed offset went from ${offset} back to ${sighting.offset} at ${seconds(sighting.at)}`
        )
      }
      for (; offset < sighting.offset; offset++) last = Math.max(last, times?.get(offset) ?? Number.POSITIVE_INFINITY)
      if (last > sighting.at) {
        faults.push(
          `${key}: ${sighting.offset} was committed at ${seconds(sighting.at)}, and its records done at ${seconds(last)}`
        )
        return
      }
    }
  }

  for (const member of members) examineMember(member)
  const sorted = tenures.sort((a, b) => a.from - b.from)
  for (const list of Map.groupBy(sorted, ({ key }) => key).values()) examineSuccession(list)
  for (const [key, sightings] of options.sightings ?? []) examineCommits(key, sightings)
  const endings = { revoked: 0, lost: 0, killed: 0, open: 0 }
  for (const { ending } of tenures) endings[ending]++
  return { faults, values, begun, repeated, ends, leases: tenures.length, endings }
}
