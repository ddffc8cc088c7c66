/** Several scripted brokers that tell the same story about their topics. */
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { InitProducerId } from "@kafka-effect/protocol/messages/InitProducerId"
import { Metadata, type MetadataResponse } from "@kafka-effect/protocol/messages/Metadata"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Effect, type Scope } from "effect"
import * as Cluster from "../src/Cluster.ts"
import type { Settings } from "../src/internal/Settings.ts"
import type { KafkaError } from "../src/KafkaError.ts"
import { settings } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"

export interface Topic {
  id?: string
  errorCode?: number
  partitions: Array<{ leader: number; epoch: number; errorCode?: number }>
}

export interface ScriptedCluster {
  /** By node id - 1. */
  readonly brokers: Array<ScriptedBroker.ScriptedBroker>
  /** What the brokers say; tests change it. */
  readonly topics: Map<string, Topic>
  /** Node ids that metadata names. */
  readonly members: Set<number>
  controllerId: number
  /** Milliseconds before metadata is answered. */
  delay: number
  /** The metadata requests that came in, in order of arrival. */
  readonly asked: () => ReadonlyArray<
    ScriptedBroker.Received<{
      readonly topics: ReadonlyArray<{ readonly name: string | null }> | null
      readonly allowAutoTopicCreation: boolean
    }>
  >
  /** The metadata that a broker gives for these topics; null for all. */
  readonly describe: (names: ReadonlyArray<string> | null) => Wire.Input<MetadataResponse>
  /** Makes another broker answer as these do. */
  readonly join: (broker: ScriptedBroker.ScriptedBroker) => void
  readonly addresses: () => ReadonlyArray<{ readonly host: string; readonly port: number }>
}

export const make = (
  count: number,
  options: { readonly offered?: ScriptedBroker.Offered } = {}
): Effect.Effect<ScriptedCluster, never, Scope.Scope> =>
  Effect.gen(function* () {
    const brokers = yield* Effect.forEach(Array.from({ length: count }), () => ScriptedBroker.make(options))
    let nextProducerId = BigInt(1000)
    const cluster: ScriptedCluster = {
      brokers,
      topics: new Map(),
      members: new Set(brokers.map((_, index) => index + 1)),
      controllerId: 1,
      delay: 0,
      asked: () => brokers.flatMap((broker) => broker.of(Metadata)).sort((a, b) => a.at - b.at),
      describe: (names) => ({
        brokers: [...cluster.members].map((nodeId) => {
          const { host, port } = brokers[nodeId - 1]
          return { nodeId, host, port }
        }),
        clusterId: "scripted",
        controllerId: cluster.controllerId,
        topics: (names ?? [...cluster.topics.keys()]).map((name) => {
          const topic = cluster.topics.get(name)
          if (topic === undefined) return { name, errorCode: 3 }
          return {
            name,
            errorCode: topic.errorCode ?? 0,
            ...(topic.id === undefined ? {} : { topicId: topic.id }),
            partitions: topic.partitions.map(({ epoch, errorCode = 0, leader }, partitionIndex) => ({
              partitionIndex,
              leaderId: leader,
              leaderEpoch: epoch,
              errorCode
            }))
          }
        })
      }),
      join: (broker) => {
        broker.on(Metadata, ({ message }) =>
          ScriptedBroker.respond(cluster.describe(message.topics?.map(({ name }) => name ?? "") ?? null), {
            delay: cluster.delay
          })
        )
        broker.on(InitProducerId, () => ScriptedBroker.respond({ producerId: nextProducerId++, producerEpoch: 0 }))
        broker.on(FindCoordinator, ({ message, version }) => {
          const { host, port } = brokers[brokers.length - 1]
          const at = { nodeId: brokers.length, host, port }
          return ScriptedBroker.respond(
            version < 4 ? at : { coordinators: message.coordinatorKeys.map((key) => ({ key, ...at })) }
          )
        })
      },
      addresses: () => brokers.map(({ host, port }) => ({ host, port }))
    }
    for (const broker of brokers) cluster.join(broker)
    return cluster
  })

/** A client of the cluster. */
export const connect = (
  cluster: ScriptedCluster,
  options: Partial<Settings> = {}
): Effect.Effect<Cluster.Cluster, KafkaError, Scope.Scope> =>
  Cluster.make({ ...settings, bootstrapServers: cluster.addresses(), ...options })
