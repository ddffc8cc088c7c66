import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Assignor from "../src/Assignor.ts"
import * as StickyUserData from "../src/internal/consumer/assignors/StickyUserData.ts"
import * as GroupProtocol from "../src/internal/consumer/GroupProtocol.ts"
import type { TopicPartition } from "../src/Topic.ts"
import * as scenarios from "./assignors/scenarios.ts"

const golden = readFileSync(new URL("assignors/golden.txt", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")

const hex = (bytes: Uint8Array | null | undefined) => (bytes == null ? "" : Buffer.from(bytes).toString("hex"))
const fromHex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"))

const sorted = (partitions: ReadonlyArray<TopicPartition>) =>
  partitions.map(({ partition, topic }) => `${topic}-${partition}`).sort()

const subscription: GroupProtocol.Subscription = {
  topics: ["b", "a"],
  userData: Uint8Array.of(1, 2, 3),
  owned: [
    { topic: "b", partition: 1 },
    { topic: "a", partition: 7 },
    { topic: "b", partition: 0 }
  ],
  generation: 42,
  rackId: "r"
}

/** Of the subscription above, field by field: topics, user data, then what each version appended. */
const fields = [
  "00000002" + "000161" + "000162" + "00000003" + "010203",
  "00000002" + "000161" + "00000001" + "00000007" + "000162" + "00000002" + "00000000" + "00000001",
  "0000002a",
  "0001" + "72"
]

const errorOf = (body: () => unknown): WireError => {
  try {
    body()
  } catch (error) {
    if (error instanceof WireError) return error
    throw error
  }
  return assert.fail("nothing was thrown")
}

describe("GroupProtocol", () => {
  it("writes the bytes of Java's ConsumerProtocol", () => {
    let compared = 0
    scenarios.make().forEach(({ members }, index) => {
      const [, , , , subscribed, assigned, sticky] = golden[index].split(" ")
      if (subscribed === undefined) return
      compared++
      const { generation, groupInstanceId, owned, topics } = members[0]
      const userData = Assignor.cooperativeSticky.userData?.({ topics, assigned: undefined, generation }) ?? null
      const own = { topics, userData, owned, generation, rackId: groupInstanceId }
      assert.strictEqual(hex(GroupProtocol.encodeSubscription(own)), subscribed)
      assert.strictEqual(hex(GroupProtocol.encodeAssignment({ partitions: owned })), assigned)
      const decoded = GroupProtocol.decodeSubscription(fromHex(subscribed))
      assert.deepStrictEqual(
        { ...decoded, topics: [...decoded.topics].sort(), owned: sorted(decoded.owned), userData: hex(userData) },
        { ...own, topics: [...topics].sort(), owned: sorted(owned), userData: hex(userData) }
      )
      assert.deepStrictEqual(GroupProtocol.decodeAssignment(fromHex(assigned)), { partitions: owned, userData: null })
      const joining = { topics, generation, assigned: owned.length === 0 ? undefined : { partitions: owned } }
      const ours = Assignor.sticky.userData?.(joining) ?? null
      // Java writes the topics in the order of a hash table.
      assert.strictEqual(hex(ours).length, (sticky ?? "").length)
      if (ours === null) return
      const java = StickyUserData.decode(fromHex(sticky))
      assert.deepStrictEqual([sorted(java.partitions), java.generation], [sorted(owned), generation])
      if (new Set(owned.map(({ topic }) => topic)).size === 1) assert.strictEqual(hex(ours), sticky)
    })
    assert.strictEqual(compared, 50)
  })

  it("reads each version, and newer ones as the newest that it knows", () => {
    const whole = {
      ...subscription,
      topics: ["a", "b"],
      owned: [
        { topic: "a", partition: 7 },
        { topic: "b", partition: 0 },
        { topic: "b", partition: 1 }
      ]
    }
    const lacking = [{ owned: [] }, {}, {}].map((none, version) => ({
      ...none,
      ...(version < 2 ? { generation: -1 } : {}),
      rackId: undefined
    }))
    for (let version = 0; version <= 3; version++) {
      const bytes = fromHex(`000${version}${fields.slice(0, version + 1).join("")}`)
      assert.deepStrictEqual(GroupProtocol.decodeSubscription(bytes), { ...whole, ...lacking[version] })
    }
    assert.strictEqual(hex(GroupProtocol.encodeSubscription(subscription)), `0003${fields.join("")}`)
    const later = fromHex(`0009${fields.join("")}beef`)
    assert.deepStrictEqual(GroupProtocol.decodeSubscription(later), whole)
    const assignment = { partitions: whole.owned, userData: Uint8Array.of(9) }
    const bytes = GroupProtocol.encodeAssignment(assignment)
    for (const version of [0, 1, 2, 3, 200]) {
      bytes[1] = version
      assert.deepStrictEqual(GroupProtocol.decodeAssignment(bytes), assignment)
    }
  })

  it("bytes that are cut anywhere, or of a negative version, are a WireError", () => {
    const bytes = fromHex(`0003${fields.join("")}`)
    for (let size = 0; size < bytes.length; size++)
      assert.strictEqual(
        errorOf(() => GroupProtocol.decodeSubscription(bytes.subarray(0, size))).name,
        "ConsumerProtocolSubscription"
      )
    const assignment = GroupProtocol.encodeAssignment({ partitions: subscription.owned })
    for (let size = 1; size < assignment.length; size++)
      errorOf(() => GroupProtocol.decodeAssignment(assignment.subarray(0, size)))
    const negative = errorOf(() => GroupProtocol.decodeSubscription(fromHex(`ffff${fields.join("")}`)))
    assert.strictEqual(negative.reason, "UnsupportedVersion")
  })

  it("no bytes are an assignment of nothing; an empty rack is none", () => {
    assert.deepStrictEqual(GroupProtocol.decodeAssignment(new Uint8Array(0)), { partitions: [], userData: null })
    const bytes = GroupProtocol.encodeSubscription({ ...subscription, rackId: "" })
    assert.isUndefined(GroupProtocol.decodeSubscription(bytes).rackId)
  })
})
