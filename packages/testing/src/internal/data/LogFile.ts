/**
 * The file of a partition's log: its batches behind each other, as Kafka's own segments are.
 *
 * @since 0.1.0
 */
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Records from "@kafka-effect/protocol/Records"
import * as OldFormats from "../OldFormats.ts"
import type { LogBatch, PartitionLog } from "../PartitionLog.ts"

/** As Kafka names the first segment of a log. */
const segmentName = "00000000000000000000.log"

/** The directory of a partition within that of the cluster. @internal */
export const directoryOf = (directory: string, topic: string, partition: number): string =>
  Path.join(directory, `${topic}-${partition}`)

/** @internal */
export class LogFile {
  private readonly directory: string
  private readonly path: string
  /** What the file has: so many batches of the log, from this first to this last one. */
  private stored:
    | { readonly count: number; readonly first: LogBatch | undefined; readonly last: LogBatch | undefined }
    | undefined

  constructor(directory: string, topic: string, partition: number) {
    this.directory = directoryOf(directory, topic, partition)
    this.path = Path.join(this.directory, segmentName)
  }

  /** Writes what the log has and the file has not. Throws what the system says. */
  write({ batches }: PartitionLog): void {
    const { stored } = this
    const isBehind =
      stored !== undefined &&
      batches.length >= stored.count &&
      (stored.count === 0 || (batches[0] === stored.first && batches[stored.count - 1] === stored.last))
    if (isBehind && batches.length === stored.count) return
    // Until it is done, nobody knows what the file has.
    this.stored = undefined
    if (isBehind) {
      FileSystem.appendFileSync(this.path, Buffer.concat(batches.slice(stored.count).map(({ bytes }) => bytes)))
    } else {
      FileSystem.mkdirSync(this.directory, { recursive: true })
      FileSystem.writeFileSync(`${this.path}.new`, Buffer.concat(batches.map(({ bytes }) => bytes)))
      FileSystem.renameSync(`${this.path}.new`, this.path)
    }
    this.remember(batches)
  }

  /** Fills a log with what the file has; a batch that was being written when the process ended is cut off. */
  read(log: PartitionLog): void {
    const bytes = FileSystem.existsSync(this.path) ? FileSystem.readFileSync(this.path) : new Uint8Array(0)
    for (const header of Records.split(bytes).batches.flatMap(OldFormats.entries)) {
      const entry: LogBatch = {
        bytes: header.bytes,
        header,
        baseOffset: header.baseOffset,
        lastOffset: header.lastOffset,
        maxTimestamp: header.maxTimestamp,
        appendedAt: header.maxTimestamp
      }
      log.append(entry)
      log.producers.append(header)
    }
    log.highWatermark = log.endOffset
  }

  /** Of a topic that is gone. */
  remove(): void {
    FileSystem.rmSync(this.directory, { recursive: true, force: true })
  }

  private remember(batches: ReadonlyArray<LogBatch>): void {
    this.stored = { count: batches.length, first: batches[0], last: batches.at(-1) }
  }
}
