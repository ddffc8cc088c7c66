/**
 * What a broker of a release can do: the versions of each API, and how it treats what it does not know.
 *
 * @since 0.1.0
 */
import type { AnyApi } from "@kafka-effect/protocol/Api"
import { handlers } from "./Handlers.ts"

/** @internal */
export interface Release {
  readonly name: string
  /** By API key: the lowest and the highest version. */
  readonly versions: ReadonlyMap<number, readonly [lowest: number, highest: number]>
}

/** The newest: all that this package knows. @internal */
export const newest = (): Release => ({
  name: "4.4",
  versions: new Map(
    [...handlers.values()].map(({ api }) => [api.key, [api.lowestVersion, api.highestStableVersion]] as const)
  )
})

/** @internal */
export const knows = ({ versions }: Release, { key }: Pick<AnyApi, "key">, version: number): boolean => {
  const range = versions.get(key)
  return range !== undefined && version >= range[0] && version <= range[1]
}
