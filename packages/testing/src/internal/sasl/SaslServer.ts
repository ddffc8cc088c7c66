/**
 * The server's side of a SASL mechanism: one exchange of tokens.
 *
 * @since 0.1.0
 */

/** What becomes of a token: another is wanted, the client has proved who it is, or it has not. @internal */
export type Step =
  | { readonly _tag: "Continue"; readonly token: Uint8Array }
  | { readonly _tag: "Done"; readonly token: Uint8Array; readonly user: string }
  /** Why, where the client may know. */
  | { readonly _tag: "Refused"; readonly message: string | undefined }

/** @internal */
export interface SaslServer {
  readonly evaluate: (token: Uint8Array) => Step
}

/** Passwords by user. @internal */
export type Users = ReadonlyMap<string, string>

/** @internal */
export const refused = (message?: string): Step => ({ _tag: "Refused", message })

/** What Kafka says of who wants to be somebody else. @internal */
export const otherIdentity =
  "Authentication failed: Client requested an authorization id that is different from username"
