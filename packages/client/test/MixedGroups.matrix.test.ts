/**
 * Groups in which this client, Kafka's own and librdkafka are members together, by each assignor that they share: all
 * partitions are owned, none twice, and every record is worked on once, whoever leads.
 */
import { delimiter, join } from "node:path"
import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import * as ConfluentKafka from "@kafka-effect/rig/ConfluentKafka"
import * as Java from "@kafka-effect/rig/Java"
import * as Maven from "@kafka-effect/rig/Maven"
import { Effect, Logger, Result } from "effect"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import * as GroupObserver from "./GroupObserver.ts"
import * as MemberProcess from "./MemberProcess.ts"
import type { MemberSettings } from "./memberMain.ts"
import { examine } from "./memberReport.ts"

type Assignor = NonNullable<MemberSettings["assignor"]>

type Kind = "this client" | "Java" | "librdkafka"

const partitions = 9
const sessionTimeout = 10_000
const clients = ["org.apache.kafka:kafka-clients:4.3.0", "org.slf4j:slf4j-simple:1.7.36"]

const javaAssignors: Readonly<Record<Assignor, string>> = {
  range: "RangeAssignor",
  roundrobin: "RoundRobinAssignor",
  sticky: "StickyAssignor",
  "cooperative-sticky": "CooperativeStickyAssignor"
}

const python = await Effect.runPromise(Effect.result(ConfluentKafka.python))
const librdkafkaMissing = Result.isFailure(python) ? python.failure.message : undefined

let serial = 0

const until = (holds: () => boolean, what: () => string): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.andThen(Effect.sleep(50), until(holds, what)))).pipe(
    Effect.timeoutOrElse({ duration: "40 seconds", orElse: () => Effect.die(new Error(`waited in vain: ${what()}`)) })
  )

const produce = (name: string, from: number, count: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const producer = yield* Producer.make()
      const topic = Kafka.topic(name, { key: Serde.nullable(Serde.string), value: Serde.string })
      yield* producer.sendAll(
        topic,
        Array.from({ length: count }, (_, index) => ({
          key: null,
          value: String(from + index),
          partition: (from + index) % partitions
        }))
      )
    })
  )

/** The first of these begins alone, and leads; then it goes, and comes again. */
const mixed = (assignor: Assignor, kinds: ReadonlyArray<Kind>) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.Kafka
    const name = `mixed-${process.pid}-${Math.round(performance.timeOrigin)}-${serial++}`
    const topics = [{ name, numPartitions: partitions, replicationFactor: 1 }]
    yield* kafka.request("controller", CreateTopics, { topics, timeoutMs: 20_000 })
    const java = yield* Java.executable
    const jars = yield* Maven.classPath(...clients)
    const processes = yield* MemberProcess.make
    const servers = bootstrapServers.join(",")
    const start = (kind: Kind, label: string): MemberProcess.MemberProcess => {
      const member = `${kind} ${label}`
      const common = [servers, name, name]
      const session = String(sessionTimeout)
      if (kind === "this client") {
        return processes.start(member, {
          ...{ bootstrapServers, topic: name, groupId: name, assignor, sessionTimeout, heartbeatInterval: 300 },
          ...{ maxPollInterval: 20_000, autoCommitInterval: 300, metadataMaxAge: 5000, work: 1 }
        })
      }
      if (kind === "librdkafka") {
        const script = join(import.meta.dirname, "members", "group_member.py")
        const command = Result.isSuccess(python) ? python.success : ""
        return processes.startOther(member, command, [script, ...common, assignor, session])
      }
      const source = join(import.meta.dirname, "members", "GroupMember.java")
      const flags = [...Java.flags(128), "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", jars.join(delimiter)]
      const assignorClass = `org.apache.kafka.clients.consumer.${javaAssignors[assignor]}`
      return processes.startOther(member, java, [...flags, source, ...common, assignorClass, session])
    }
    const observer = yield* GroupObserver.watch(kafka, name)
    const report = () => examine(processes.all(), { sessionTimeout, sightings: observer.sightings })
    const shares = (members: ReadonlyArray<MemberProcess.MemberProcess>) =>
      members.map((member) => `${member.name} ${[...member.owned()].length}`).join(", ")
    /** All partitions are owned, each by one, and everybody has its part. */
    const isShared = (members: ReadonlyArray<MemberProcess.MemberProcess>) => () => {
      const owned = members.map((member) => member.owned())
      const all = owned.flatMap((some) => [...some])
      const least = Math.floor(partitions / members.length)
      return all.length === partitions && new Set(all).size === partitions && owned.every(({ size }) => size >= least)
    }
    const sharedBy = (members: ReadonlyArray<MemberProcess.MemberProcess>) =>
      until(isShared(members), () => `${shares(members)}; ${report().faults.join("; ")}`)
    let produced = 0
    const flow = Effect.gen(function* () {
      yield* produce(name, produced, 900)
      produced += 900
      yield* until(
        () => report().values.size === produced,
        () => `${report().values.size} of ${produced} records; ${report().faults.join("; ")}`
      )
    })

    const first = start(kinds[0], "first")
    yield* sharedBy([first])
    yield* flow
    const others: Array<MemberProcess.MemberProcess> = []
    for (const kind of [...kinds.slice(1), kinds.includes("this client") ? "this client" : "Java"] as const) {
      others.push(start(kind, `${others.length + 2}`))
      yield* sharedBy([first, ...others])
    }
    yield* flow
    first.stop()
    yield* sharedBy(others)
    yield* flow
    const again = start(kinds[0], "again")
    yield* sharedBy([...others, again])
    yield* flow
    for (const member of [...others, again]) member.stop()
    yield* Effect.forEach([...others, again, first], ({ ended }) => ended)
    const committed = yield* observer.committed
    const { begun, ends, faults, repeated } = report()
    assert.deepStrictEqual(faults, [])
    assert.deepStrictEqual([begun, repeated], [produced, 0])
    assert.deepStrictEqual(new Map([...committed].sort()), new Map([...ends].sort()))
  })

describeBrokers("Mixed groups", () => {
  for (const assignor of ["range", "roundrobin", "sticky", "cooperative-sticky"] as const) {
    // librdkafka knows no eager sticky assignor.
    const all: ReadonlyArray<Kind> =
      assignor === "sticky" ? ["this client", "Java"] : ["this client", "Java", "librdkafka"]
    for (const leader of all) {
      const kinds = [leader, ...all.filter((kind) => kind !== leader)]
      const missing = kinds.includes("librdkafka") ? librdkafkaMissing : undefined
      const name = `${assignor}: ${kinds.join(", ")}${missing === undefined ? "" : ` (${missing})`}`
      it.live.skipIf(missing !== undefined)(
        name,
        () =>
          Effect.scoped(mixed(assignor, kinds)).pipe(
            Effect.provide(Kafka.layer({ bootstrapServers })),
            Effect.provide(Logger.layer([]))
          ),
        180_000
      )
    }
  }
})
