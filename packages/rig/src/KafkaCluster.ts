/**
 * A real Apache Kafka of any version from 0.8.2 on, run as plain Java processes on this machine: one node or several,
 * each of which can be stopped, killed, paused and started again.
 *
 * Needs Java 17 and, for the first start of a version, Maven and Maven Central. Everything is on 127.0.0.1, without
 * TLS or authentication unless `properties` say otherwise. The data is gone when the scope closes.
 *
 * @since 0.1.0
 */
import { randomBytes } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { delimiter, join } from "node:path"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as BrokerVersion from "./BrokerVersion.ts"
import * as Java from "./Java.ts"
import * as Maven from "./Maven.ts"
import * as Ports from "./Ports.ts"
import * as Program from "./Program.ts"
import { RigError } from "./RigError.ts"
import * as ServerProperties from "./ServerProperties.ts"
import * as Workplace from "./Workplace.ts"

/**
 * The version that is started when none is named.
 *
 * @category constants
 * @since 0.1.0
 */
export const currentVersion = "4.4.0"

/**
 * Which cluster to start.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Defaults to `currentVersion`. */
  readonly version?: string
  /** Defaults to 1. */
  readonly nodes?: number
  /** Broker settings that win over the rig's own, under Kafka's names. */
  readonly properties?: Readonly<Record<string, string>>
  /** Whether brokers create a topic that is asked for (`auto.create.topics.enable`). Defaults to true. */
  readonly autoCreateTopics?: boolean
  /** Partitions of topics that are created without saying how many (`num.partitions`). Defaults to 1. */
  readonly partitions?: number
  /** How long all nodes together may take to be ready, downloads not counted. Defaults to 90 seconds. */
  readonly startTimeout?: Duration.Input
}

/**
 * One broker of the cluster.
 *
 * @category models
 * @since 0.1.0
 */
export interface Node {
  /** From 1: Kafka's `node.id`, or `broker.id` in versions with ZooKeeper. */
  readonly id: number
  readonly host: string
  readonly port: number
}

/**
 * A running cluster. Its operations take a node's id and fail with a `RigError` of reason `"Broker"`.
 *
 * @category models
 * @since 0.1.0
 */
export interface KafkaCluster {
  readonly version: string
  /** One `host:port` per node, stopped ones included. */
  readonly bootstrapServers: ReadonlyArray<string>
  readonly nodes: ReadonlyArray<Node>
  /** Asks the node to shut down in order and waits until it has; one that has not after 30 seconds is killed. */
  readonly stop: (id: number) => Effect.Effect<void, RigError>
  /** Starts a stopped or killed node again, on its old port and data, and waits until it is ready. */
  readonly start: (id: number) => Effect.Effect<void, RigError>
  /** Ends the node at once, as a crash does (`SIGKILL`). */
  readonly kill: (id: number) => Effect.Effect<void, RigError>
  /** Freezes the node (`SIGSTOP`): its connections stay open and nothing answers. */
  readonly pause: (id: number) => Effect.Effect<void, RigError>
  /** Lets a paused node go on (`SIGCONT`). */
  readonly resume: (id: number) => Effect.Effect<void, RigError>
  /** What the node has written to its log since its last start: warnings, errors and its start and stop. */
  readonly log: (id: number) => Effect.Effect<string, RigError>
}

/** A heap that held every test so far; three nodes of one take 1 GiB. */
const brokerHeapMegabytes = 512
const zookeeperHeapMegabytes = 128
const orderlyStop = Duration.seconds(30)
const pollInterval = Duration.millis(50)

/** "Kafka Server started", "[KafkaServer id=1] started", "[Kafka Server 1], started". */
const startedPattern = /\bKafka ?Server\b.*\bstarted\b/

const brokerError = (message: string): RigError => new RigError({ reason: "Broker", message })

const accepts = (port: number): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const socket = connect({ host: ServerProperties.host, port })
    const settle = (answer: boolean) => {
      socket.destroy()
      resume(Effect.succeed(answer))
    }
    socket.once("connect", () => settle(true)).once("error", () => settle(false))
    return Effect.sync(() => socket.destroy())
  })

const tail = (running: Workplace.Running): Effect.Effect<string> =>
  Effect.map(Effect.promise(running.readLog), (text) => Program.lastLines(text, 15))

/** Waits until `isReady`, and fails when the process ends before that or the deadline passes. */
const untilReady = Effect.fnUntraced(function* (
  name: string,
  running: Workplace.Running,
  deadline: number,
  isReady: Effect.Effect<boolean>
) {
  while (!(yield* isReady)) {
    if (running.hasEnded()) {
      const how = yield* Effect.promise(() => running.ended)
      return yield* brokerError(
        `${name} ended with ${how} before it was ready. Its last lines:\n${yield* tail(running)}`
      )
    }
    if ((yield* Clock.currentTimeMillis) > deadline) {
      return yield* brokerError(`${name} was not ready in time. Its last lines:\n${yield* tail(running)}`)
    }
    yield* Effect.sleep(pollInterval)
  }
})

