/**
 * A Kafka client on Effect.
 *
 * @since 0.1.0
 */
export * as ApiVersions from "./ApiVersions.ts"
export * as Assignor from "./Assignor.ts"
export * as Cluster from "./Cluster.ts"
export * as ClusterMetadata from "./ClusterMetadata.ts"
export * as CommitError from "./CommitError.ts"
export * as Connection from "./Connection.ts"
export * as Consumer from "./Consumer.ts"
export * as ConsumerError from "./ConsumerError.ts"
export * as Kafka from "./Kafka.ts"
export * as KafkaError from "./KafkaError.ts"
export * as Offsets from "./Offsets.ts"
export * as Partitioner from "./Partitioner.ts"
export * as Producer from "./Producer.ts"
export * as ProducerError from "./ProducerError.ts"
export * as Serde from "./Serde.ts"
export * as Topic from "./Topic.ts"
export * as Transport from "./Transport.ts"
