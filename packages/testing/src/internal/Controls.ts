/**
 * What tests have scripted, and who watches requests.
 *
 * @since 0.1.0
 */
import type { AnyApi } from "@kafka-effect/protocol/Api"
import type { Reply } from "../Control.ts"
import type { Exchange } from "./Exchange.ts"

/** @internal */
export interface Script {
  readonly api: AnyApi
  /** Only of this broker. */
  readonly node: number | undefined
  readonly reply: (exchange: Exchange<unknown, unknown>) => Reply
  /** Requests that are let through first. */
  skip: number
  /** How often it still applies; may be infinite. */
  times: number
  /** Whether it ever applied. */
  isUsed: boolean
}

/** @internal */
export interface Controls {
  readonly add: (script: Script) => void
  readonly remove: (script: Script) => void
  /** What is to become of a request: the first script that applies says. */
  readonly decide: (exchange: Exchange<unknown, unknown>) => Reply
  /** Those that never applied. */
  readonly unused: () => ReadonlyArray<Script>
}

/** @internal */
export const make = (onRequest: (exchange: Exchange<unknown, unknown>) => void): Controls => {
  const scripts: Array<Script> = []
  const remove = (script: Script): void => {
    const place = scripts.indexOf(script)
    if (place >= 0) scripts.splice(place, 1)
  }
  return {
    add: (script) => void scripts.push(script),
    remove,
    unused: () => scripts.filter(({ isUsed }) => !isUsed),
    decide: (exchange) => {
      onRequest(exchange)
      for (const script of scripts) {
        if (script.api.key !== exchange.api.key) continue
        if (script.node !== undefined && script.node !== exchange.node.nodeId) continue
        if (script.skip > 0) {
          script.skip--
          continue
        }
        const reply = script.reply(exchange)
        // It looked, and left it to the next.
        if (reply._tag === "Pass") {
          script.isUsed = true
          continue
        }
        script.isUsed = true
        if (--script.times <= 0) remove(script)
        return reply
      }
      return { _tag: "Pass" }
    }
  }
}
