/** A small seeded generator (a linear congruential one), so that a failing run can be had again from its seed. */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** The next 32 bits. */
  next(): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0
    // The low bits of such a generator are weak: mix them.
    return Math.imul(this.state ^ (this.state >>> 15), 0x2c1b3c6d) >>> 0
  }

  /** Both ends included. */
  integer(lowest: number, highest: number): number {
    return lowest + (this.next() % (highest - lowest + 1))
  }

  chance(probability: number): boolean {
    return this.next() / 2 ** 32 < probability
  }

  pick<A>(items: ReadonlyArray<A>): A {
    return items[this.integer(0, items.length - 1)]
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.integer(0, 255))
  }

  bigint64(): bigint {
    return BigInt.asIntN(64, (BigInt(this.next()) << 32n) | BigInt(this.next()))
  }

  /** A copy with a few bytes changed, cut off, put in or taken out. */
  damage(bytes: Uint8Array): Uint8Array {
    const copy = [...bytes]
    for (let count = this.integer(1, 4); count > 0; count--) {
      const position = this.integer(0, Math.max(copy.length - 1, 0))
      const kind = this.integer(0, 4)
      if (kind === 0) copy.length = Math.min(position, copy.length)
      else if (kind === 1) copy.splice(position, 0, this.integer(0, 255))
      else if (kind === 2) copy.splice(position, 1)
      else if (copy.length > 0) copy[position] = this.pick([0, 1, 0x7f, 0x80, 0xff, this.integer(0, 255)])
    }
    return Uint8Array.from(copy)
  }
}
