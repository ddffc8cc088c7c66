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

/** Bytes to compress from which the thread pool does it: below, the hop costs more than the work (about 50 µs). */
export const asyncBytes = 32 * 1024

/**
 * Bytes to restore from which the thread pool does it: 128 KiB take up to 300 µs. What counts is the output, since a
 * small input may restore to very much.
 */
export const asyncRestoredBytes = 128 * 1024

/** Blocks of a frame that restore to less than this are restored at once even then. */
export const smallBlock = 4096

/** So many blocks are restored before others get their turn. */
export const blocksPerTurn = 64

/**
 * Goes on with the value: at once if it is there.
 *
 * @category combinators
 * @since 0.1.0
 */
export const map = <A, B>(value: MaybePromise<A>, f: (value: A) => MaybePromise<B>): MaybePromise<B> =>
  value instanceof Promise ? value.then(f) : f(value)
