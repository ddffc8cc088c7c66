/**
 * SaslAuthenticate: the tokens of the mechanism that was agreed upon (KIP-152).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  SaslAuthenticate,
  type SaslAuthenticateRequest,
  type SaslAuthenticateResponse
} from "@kafka-effect/protocol/messages/SaslAuthenticate"
import type { Cluster } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import { atLeast } from "../Release.ts"

/** Kafka's `connection.failed.authentication.delay.ms`. */
const delay = 100

/** How long a broker waits before it says that somebody has failed, so that he does not try too often (KIP-306). @internal */
export const failureDelay = ({ release }: Cluster): number => (atLeast(release, "2.1") ? delay : 0)

const refused = (errorCode: number, errorMessage: string) => ({ errorCode, errorMessage, authBytes: new Uint8Array(0) })

/** @internal */
export const handler: Handler<SaslAuthenticateRequest, SaslAuthenticateResponse> = {
  api: SaslAuthenticate,
  refuse: (_, errorCode) => refused(errorCode, ""),
  handle: (cluster, { answer, authentication, message }) => {
    if (authentication === undefined || authentication.isDone) {
      const errorMessage = "SaslAuthenticate request received after successful authentication"
      return answer(refused(codes.ILLEGAL_SASL_STATE, errorMessage))
    }
    const step = authentication.evaluate(message.authBytes)
    if (step._tag !== "Refused") {
      return answer({ errorCode: codes.NONE, errorMessage: null, authBytes: step.token })
    }
    const during = atLeast(cluster.release, "2.2") ? " during authentication" : ""
    const otherwise = `Authentication failed${during} due to invalid credentials with SASL mechanism ${authentication.mechanism}`
    cluster.loop.after(failureDelay(cluster), () =>
      answer(refused(codes.SASL_AUTHENTICATION_FAILED, step.message ?? otherwise))
    )
  }
}