/** What all nodes of one cluster are started from. */
interface Plan {
  readonly version: BrokerVersion.BrokerVersion
  readonly java: string
  readonly classPath: string
  readonly workplace: Workplace.Workplace
  readonly zookeeperPort: number
  readonly places: ReadonlyArray<ServerProperties.NodePlace>
  readonly startTimeout: Duration.Duration
}

const settingsFile = (plan: Plan, name: string): string => join(plan.workplace.directory, `${name}.properties`)

const writeSettings = (plan: Plan, name: string, properties: Readonly<Record<string, string>>): Effect.Effect<void> =>
  Effect.promise(() => writeFile(settingsFile(plan, name), ServerProperties.format(properties)))

const javaArguments = (plan: Plan, heapMegabytes: number): ReadonlyArray<string> => [
  ...Java.flags(heapMegabytes),
  ...plan.version.javaFlags,
  ...(plan.version.mode === "zookeeper" ? [`-Dlog4j.configuration=file:${settingsFile(plan, "log4j")}`] : []),
  "-cp",
  plan.classPath
]

const deadlineOf = (plan: Plan): Effect.Effect<number> =>
  Effect.map(Clock.currentTimeMillis, (now) => now + Duration.toMillis(plan.startTimeout))

const startBroker = Effect.fnUntraced(function* (plan: Plan, place: ServerProperties.NodePlace, deadline: number) {
  const name = `node-${place.id}`
  const running = yield* plan.workplace.spawn(name, plan.java, [
    ...javaArguments(plan, brokerHeapMegabytes),
    "kafka.Kafka",
    settingsFile(plan, name)
  ])
  const hasStarted = Effect.map(Effect.promise(running.readLog), (text) => startedPattern.test(text))
  yield* untilReady(
    `Node ${place.id} of Kafka ${plan.version.text}`,
    running,
    deadline,
    Effect.andThen(hasStarted, (started) => (started ? accepts(place.port) : Effect.succeed(false)))
  ).pipe(
    // a node that is given up must not keep its port and data from the next attempt
    Effect.onError(() =>
      Effect.promise(() => {
        running.signal("SIGKILL")
        return running.ended
      })
    )
  )
  return running
})

const startZookeeper = Effect.fnUntraced(function* (plan: Plan, deadline: number) {
  yield* writeSettings(plan, "log4j", ServerProperties.log4j)
  yield* writeSettings(
    plan,
    "zookeeper",
    ServerProperties.zookeeperServer({
      port: plan.zookeeperPort,
      dataDirectory: join(plan.workplace.directory, "zookeeper")
    })
  )
  const running = yield* plan.workplace.spawn("zookeeper", plan.java, [
    ...javaArguments(plan, zookeeperHeapMegabytes),
    "org.apache.zookeeper.server.quorum.QuorumPeerMain",
    settingsFile(plan, "zookeeper")
  ])
  yield* untilReady("ZooKeeper", running, deadline, accepts(plan.zookeeperPort))
})

/** 16 bytes in Kafka's base64. A first bit of 0 keeps "-" from its front, which would read as an option. */
const randomClusterId = (): string => {
  const bytes = randomBytes(16)
  bytes[0]! &= 0x7f
  return bytes.toString("base64url")
}

const formatStorage = (plan: Plan, place: ServerProperties.NodePlace, clusterId: string) =>
  Effect.mapError(
    Program.runOrFail(plan.java, [
      ...javaArguments(plan, brokerHeapMegabytes),
      "kafka.tools.StorageTool",
      "format",
      "-t",
      clusterId,
      "-c",
      settingsFile(plan, `node-${place.id}`)
    ]),
    (error) => brokerError(`The storage of node ${place.id} could not be formatted: ${error.message}`)
  )

const resolve = Effect.fnUntraced(function* (version: string = currentVersion) {
  const known = yield* Effect.try({
    try: () => BrokerVersion.parse(version),
    catch: (error) => (error instanceof RigError ? error : brokerError(String(error)))
  })
  const java = yield* Java.executable
  const jars = yield* Maven.classPath(...known.coordinates)
  return { version: known, java, classPath: jars.join(delimiter) }
})

/**
 * Fetches what the start of a version needs, so that `start` has nothing left to download.
 *
 * Fails with a `RigError`: `"Missing"` without Java or Maven, `"Maven"` when the version's jars cannot be had.
 *
 * @category constructors
 * @since 0.1.0
 */
export const download = (version: string = currentVersion): Effect.Effect<void, RigError> =>
  Effect.asVoid(resolve(version))

