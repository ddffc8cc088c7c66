/** All that is asked of brokers, by area. */
import { Effect } from "effect"
import * as Conversation from "./Conversation.ts"
import * as cluster from "./cluster.ts"
import * as groups from "./groups.ts"
import * as records from "./records.ts"
import * as settings from "./settings.ts"
import * as topics from "./topics.ts"
import * as transactions from "./transactions.ts"

const cases: Readonly<Record<string, (broker: Conversation.Conversation) => Effect.Effect<void, unknown>>> = {
  ...topics,
  ...records,
  ...groups,
  ...transactions,
  ...settings,
  ...cluster
}

/** Everything that is said; a case that breaks off says so by its last step. @internal */
export const told = Effect.fnUntraced(function* (bootstrapServers: ReadonlyArray<string>) {
  const answers = new Map<string, unknown>()
  for (const [name, run] of Object.entries(cases)) {
    const conversation = yield* Conversation.start(bootstrapServers)
    const exit = yield* Effect.exit(run(conversation))
    for (const [index, { answer, asked }] of conversation.steps.entries()) {
      answers.set(`${name} ${index}: ${asked}`, answer)
    }
    answers.set(`${name}: ended`, exit._tag)
  }
  return answers
}, Effect.scoped)
