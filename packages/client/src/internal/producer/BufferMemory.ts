/**
 * The producer's memory: how many bytes of records may wait for their acknowledgements, and whose turn it is when there
 * is no room. Slabs that are no longer needed are kept for the next batches.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** Of the slabs that are kept, as a part of the whole memory. */
const keptPart = 4

/** Whether room was given: whoever waited for it has to release it then, interrupted or not. @internal */
export interface Admission {
  isAdmitted: boolean
}

interface Waiter {
  readonly size: number
  readonly resume: () => void
}

/** @internal */
export class BufferMemory {
  readonly total: number
  /** Bytes that are used, or held for somebody. */
  used = 0
  private readonly slabSize: number
  private readonly slabs: Array<Uint8Array> = []
  private readonly waiters: Array<Waiter> = []
  private isAdmitting = false

  /** Slabs of at least `slabSize` bytes are kept. */
  constructor(total: number, slabSize: number) {
    this.total = total
    this.slabSize = slabSize
  }

  /** Whether somebody waits for room. */
  get isExhausted(): boolean {
    return this.waiters.length > 0
  }

  /** Whether there is room now, and nobody who came before waits for it. */
  hasRoom(size: number): boolean {
    return this.waiters.length === 0 && this.used + size <= this.total
  }

  /** Waits, in turn with others, until there is room, and holds it. */
  room(size: number, admission: Admission): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const waiter: Waiter = {
        size,
        resume: () => {
          admission.isAdmitted = true
          resume(Effect.void)
        }
      }
      this.waiters.push(waiter)
      this.admit()
      return Effect.sync(() => {
        const place = this.waiters.indexOf(waiter)
        if (place < 0) return
        this.waiters.splice(place, 1)
        // Whoever gives up may have been what others waited behind.
        this.admit()
      })
    })
  }

  release(size: number): void {
    this.used -= size
    this.admit()
  }

  /** A slab, or the bytes with which to make one, for a batch that is likely to need so many. */
  slab(likely: number): Uint8Array | number {
    const kept = this.slabs.pop()
    if (kept !== undefined) return kept
    // One that is likely to grow to nearly all of it begins with all of it: it then never has to be copied.
    return likely > this.slabSize / 2 ? Math.max(this.slabSize, likely) : Math.max(likely, 1024)
  }

  /** Keeps a slab for another batch. */
  reuse(slab: Uint8Array): void {
    if (slab.length < this.slabSize || slab.length > this.slabSize * 2) return
    if ((this.slabs.length + 1) * this.slabSize <= this.total / keptPart) this.slabs.push(slab)
  }

  private admit(): void {
    if (this.isAdmitting || this.waiters.length === 0) return
    this.isAdmitting = true
    // Not at once: who is resumed goes on before `resume` returns, and the caller is in the middle of something.
    queueMicrotask(() => {
      // A record larger than the whole memory was refused before.
      while (this.waiters.length > 0 && this.used + this.waiters[0].size <= this.total) {
        const { resume, size } = this.waiters.shift()!
        this.used += size
        resume()
      }
      this.isAdmitting = false
    })
  }
}
