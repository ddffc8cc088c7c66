/**
 * SASL/SCRAM (RFC 5802, RFC 7677; KIP-84): both sides prove that they know the password, and nobody says it.
 *
 * @since 0.1.0
 */
import * as Crypto from "node:crypto"
import { otherIdentity, refused, type SaslServer, type Step, type Users } from "./SaslServer.ts"

/** Kafka's least, and its default. */
const iterations = 4096

const hashBytes = { sha256: 32, sha512: 64 } as const

const clientFirst = /^n,(?:a=([^,]*))?,((?:m=[^,]*,)?n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/

const clientFinal = /^(c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[^,]*)*?),p=([A-Za-z0-9+/=]+)$/

/** Names are written without commas and equals signs. */
const nameOf = (escaped: string): string => escaped.replaceAll("=2C", ",").replaceAll("=3D", "=")

/** `random` gives numbers from 0 to 1. @internal */
export const make = (hash: "sha256" | "sha512", users: Users, random: () => number): SaslServer => {
  const hmac = (key: Uint8Array, text: string): Buffer => Crypto.createHmac(hash, key).update(text).digest()
  const randomBytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)))
  let final: ((token: string) => Step) | undefined

  const first = (message: string): Step => {
    const [, identity, bare, escaped, clientNonce] = clientFirst.exec(message) ?? []
    const user = nameOf(escaped ?? "")
    const password = users.get(user)
    if (password === undefined) return refused()
    if (identity !== undefined && identity !== "" && identity !== user) return refused(otherIdentity)
    const salt = randomBytes(16)
    const nonce = `${clientNonce}${randomBytes(18).toString("base64url")}`
    const answer = `r=${nonce},s=${salt.toString("base64")},i=${iterations}`
    const salted = Crypto.pbkdf2Sync(password, salt, iterations, hashBytes[hash], hash)
    final = (last) => {
      const [, withoutProof, , finalNonce, proof] = clientFinal.exec(last) ?? []
      // Kafka wants no more than its end: librdkafka has long put its own nonce in front once more.
      if (finalNonce?.endsWith(nonce) !== true) return refused()
      const proved = `${bare},${answer},${withoutProof}`
      const storedKey = Crypto.createHash(hash).update(hmac(salted, "Client Key")).digest()
      const signature = hmac(storedKey, proved)
      const clientKey = Buffer.from(proof, "base64").map((byte, index) => byte ^ (signature[index] ?? 0))
      if (!Crypto.createHash(hash).update(clientKey).digest().equals(storedKey)) return refused()
      const verifier = hmac(hmac(salted, "Server Key"), proved).toString("base64")
      return { _tag: "Done", token: new TextEncoder().encode(`v=${verifier}`), user }
    }
    return { _tag: "Continue", token: new TextEncoder().encode(answer) }
  }

  return {
    evaluate: (token) => {
      const message = new TextDecoder().decode(token)
      return final === undefined ? first(message) : final(message)
    }
  }
}
