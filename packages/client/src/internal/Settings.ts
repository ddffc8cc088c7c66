/**
 * The client's options, checked and in plain numbers: durations in milliseconds, sizes in bytes.
 *
 * @since 0.1.0
 */

/** @internal */
export interface Settings {
  readonly clientId: string
  readonly requestTimeout: number
  readonly maxInFlight: number
  readonly receiveMaxBytes: number
  readonly connectionsMaxIdle: number
  readonly reconnectBackoff: number
  readonly reconnectBackoffMax: number
  readonly socketConnectionSetupTimeout: number
  readonly socketConnectionSetupTimeoutMax: number
  readonly retryBackoff: number
  readonly retryBackoffMax: number
  readonly metadataMaxAge: number
}
