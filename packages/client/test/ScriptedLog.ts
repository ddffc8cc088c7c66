/**
 * The logs of one topic, shared by scripted brokers, that check producers' sequences as Kafka does: epochs, gaps, and the
 * last five batches of each producer, by which a repeated one is recognised.
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import type { Record } from "@kafka-effect/protocol/Record"
import * as Records from "@kafka-effect/protocol/Records"
import { nextSequence } from "../src/internal/producer/PartitionQueue.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"

interface ProducerState {
  readonly epoch: number
  readonly last: number
  readonly batches: ReadonlyArray<{ readonly first: number; readonly last: number; readonly offset: number }>
}

interface PartitionLog {
  readonly values: Array<string>
  readonly producers: Map<bigint, ProducerState>
}

/** A batch as it came in. */
export interface Arrived {
  readonly partition: number
  readonly bytes: Uint8Array
  readonly producerId: bigint
  readonly epoch: number
  readonly sequence: number
  readonly values: ReadonlyArray<string>
  /** How often these values have come, this time included. */
  readonly attempt: number
  /** Whether it is in the log already: a broker knows it again before it finds anything wrong with it. */
  readonly isWritten: boolean
  /** Which broker it came to: 0 for the first. */
  readonly broker: number
}

/** What a broker says of a partition. */
export interface Verdict {
  readonly errorCode?: number
  readonly baseOffset?: bigint
  readonly logStartOffset?: bigint
  readonly leader?: readonly [leaderId: number, leaderEpoch: number]
  readonly recordErrors?: ReadonlyArray<{ readonly batchIndex: number; readonly batchIndexErrorMessage: string | null }>
}

/** What happens to a batch: a verdict instead of appending it, or nothing out of the ordinary. */
export type Fault =
  | { readonly verdict: Verdict }
  /** Appends it, and then says something else, or says nothing and closes the connection. */
  | { readonly append: true; readonly answer: Verdict | "close" | "silence" }
  | undefined

const ordinary: ProducerState = { epoch: -1, last: -1, batches: [] }

export class ScriptedLog {
  readonly arrived: Array<Arrived> = []
  /** Decides about each batch; set by the test. */
  fault: (batch: Arrived) => Fault = () => undefined
  /** Milliseconds before each answer. */
  delay: (batches: ReadonlyArray<Arrived>) => number = () => 0
  /** The most requests that had come to a broker while none of them was answered. */
  mostInFlight = 0
  private readonly logs = new Map<number, PartitionLog>()

  values(partition: number): ReadonlyArray<string> {
    return this.log(partition).values
  }

  /** Forgets what is known of producers, as brokers do after a day or when their records are deleted. */
  forgetProducers(): void {
    for (const { producers } of this.logs.values()) producers.clear()
  }

  /** Loses the last values of a partition, and with them what was known of their producers. */
  truncate(partition: number, count: number): void {
    const { producers, values } = this.log(partition)
    values.splice(values.length - count)
    for (const [id, state] of producers) producers.set(id, { ...state, last: state.last - count, batches: [] })
  }

  append({ epoch, partition, producerId, sequence, values }: Arrived): Verdict {
    const log = this.log(partition)
    const offset = log.values.length
    if (producerId >= 0n) {
      const known = log.producers.get(producerId)
      const last = nextSequence(sequence, values.length - 1)
      const state = known ?? ordinary
      if (epoch < state.epoch) return { errorCode: codes.INVALID_PRODUCER_EPOCH }
      if (epoch === state.epoch) {
        const same = state.batches.find((batch) => batch.first === sequence && batch.last === last)
        if (same !== undefined) return { baseOffset: BigInt(same.offset) }
        if (sequence !== nextSequence(state.last, 1)) return { errorCode: codes.OUT_OF_ORDER_SEQUENCE_NUMBER }
      } else if (known !== undefined && sequence !== 0) return { errorCode: codes.OUT_OF_ORDER_SEQUENCE_NUMBER }
      const before = epoch === state.epoch ? state.batches.slice(-4) : []
      log.producers.set(producerId, { epoch, last, batches: [...before, { first: sequence, last, offset }] })
    }
    log.values.push(...values)
    return { baseOffset: BigInt(offset) }
  }

  /** Makes a broker answer Produce requests out of this log. */
  serve(scripted: ScriptedBroker.ScriptedBroker, broker = 0): void {
    let answered = 0
    scripted.on(Produce, ({ message }) => {
      const batches = message.topicData.flatMap(({ partitionData }) =>
        partitionData.map(({ index, records }) => this.receive(index, records!, broker))
      )
      // They are answered one after the other, so those before this one have been.
      const before = answered++
      const delay = this.delay(batches)
      const count = (): void => {
        this.mostInFlight = Math.max(this.mostInFlight, scripted.of(Produce).length - before)
      }
      count()
      setTimeout(count, delay / 2)
      let ending: "close" | "silence" | undefined
      const answer = () =>
        batches.map((batch) => {
          const fault = this.fault(batch)
          if (fault === undefined) return { batch, verdict: this.append(batch) }
          if ("verdict" in fault) return { batch, verdict: fault.verdict }
          this.append(batch)
          if (fault.answer === "close" || fault.answer === "silence") {
            ending = fault.answer
            return { batch, verdict: {} }
          }
          return { batch, verdict: fault.answer }
        })
      const partitionResponses = answer().map(({ batch, verdict }) => ({
        index: batch.partition,
        errorCode: verdict.errorCode ?? 0,
        baseOffset: verdict.baseOffset ?? -1n,
        logAppendTimeMs: -1n,
        logStartOffset: verdict.logStartOffset ?? 0n,
        ...(verdict.recordErrors === undefined ? {} : { recordErrors: verdict.recordErrors }),
        ...(verdict.leader === undefined
          ? {}
          : { currentLeader: { leaderId: verdict.leader[0], leaderEpoch: verdict.leader[1] } })
      }))
      if (ending === "close") return ScriptedBroker.close
      if (ending === "silence") return ScriptedBroker.silence
      return ScriptedBroker.respond({ responses: [{ name: "t", partitionResponses }] }, { delay })
    })
  }

  private receive(partition: number, bytes: Uint8Array, broker: number): Arrived {
    const [batch] = Records.split(bytes).batches
    // Small batches are decoded at once.
    const records = Records.decode(batch) as ReadonlyArray<Record>
    const values = records.map(({ value }) => Buffer.from(value!).toString())
    const attempt = 1 + this.arrived.filter((one) => one.partition === partition && one.values[0] === values[0]).length
    const { baseSequence: sequence, producerEpoch: epoch, producerId } = batch
    const isWritten = this.log(partition).values.includes(values[0])
    const place = { partition, broker, attempt, isWritten }
    const arrived = { ...place, bytes: Uint8Array.from(bytes), producerId, epoch, sequence, values }
    this.arrived.push(arrived)
    return arrived
  }

  private log(partition: number): PartitionLog {
    let log = this.logs.get(partition)
    if (log === undefined) {
      log = { values: [], producers: new Map() }
      this.logs.set(partition, log)
    }
    return log
  }
}
