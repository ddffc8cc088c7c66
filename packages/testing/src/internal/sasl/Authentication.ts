/**
 * Who is at the other end of a connection, and how far it has come with proving it (KIP-43, KIP-152).
 *
 * @since 0.1.0
 */
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { SaslAuthenticate } from "@kafka-effect/protocol/messages/SaslAuthenticate"
import { SaslHandshake } from "@kafka-effect/protocol/messages/SaslHandshake"
import * as Plain from "./Plain.ts"
import { refused, type SaslServer, type Step, type Users } from "./SaslServer.ts"
import * as Scram from "./Scram.ts"

/** In the order in which Kafka's own examples name them. @internal */
export const mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const

/** @internal */
export type Mechanism = (typeof mechanisms)[number]

/** Who may connect, and how. @internal */
export interface Credentials {
  readonly mechanisms: ReadonlyArray<Mechanism>
  readonly users: Users
}

/** @internal */
export class Authentication {
  /** Kafka's name for who has proved nothing. */
  principal = "ANONYMOUS"
  mechanism = ""
  readonly credentials: Credentials
  private readonly random: () => number
  private server: SaslServer | undefined
  private state: "handshake" | "tokens" | "requests" | "done" | "failed" = "handshake"

  constructor(credentials: Credentials, random: () => number) {
    this.credentials = credentials
    this.random = random
  }

  get isDone(): boolean {
    return this.state === "done"
  }

  get hasFailed(): boolean {
    return this.state === "failed"
  }

  /** Whether frames are bare tokens, as after version 0 of SaslHandshake. */
  get wantsTokens(): boolean {
    return this.state === "tokens"
  }

  /** Whether a request may be made now. */
  admits(key: number): boolean {
    if (this.state === "done") return true
    if (this.state === "requests") return key === SaslAuthenticate.key
    return this.state === "handshake" && (key === ApiVersions.key || key === SaslHandshake.key)
  }

  /** Begins with a mechanism; false if there is no such. */
  handshake(name: string, version: number): boolean {
    const mechanism = this.credentials.mechanisms.find((one) => one === name)
    this.state = mechanism === undefined ? "failed" : version === 0 ? "tokens" : "requests"
    if (mechanism === undefined) return false
    const { users } = this.credentials
    this.mechanism = mechanism
    this.server =
      mechanism === "PLAIN"
        ? Plain.make(users)
        : Scram.make(mechanism === "SCRAM-SHA-256" ? "sha256" : "sha512", users, this.random)
    return true
  }

  evaluate(token: Uint8Array): Step {
    const step = this.server?.evaluate(token) ?? refused()
    if (step._tag === "Refused") this.state = "failed"
    if (step._tag === "Done") {
      this.state = "done"
      this.principal = step.user
    }
    return step
  }
}
