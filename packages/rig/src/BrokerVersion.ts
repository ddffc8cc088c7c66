/**
 * What the rig must know about each version of Apache Kafka: which artifact it is, how its nodes find each other, and
 * what it needs to run on a Java that is newer than itself.
 *
 * @since 0.1.0
 */
import { RigError } from "./RigError.ts"

/**
 * One version of the broker.
 *
 * @category models
 * @since 0.1.0
 */
export interface BrokerVersion {
  readonly text: string
  /** How the nodes find each other: among themselves, or through a ZooKeeper beside them. */
  readonly mode: "kraft" | "zookeeper"
  /** Maven coordinates of the whole class path. */
  readonly coordinates: ReadonlyArray<string>
  /** Flags that this version needs on Java 17. */
  readonly javaFlags: ReadonlyArray<string>
  /** Whether the address settings `port`, `host.name` and `advertised.*` exist (until 3.0; 0.8 has nothing else). */
  readonly hasHostNameSettings: boolean
}

/**
 * The versions that are tried with this rig, newest first. Others of the same lines work alike.
 *
 * @category constants
 * @since 0.1.0
 */
export const tried: ReadonlyArray<string> = [
  "4.4.0",
  "4.3.0",
  "4.2.0",
  "4.1.1",
  "4.0.0",
  "3.9.1",
  "2.8.2",
  "1.1.1",
  "0.11.0.3",
  "0.10.2.1",
  "0.10.1.1",
  "0.10.0.1",
  "0.9.0.1",
  "0.8.2.2"
]

/** Packages that brokers before KRaft reach into, closed since Java 16. */
const openedPackages = ["java.nio", "sun.nio.ch", "java.lang", "java.util"]

/** The first version that runs without ZooKeeper for good. */
const firstKraft = [3, 3]

const compare = (left: ReadonlyArray<number>, right: ReadonlyArray<number>): number => {
  for (let i = 0; i < right.length; i++) {
    const difference = (left[i] ?? 0) - right[i]!
    if (difference !== 0) return difference
  }
  return 0
}

const scalaOf = (version: ReadonlyArray<number>): string => {
  if (compare(version, [2, 4]) >= 0) return "2.13"
  if (compare(version, [1, 0]) >= 0) return "2.12"
  return compare(version, [0, 9]) >= 0 ? "2.11" : "2.10"
}

/**
 * What is known about a version given as text, such as `4.4.0` or `0.10.2.1`.
 *
 * Throws a `RigError` for a text that is no version, and for versions before 0.8.2, which nothing here was tried with.
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse = (text: string): BrokerVersion => {
  const numbers = text.split(".").map(Number)
  if (!/^(0\.\d+\.\d+\.\d+|[1-9]\d*\.\d+\.\d+)$/.test(text) || compare(numbers, [0, 8, 2]) < 0) {
    throw new RigError({
      reason: "Broker",
      message: `${text} is not a version of Apache Kafka from 0.8.2.0 on: try one of ${tried.join(", ")}`
    })
  }
  const broker = `org.apache.kafka:kafka_${scalaOf(numbers)}:${text}`
  if (compare(numbers, firstKraft) >= 0) {
    return {
      text,
      mode: "kraft",
      coordinates: [broker, "org.slf4j:slf4j-simple:1.7.36"],
      javaFlags: [
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"
      ],
      hasHostNameSettings: false
    }
  }
  return {
    text,
    mode: "zookeeper",
    coordinates: [
      broker,
      // named here because these brokers' poms leave their logger out, or bring one that is older than its interface
      "org.slf4j:slf4j-api:1.7.36",
      "org.slf4j:slf4j-reload4j:1.7.36",
      // 0.10 and 0.11 use a package that Java 11 removed
      "javax.xml.bind:jaxb-api:2.3.1",
      // from 2.0 to 2.4 they bring a ZooKeeper client that does not connect on Java 17
      ...(compare(numbers, [2, 0]) >= 0 && compare(numbers, [2, 5]) < 0 ? ["org.apache.zookeeper:zookeeper:3.5.9"] : [])
    ],
    javaFlags: [
      ...openedPackages.flatMap((name) => ["--add-opens", `java.base/${name}=ALL-UNNAMED`]),
      // ZooKeeper 3.4 would look for classes that the logger's maintained successor dropped
      "-Dzookeeper.jmx.log4j.disable=true"
    ],
    hasHostNameSettings: compare(numbers, [3, 0]) < 0
  }
}
