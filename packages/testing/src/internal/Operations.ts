/**
 * What one may do, as bits: everything, since nothing is forbidden to anybody (KIP-430).
 *
 * @since 0.1.0
 */
import { atLeast, type Release } from "./Release.ts"

/** READ, DELETE and DESCRIBE; DESCRIBE_CONFIGS and ALTER_CONFIGS too, since groups have settings. @internal */
export const ofGroup = (release: Release): number =>
  (1 << 3) | (1 << 6) | (1 << 8) | (atLeast(release, "4.0") ? (1 << 10) | (1 << 11) : 0)
