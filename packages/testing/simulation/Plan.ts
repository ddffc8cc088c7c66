/** What a run is like: who produces, who consumes, and what goes wrong. All of it is drawn from the seed. */
import * as Chance from "./Chance.ts"
import * as Faults from "./Faults.ts"

export const brokers = 3

/** How a member works on records. */
export type Mode =
  /** `run`, the arrays of a partition one after the other. */
  | { readonly kind: "run" }
  /** `run`, up to so many keys of a partition at a time. */
  | { readonly kind: "run per key"; readonly keys: number }
  /** `records`, and a commit of each array behind the work on it. */
  | { readonly kind: "records, committing by hand" }
  /** `records`, into the sink that commits. */
  | { readonly kind: "records, into the committing sink" }
  /** `records`, with automatic commits of what was handed over before. */
  | { readonly kind: "records, committing by itself" }

export interface MemberPlan {
  readonly name: string
  readonly mode: Mode
}

export interface GroupPlan {
  readonly name: string
  readonly assignor: "cooperative-sticky" | "range" | "roundrobin"
  /** Whether its members are static ones. */
  readonly isStatic: boolean
  readonly members: ReadonlyArray<MemberPlan>
  /** Milliseconds. */
  readonly sessionTimeout: number
  /** Most records of an array, and bytes that may be fetched ahead. */
  readonly maxPollRecords: number
  readonly prefetchBytes: number
  /** How often the work on an array fails, is slow, and is very slow. */
  readonly failing: number
  readonly slow: number
}

export interface ProducerPlan {
  readonly name: string
  readonly acks: "all" | 1
  readonly isIdempotent: boolean
  readonly records: number
  /** Most records that are sent together. */
  readonly burst: number
  /** How long all of them take, about: milliseconds. */
  readonly duration: number
  readonly linger: number
  readonly batchSize: number
  /** Bytes: where it is little, what is not given back is soon missed. */
  readonly bufferMemory: number
  readonly deliveryTimeout: number
}

export interface Plan {
  readonly partitions: number
  readonly keys: number
  /** Milliseconds. */
  readonly fetchMaxWait: number
  readonly producers: ReadonlyArray<ProducerPlan>
  readonly groups: ReadonlyArray<GroupPlan>
  readonly faults: ReadonlyArray<Faults.Fault>
}

const modeOf = (chance: Chance.Chance): Mode => {
  const kind = chance.of([
    "run",
    "run",
    "run per key",
    "run per key",
    "records, committing by hand",
    "records, into the committing sink",
    "records, committing by itself"
  ] as const)
  return kind === "run per key" ? { kind, keys: chance.between(1, 4) } : { kind }
}

const groupOf = (chance: Chance.Chance, name: string): GroupPlan => ({
  name,
  assignor: chance.of(["cooperative-sticky", "cooperative-sticky", "range", "roundrobin"]),
  isStatic: chance.happens(0.2),
  members: Array.from({ length: chance.between(1, 3) }, (_, index) => ({
    name: `${name}-m${index}`,
    mode: modeOf(chance)
  })),
  sessionTimeout: chance.of([6000, 10_000]),
  maxPollRecords: chance.of([1, 5, 500]),
  prefetchBytes: chance.of([300, 65_536]),
  failing: chance.of([0, 0, 0.05, 0.2]),
  slow: chance.of([0, 0.1, 0.3])
})

const producerOf = (seed: string, chance: Chance.Chance, name: string): ProducerPlan => {
  const isIdempotent = chance.happens(0.7)
  const producer = {
    name,
    isIdempotent,
    acks: isIdempotent || chance.happens(0.5) ? "all" : 1,
    records: chance.between(20, 80),
    burst: chance.of([1, 4, 12, 25]),
    duration: chance.of([3000, 12_000, 14_000]),
    linger: chance.of([0, 5, 50]),
    batchSize: chance.of([100, 100, 200, 16_384]),
    deliveryTimeout: chance.of([7000, 15_000, 120_000, 120_000])
  } as const
  const bufferMemory = Chance.make(seed, `${name} memory`).of([2 * producer.batchSize + 2000, 1_000_000])
  return { ...producer, bufferMemory }
}

/** What the run of a seed is like. */
export const draw = (seed: string): Plan => {
  const chance = Chance.make(seed, "plan")
  const partitions = chance.between(1, 4)
  const groups = Array.from({ length: chance.happens(0.3) ? 2 : 1 }, (_, index) => groupOf(chance, `g${index}`))
  const producers = Array.from({ length: chance.between(1, 2) }, (_, index) => producerOf(seed, chance, `p${index}`))
  return {
    partitions,
    keys: chance.between(1, 8),
    fetchMaxWait: chance.of([500, 2000, 10_000]),
    producers,
    groups,
    faults: Faults.draw(chance, Chance.make(seed, "network and disks"), {
      partitions,
      brokers,
      groups: groups.map(({ members, name }) => ({ name, members: members.map((one) => one.name) })),
      producers: producers.map(({ name }) => name)
    })
  }
}
