/**
 * What outlives a command: the status with which the process ends when a signal interrupts it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * The status after an interruption: 130, as shells have it, unless the command says that the interruption is its proper
 * end.
 *
 * @category services
 * @since 0.1.0
 */
export class Session extends Context.Service<Session, { interruptedStatus: number }>()("@kafka-effect/cli/Session") {}
