/**
 * What this client calls itself towards brokers (KIP-511).
 *
 * @since 0.1.0
 */

/** @internal */
export const name = "kafka-effect"

/** The version in this package's `package.json`; a test compares them. @internal */
export const version = "0.1.0"
