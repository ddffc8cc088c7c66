/**
 * The directory in which a cluster outlives its process. Records are in their files before they are acknowledged;
 * topics as soon as they are there; committed offsets within a twentieth of a second.
 *
 * @since 0.1.0
 */
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { DataDirectoryError } from "../../DataDirectoryError.ts"
import type { Cluster, Partition, Topic } from "../Cluster.ts"
import * as Groups from "../groups/Groups.ts"
import * as Markers from "../transactions/Markers.ts"
import * as ClusterFile from "./ClusterFile.ts"
import { LogFile } from "./LogFile.ts"

/** How long what is not a record or a topic may wait, in milliseconds. */
const saveInterval = 50

const lockName = ".lock"

/** @internal */
export interface DataDirectory {
  /** What the directory has from before. */
  readonly state: ClusterFile.ClusterState | undefined
  /** Fills a cluster without topics with what there is; its brokers are to have these ids. */
  readonly restore: (cluster: Cluster, nodeIds: ReadonlyArray<number>) => Effect.Effect<void, DataDirectoryError>
  /** Writes from now on, until the scope ends. */
  readonly keep: (cluster: Cluster) => Effect.Effect<void, never, Scope.Scope>
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // A process of somebody else's is alive too.
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** Takes the directory for this process, until the scope ends. */
const lock = (directory: string): Effect.Effect<void, DataDirectoryError, Scope.Scope> => {
  const path = Path.join(directory, lockName)
  const take = Effect.suspend(() => {
    if (FileSystem.existsSync(path)) {
      const owner = Number(FileSystem.readFileSync(path, "utf8"))
      if (owner > 0 && isAlive(owner)) {
        return Effect.fail(new DataDirectoryError({ reason: "InUse", directory, detail: `by process ${owner}` }))
      }
      // Its owner ended without a word.
      FileSystem.rmSync(path)
    }
    FileSystem.writeFileSync(path, String(process.pid), { flag: "wx" })
    return Effect.void
  })
  return Effect.acquireRelease(take, () => Effect.sync(() => FileSystem.rmSync(path, { force: true })))
}

const inaccessible = (directory: string) => (error: unknown) =>
  new DataDirectoryError({ reason: "Inaccessible", directory, detail: messageOf(error) })

/** Whoever had a transaction open is not there any more: what he wrote in it holds up nobody. */
const abortOpen = (cluster: Cluster, partition: Partition): void => {
  const { openTransactions, producers } = partition.log
  for (const producerId of [...openTransactions.keys()]) {
    const producerEpoch = (producers.of(producerId)?.epoch ?? 0) + 1
    Markers.write(cluster, partition, { producerId, producerEpoch, isCommit: false, coordinatorEpoch: 0 })
  }
}

/** Opens a directory, which is made if it is not there. @internal */
export const open = Effect.fnUntraced(function* (
  directory: string
): Effect.fn.Return<DataDirectory, DataDirectoryError, Scope.Scope> {
  const path = Path.join(directory, ClusterFile.fileName)
  const content = yield* Effect.try({
    try: () => {
      FileSystem.mkdirSync(directory, { recursive: true })
      return FileSystem.existsSync(path) ? FileSystem.readFileSync(path, "utf8") : undefined
    },
    catch: inaccessible(directory)
  })
  const strange = FileSystem.readdirSync(directory).find((name) => name !== lockName)
  if (content === undefined && strange !== undefined) {
    const detail = `it has ${strange}, and no ${ClusterFile.fileName}`
    return yield* new DataDirectoryError({ reason: "Foreign", directory, detail })
  }
  yield* Effect.catchDefect(lock(directory), (defect) => Effect.fail(inaccessible(directory)(defect)))
  const damaged = (error: unknown) =>
    new DataDirectoryError({ reason: "Damaged", directory, detail: `${ClusterFile.fileName}: ${messageOf(error)}` })
  const state = content === undefined ? undefined : yield* Effect.mapError(ClusterFile.decode(content), damaged)
  const files = new Map<Partition, LogFile>()

  const fileOf = (partition: Partition): LogFile => {
    const known = files.get(partition)
    if (known !== undefined) return known
    const file = new LogFile(directory, partition.topic.name, partition.index)
    files.set(partition, file)
    return file
  }

  const restore = (cluster: Cluster, nodeIds: ReadonlyArray<number>) =>
    Effect.try({
      try: () => {
        if (state === undefined) return
        ClusterFile.restoreTopics(cluster, state, nodeIds)
        cluster.nextProducerId = state.nextProducerId
        for (const { partitions } of cluster.topics.values()) {
          for (const partition of partitions) {
            fileOf(partition).read(partition.log)
            abortOpen(cluster, partition)
          }
        }
        for (const { group, topics } of state.offsets) {
          const { offsets } = Groups.of(cluster, group)
          for (const { partitions, topic } of topics) {
            for (const { partition, ...committed } of partitions) offsets.set(topic, partition, committed)
          }
        }
      },
      catch: (error) => new DataDirectoryError({ reason: "Damaged", directory, detail: messageOf(error) })
    })

  const keep = (cluster: Cluster): Effect.Effect<void, never, Scope.Scope> => {
    const { loop } = cluster
    let written = content
    let known: ReadonlyArray<Topic> = []
    let isClosed = false

    const save = (): void => {
      const text = ClusterFile.text(cluster)
      if (text === written) return
      FileSystem.writeFileSync(`${path}.new`, text)
      FileSystem.renameSync(`${path}.new`, path)
      written = text
    }

    const write = (): void => {
      const topics = [...cluster.topics.values()]
      for (const { partitions } of topics) {
        for (const partition of partitions) {
          partition.persist ??= () => fileOf(partition).write(partition.log)
          partition.persist()
        }
      }
      if (topics.length === known.length && topics.every((topic, index) => topic === known[index])) return
      const gone = new Set(known)
      for (const topic of topics) gone.delete(topic)
      for (const [partition, file] of files) {
        if (!gone.has(partition.topic)) continue
        files.delete(partition)
        // A new topic may have taken the name, and the directory with it.
        if (!cluster.topics.has(partition.topic.name)) file.remove()
      }
      known = topics
      save()
    }

    const saveLater = (): void => {
      if (isClosed) return
      save()
      loop.after(saveInterval, saveLater)
    }

    return Effect.andThen(
      Effect.sync(() => {
        loop.afterTurn(write)
        loop.post(saveLater)
      }),
      Effect.addFinalizer(() =>
        Effect.sync(() => {
          isClosed = true
          write()
          save()
        })
      )
    )
  }

  return { state, restore, keep }
})
