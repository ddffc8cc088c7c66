/**
 * Work that is done at once when it is small, and on Node's thread pool when it is large.
 *
 * @since 0.1.0
 */

/**
 * A value now, or later.
 *
 * @category models
 * @since 0.1.0
 */
export type MaybePromise<A> = A | Promise<A>

/** Inputs of at least this many bytes go to the thread pool: below, the hop costs more than the work (about 50 µs). */
export const asyncBytes = 32 * 1024

/**
 * Goes on with the value: at once if it is there.
 *
 * @category combinators
 * @since 0.1.0
 */
export const map = <A, B>(value: MaybePromise<A>, f: (value: A) => B): MaybePromise<B> =>
  value instanceof Promise ? value.then(f) : f(value)
