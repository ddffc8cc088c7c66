/**
 * Free TCP ports.
 *
 * @since 0.1.0
 */
import { once } from "node:events"
import { createServer } from "node:net"
import * as Effect from "effect/Effect"
import { host } from "./ServerProperties.ts"

// below the ports that systems hand out to outgoing connections, so that a stopped broker finds its own free again
const lowest = 15_000
const highest = 32_000

const isFree = async (port: number): Promise<boolean> => {
  const server = createServer()
  try {
    server.listen({ host, port, exclusive: true })
    await once(server, "listening")
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

/**
 * Picks this many different ports that nothing listens on.
 *
 * @category constructors
 * @since 0.1.0
 */
export const pick = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.promise(async () => {
    const ports = new Set<number>()
    while (ports.size < count) {
      // real chance: two rigs started at once must not try the same ports
      const port = lowest + Math.floor(Math.random() * (highest - lowest))
      if (await isFree(port)) ports.add(port)
    }
    return [...ports]
  })
