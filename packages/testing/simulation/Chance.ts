/**
 * Chance that a seed decides, for what the simulation itself draws: each who draws has a chance of his own, so that he draws
 * the same whatever others do.
 */

export interface Chance {
  /** From 0 up to, and without, 1. */
  readonly next: () => number
  /** A whole number from 0 up to, and without, the bound. */
  readonly below: (bound: number) => number
  /** A whole number within both bounds. */
  readonly between: (first: number, last: number) => number
  readonly of: <A>(all: ReadonlyArray<A>) => A
  readonly happens: (probability: number) => boolean
}

const mixed = (value: number): number => {
  let bits = Math.imul(value ^ (value >>> 16), 0x7feb352d)
  bits = Math.imul(bits ^ (bits >>> 15), 0x846ca68b)
  return (bits ^ (bits >>> 16)) >>> 0
}

/** The chance of this name under a seed. */
export const make = (seed: string, name: string): Chance => {
  let state = 0
  for (const character of `${seed} ${name}`) state = mixed(state + character.codePointAt(0)!)
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0
    return mixed(state) / 0x1_0000_0000
  }
  const below = (bound: number): number => Math.floor(next() * bound)
  return {
    next,
    below,
    between: (first, last) => first + below(last - first + 1),
    of: (all) => all[below(all.length)],
    happens: (probability) => next() < probability
  }
}
