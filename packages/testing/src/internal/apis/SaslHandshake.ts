/**
 * SaslHandshake: the mechanism by which a client will prove who it is (KIP-43).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  SaslHandshake,
  type SaslHandshakeRequest,
  type SaslHandshakeResponse
} from "@kafka-effect/protocol/messages/SaslHandshake"
import type { Handler } from "../Exchange.ts"
import { failureDelay } from "./SaslAuthenticate.ts"

/** @internal */
export const handler: Handler<SaslHandshakeRequest, SaslHandshakeResponse> = {
  api: SaslHandshake,
  refuse: (_, errorCode) => ({ errorCode, mechanisms: [] }),
  handle: (cluster, { answer, authentication, message, version }) => {
    // Nobody is asked who he is, or he has said so already.
    if (authentication === undefined || authentication.isDone) {
      return answer({ errorCode: codes.ILLEGAL_SASL_STATE, mechanisms: [] })
    }
    const isKnown = authentication.handshake(message.mechanism, version)
    const { mechanisms } = authentication.credentials
    if (isKnown) return answer({ errorCode: codes.NONE, mechanisms })
    cluster.loop.after(failureDelay(cluster), () => answer({ errorCode: codes.UNSUPPORTED_SASL_MECHANISM, mechanisms }))
  }
}
