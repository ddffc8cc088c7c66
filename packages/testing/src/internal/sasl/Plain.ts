/**
 * SASL/PLAIN (RFC 4616): name and password, as they are.
 *
 * @since 0.1.0
 */
import { otherIdentity, refused, type SaslServer, type Users } from "./SaslServer.ts"

/** @internal */
export const make = (users: Users): SaslServer => ({
  evaluate: (token) => {
    // Whatever there is behind a third zero does not count, as in Kafka.
    const parts = new TextDecoder().decode(token).split("\0", 4)
    if (parts.length !== 3) return refused(`Invalid SASL/PLAIN response: expected 3 tokens, got ${parts.length}`)
    const [identity, user, password] = parts
    if (user === "") return refused("Authentication failed: username not specified")
    if (password === "") return refused("Authentication failed: password not specified")
    if (users.get(user) !== password) return refused("Authentication failed: Invalid username or password")
    if (identity !== "" && identity !== user) return refused(otherIdentity)
    return { _tag: "Done", token: new Uint8Array(0), user }
  }
})
