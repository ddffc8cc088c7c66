/**
 * A Kafka broker inside the process, for tests of applications.
 *
 * @since 0.1.0
 */
export * as Control from "./Control.ts"
export * as DataDirectoryError from "./DataDirectoryError.ts"
export * as ListenError from "./ListenError.ts"
export * as SettingError from "./SettingError.ts"
export * as TestBroker from "./TestBroker.ts"
export * as VirtualTime from "./VirtualTime.ts"
