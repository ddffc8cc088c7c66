/**
 * A group whose members come and go in every way, while records flow and partitions are added: nothing is lost, nothing
 * is out of order, and no partition has two owners. `CHURN_SEED` chooses what happens when; the seed is printed.
 * `CHURN_LINES` prints what the members say.
 */
import { assert, it } from "@effect/vitest"
import { CreatePartitions } from "@kafka-effect/protocol/messages/CreatePartitions"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect, Fiber } from "effect"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import * as GroupObserver from "./GroupObserver.ts"
import * as MemberProcess from "./MemberProcess.ts"
import { examine } from "./memberReport.ts"
import { randomOf } from "./random.ts"

const total = 200_000
const chunk = 400
const partitionsAtFirst = 9
const partitionsAdded = 3
const sessionTimeout = 3000
const autoCommitInterval = 500

/** What happens, each as often as it is named. */
const happenings = [
  ...["join", "join", "join", "leave", "leave", "leave", "kill", "kill", "kill", "pause", "pause", "pause"],
  ...["grow", "grow"]
] as const

const shuffled = <A>(list: ReadonlyArray<A>, random: () => number): ReadonlyArray<A> =>
  list
    .map((value) => [random(), value] as const)
    .sort(([a], [b]) => a - b)
    .map(([, value]) => value)

describeRig("Group churn", () => {
  for (const assignor of ["cooperative-sticky", "range"] as const)
    it.live(
      `C98 C102 C103 C104: ${assignor}: members join, leave, die and sleep while records flow: all are processed, in order, by one owner at a time`,
      () =>
        Effect.gen(function* () {
          const seed = Number(process.env.CHURN_SEED ?? Math.floor(Math.random() * 1e9))
          const random = randomOf(seed)
          const log: Array<string> = [`CHURN_SEED=${seed}, ${assignor}`]
          const rig = yield* KafkaCluster.start({ nodes: 3, properties: { "group.min.session.timeout.ms": "1000" } })
          const { bootstrapServers } = rig
          const kafka = yield* Kafka.make({ bootstrapServers, requestTimeout: "5 seconds" })
          const groupId = "churn"
          const topic = Kafka.topic("churn", { key: Serde.nullable(Serde.string), value: Serde.string })
          yield* kafka.request("controller", CreateTopics, {
            topics: [{ name: topic.name, numPartitions: partitionsAtFirst, replicationFactor: 3 }],
            timeoutMs: 20_000
          })
          let partitions = partitionsAtFirst
          let produced = 0
          const produce = Effect.gen(function* () {
            const producer = yield* Producer.make()
            for (let from = 0; from < total; from += chunk) {
              const records = Array.from({ length: chunk }, (_, index) => ({
                key: null,
                value: String(from + index),
                partition: (from + index) % partitions
              }))
              yield* producer.sendAll(topic, records)
              produced += chunk
              yield* Effect.sleep("80 millis")
            }
          }).pipe(Effect.provideService(Kafka.Kafka, kafka))

          const processes = yield* MemberProcess.make
          const began = performance.now()
          const say = (text: string) => log.push(`${((performance.now() - began) / 1000).toFixed(1)} s: ${text}`)
          const join = () => {
            const name = `member-${processes.all().length + 1}`
            say(`${name} joins`)
            processes.start(name, {
              ...{
                bootstrapServers,
                groupId,
                topic: topic.name,
                sessionTimeout,
                autoCommitInterval,
                assignor
              },
              ...{ heartbeatInterval: 300, maxPollInterval: 10_000, metadataMaxAge: 2000, work: 10 }
            })
          }
          const isPaused = ({ pauses }: MemberProcess.MemberProcess) => pauses.at(-1)?.to === Number.POSITIVE_INFINITY
          const gone = new Set<MemberProcess.MemberProcess>()
          const there = () => processes.all().filter((member) => !gone.has(member))
          const grow = Effect.gen(function* () {
            const count = partitions + partitionsAdded
            say(`${count} partitions`)
            const topics = [{ name: topic.name, count, assignments: null }]
            yield* kafka.request("controller", CreatePartitions, { topics, timeoutMs: 20_000 })
            yield* Effect.repeat(Effect.andThen(Effect.sleep(50), kafka.cluster.refresh([topic.name])), {
              until: ({ topics }) => topics.get(topic.name)?.partitions.length === count
            })
            partitions = count
          })
          const happen = Effect.fnUntraced(function* (what: (typeof happenings)[number]) {
            if (what === "grow") return yield* grow
            const awake = there().filter((member) => !isPaused(member))
            const chosen = awake[Math.floor(random() * awake.length)]
            const isTooMany = what === "join" && there().length === 6
            const isTooFew = what !== "join" && what !== "pause" && there().length === 3
            if (isTooFew || (what === "join" && !isTooMany)) return join()
            say(`${chosen.name}: ${isTooMany ? "leave" : what}`)
            if (what === "pause") {
              chosen.pause()
              yield* Effect.sleep(2 * sessionTimeout).pipe(
                Effect.andThen(
                  Effect.sync(() => {
                    say(`${chosen.name} goes on`)
                    chosen.resume()
                  })
                ),
                Effect.forkScoped
              )
              return
            }
            gone.add(chosen)
            if (what === "kill") chosen.kill()
            else chosen.stop()
          })

          const observer = yield* GroupObserver.watch(kafka, groupId)
          for (let count = 0; count < 4; count++) join()
          const producing = yield* Effect.forkScoped(produce)
          for (const what of shuffled(happenings, random)) {
            yield* Effect.sleep(1500 + random() * 3000)
            yield* happen(what)
          }
          yield* Fiber.join(producing)
          say(`all ${produced} records are produced`)
          // Whoever still sleeps is woken by its own time.
          yield* Effect.repeat(Effect.sleep(100), { while: () => there().some(isPaused) })
          const report = () => examine(processes.all(), { sessionTimeout, sightings: observer.sightings })
          yield* Effect.repeat(Effect.sleep(500), { until: () => report().values.size === total }).pipe(
            Effect.timeoutOption("30 seconds")
          )
          say("all are processed; all members leave")
          for (const member of there()) member.stop()
          yield* Effect.forEach(there(), ({ ended }) => ended).pipe(Effect.timeoutOption("10 seconds"))
          const committed = yield* observer.committed
          const { begun, endings, ends, faults, leases, repeated, values } = report()
          const percent = ((100 * repeated) / total).toFixed(2)
          log.push(
            `${begun} records in ${leases} leases (${JSON.stringify(endings)}); ${repeated} repeated, ${percent} %`
          )
          console.log(log.join("\n"))
          if (process.env.CHURN_LINES !== undefined) {
            for (const member of processes.all())
              for (const line of member.lines())
                if (line.what !== "begin" && line.what !== "done" && line.what !== "committed")
                  console.log(member.name, JSON.stringify(line))
          }
          assert.deepStrictEqual(faults, [])
          assert.strictEqual(values.size, total)
          assert.strictEqual(ends.size, partitions)
          assert.deepStrictEqual(new Map([...committed].sort()), new Map([...ends].sort()))
          assert.isAbove(observer.answers(), 100)
          // Only what dies or sleeps leaves something to be repeated: at most what it has done since its last commit.
          assert.isBelow(repeated, 0.1 * total)
          assert.isTrue(processes.all().every((member) => member.hasEnded))
        }),
      { timeout: 240_000 }
    )
})