const prepare = Effect.fnUntraced(function* (options: Options) {
  const resolved = yield* resolve(options.version)
  const count = options.nodes ?? 1
  const workplace = yield* Workplace.make
  const ports = yield* Ports.pick(2 * count + 1)
  const places = Array.from({ length: count }, (_, index) => ({
    id: index + 1,
    port: ports[2 * index]!,
    controllerPort: ports[2 * index + 1]!,
    dataDirectory: join(workplace.directory, `data-${index + 1}`)
  }))
  const plan: Plan = {
    ...resolved,
    workplace,
    zookeeperPort: ports[2 * count]!,
    places,
    startTimeout: Duration.fromInputUnsafe(options.startTimeout ?? "90 seconds")
  }
  yield* Effect.forEach(places, (node) =>
    writeSettings(
      plan,
      `node-${node.id}`,
      ServerProperties.broker({
        version: plan.version,
        node,
        nodes: places,
        zookeeperPort: plan.zookeeperPort,
        autoCreateTopics: options.autoCreateTopics ?? true,
        partitions: options.partitions ?? 1,
        properties: options.properties ?? {}
      })
    )
  )
  return plan
})

/** One node's process now, and when it was last killed, in milliseconds. */
interface NodeState {
  readonly place: ServerProperties.NodePlace
  running: Workplace.Running
  killedAt: number
}

const operations = (plan: Plan, states: ReadonlyArray<NodeState>) => {
  const withNode = <A>(
    id: number,
    use: (state: NodeState) => Effect.Effect<A, RigError>
  ): Effect.Effect<A, RigError> => {
    const state = states.find(({ place }) => place.id === id)
    return inRealTime(state === undefined ? Effect.fail(brokerError(`There is no node ${id}`)) : use(state))
  }
  const withRunning = (id: number, use: (state: NodeState) => Effect.Effect<unknown>): Effect.Effect<void, RigError> =>
    withNode(id, (state) =>
      state.running.hasEnded() ? Effect.fail(brokerError(`Node ${id} is not running`)) : Effect.asVoid(use(state))
    )
  const ended = (state: NodeState): Effect.Effect<string> => Effect.promise(() => state.running.ended)
  const kill = (state: NodeState): Effect.Effect<void> =>
    Effect.gen(function* () {
      state.running.signal("SIGKILL")
      yield* ended(state)
      state.killedAt = yield* Clock.currentTimeMillis
    })
  const stop = (state: NodeState): Effect.Effect<void> =>
    Effect.suspend(() => {
      state.running.signal("SIGTERM")
      // a paused process would sleep through the request
      state.running.signal("SIGCONT")
      return Effect.timeoutOrElse(Effect.asVoid(ended(state)), { duration: orderlyStop, orElse: () => kill(state) })
    })
  const start = Effect.fnUntraced(function* (state: NodeState) {
    if (!state.running.hasEnded()) return yield* brokerError(`Node ${state.place.id} is running already`)
    yield* ended(state)
    if (plan.version.mode === "zookeeper") {
      // until ZooKeeper has forgotten the killed broker, it refuses another of the same id
      const now = yield* Clock.currentTimeMillis
      yield* Effect.sleep(Math.max(0, state.killedAt + ServerProperties.zookeeperSessionTimeout + 1000 - now))
    }
    state.running = yield* startBroker(plan, state.place, yield* deadlineOf(plan))
  })
  return {
    stop: (id: number) => withRunning(id, stop),
    start: (id: number) => withNode(id, start),
    kill: (id: number) => withRunning(id, kill),
    pause: (id: number) => withRunning(id, (state) => Effect.sync(() => state.running.signal("SIGSTOP"))),
    resume: (id: number) => withRunning(id, (state) => Effect.sync(() => state.running.signal("SIGCONT"))),
    log: (id: number) => withNode(id, (state) => Effect.promise(state.running.readLog))
  }
}

/** Processes do not follow a test's virtual clock. */
const inRealTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())

/**
 * Starts a cluster that lasts as long as the scope, and waits until every node is ready.
 *
 * Fails with a `RigError`: `"Missing"` without Java or Maven, `"Maven"` when the version's jars cannot be had,
 * `"Broker"` with the last lines of its log when a node does not start.
 *
 * @category constructors
 * @since 0.1.0
 */
export const start = (options: Options = {}): Effect.Effect<KafkaCluster, RigError, Scope.Scope> =>
  Effect.gen(function* () {
    const plan = yield* prepare(options)
    const deadline = yield* deadlineOf(plan)
    if (plan.version.mode === "kraft") {
      const clusterId = randomClusterId()
      yield* Effect.forEach(plan.places, (place) => formatStorage(plan, place, clusterId), { concurrency: "unbounded" })
    } else {
      yield* startZookeeper(plan, deadline)
    }
    const states = yield* Effect.forEach(
      plan.places,
      (place) =>
        Effect.map(startBroker(plan, place, deadline), (running): NodeState => ({ place, running, killedAt: 0 })),
      { concurrency: "unbounded" }
    )
    return {
      version: plan.version.text,
      bootstrapServers: plan.places.map(({ port }) => `${ServerProperties.host}:${port}`),
      nodes: plan.places.map(({ id, port }) => ({ id, host: ServerProperties.host, port })),
      ...operations(plan, states)
    }
  }).pipe(inRealTime)
