/**
 * What a test may have a broker do with a request instead of answering it: data that says so.
 *
 * @since 0.1.0
 */
import type * as Wire from "@kafka-effect/protocol/Wire"
import type * as Duration from "effect/Duration"

/**
 * What becomes of a request.
 *
 * @category models
 * @since 0.1.0
 */
export type Reply<Response = unknown> =
  /** The broker answers as ever. */
  | { readonly _tag: "Pass" }
  /** This is the answer; the broker's state does not hear of the request. */
  | { readonly _tag: "Respond"; readonly response: Wire.Input<Response> }
  /** An answer with this code of Kafka's at every place where the API has one. */
  | { readonly _tag: "Fail"; readonly code: number }
  /** No answer ever comes. The connection stays, and what comes behind it waits too. */
  | { readonly _tag: "Silence" }
  /** The connection is cut. */
  | { readonly _tag: "Close" }
  /** First nothing, for so long, and then that. */
  | { readonly _tag: "Delay"; readonly duration: Duration.Input; readonly then: Reply<Response> }
  /** The broker answers, but these bytes leave: `change` is given the frame, its size in front. */
  | { readonly _tag: "Corrupt"; readonly change: (frame: Uint8Array) => Uint8Array }
  /** The broker does what is asked, but only so many bytes of its answer leave, and the connection is cut. */
  | { readonly _tag: "Partial"; readonly bytes: number }
  /** The broker does what is asked, and says nothing of it: the connection is cut instead. */
  | { readonly _tag: "LoseAnswer" }

/**
 * The broker answers as ever.
 *
 * @category constructors
 * @since 0.1.0
 */
export const pass: Reply<never> = { _tag: "Pass" }

/**
 * Answers with this message, and the broker's state does not hear of the request.
 *
 * @category constructors
 * @since 0.1.0
 */
export const respond = <Response>(response: Wire.Input<Response>): Reply<Response> => ({ _tag: "Respond", response })

/**
 * Answers with one of Kafka's error codes (`ErrorCode.codes`) at every place where the API has one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fail = (code: number): Reply<never> => ({ _tag: "Fail", code })

/**
 * No answer ever comes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const silence: Reply<never> = { _tag: "Silence" }

/**
 * Cuts the connection instead of answering: what was asked is not done.
 *
 * @category constructors
 * @since 0.1.0
 */
export const close: Reply<never> = { _tag: "Close" }

/**
 * Waits before what follows; by default the broker then answers as ever.
 *
 * @category constructors
 * @since 0.1.0
 */
export const delay = <Response = never>(duration: Duration.Input, then: Reply<Response> = pass): Reply<Response> => ({
  _tag: "Delay",
  duration,
  then
})

/**
 * Does what is asked, and changes the frame that answers it; the frame's size is in its first four bytes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const corrupt = (change: (frame: Uint8Array) => Uint8Array): Reply<never> => ({ _tag: "Corrupt", change })

/**
 * Does what is asked, lets so many bytes of the answer leave, and cuts the connection.
 *
 * @category constructors
 * @since 0.1.0
 */
export const partial = (bytes: number): Reply<never> => ({ _tag: "Partial", bytes })

/**
 * Does what is asked, and cuts the connection instead of saying so.
 *
 * @category constructors
 * @since 0.1.0
 */
export const loseAnswer: Reply<never> = { _tag: "LoseAnswer" }
