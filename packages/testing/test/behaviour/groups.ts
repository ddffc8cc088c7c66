/** Groups of the classic protocol, and their offsets. */
import { DeleteGroups } from "@kafka-effect/protocol/messages/DeleteGroups"
import { DescribeGroups } from "@kafka-effect/protocol/messages/DescribeGroups"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { JoinGroup } from "@kafka-effect/protocol/messages/JoinGroup"
import { LeaveGroup } from "@kafka-effect/protocol/messages/LeaveGroup"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetDelete } from "@kafka-effect/protocol/messages/OffsetDelete"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { SyncGroup } from "@kafka-effect/protocol/messages/SyncGroup"
import { Effect } from "effect"
import type { Conversation } from "./Conversation.ts"

const joining = (groupId: string, memberId = "", more: object = {}) => ({
  groupId,
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  memberId,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: new Uint8Array([0]) }],
  ...more
})

/** @internal */
export const membership = Effect.fnUntraced(function* ({ ask }: Conversation) {
  yield* ask("no group", JoinGroup, joining(""), 5)
  yield* ask("too short a session", JoinGroup, joining("m", "", { sessionTimeoutMs: 1 }), 5)
  yield* ask("too long a session", JoinGroup, joining("m", "", { sessionTimeoutMs: 100_000_000 }), 5)
  yield* ask("unknown member", JoinGroup, joining("m", "nobody"), 5)
  yield* ask("no protocols", JoinGroup, joining("m", "", { protocols: [] }), 5)
  yield* ask("no type", JoinGroup, joining("m", "", { protocolType: "" }), 5)
  yield* ask("of no group", Heartbeat, { groupId: "none", generationId: 1, memberId: "x" }, 3)
  yield* ask("without a group", Heartbeat, { groupId: "", generationId: 1, memberId: "x" }, 3)
  const { memberId } = yield* ask("without an id", JoinGroup, joining("m"), 5)
  const { generationId } = yield* ask("with it", JoinGroup, joining("m", memberId), 5)
  yield* ask(
    "other protocols",
    JoinGroup,
    joining("m", "", { protocols: [{ name: "x", metadata: new Uint8Array() }] }),
    5
  )
  yield* ask("another type", JoinGroup, joining("m", "", { protocolType: "connect" }), 5)
  const me = { groupId: "m", generationId, memberId }
  yield* ask("before sync", Heartbeat, me, 3)
  yield* ask("wrong generation", SyncGroup, { ...me, generationId: generationId + 1, assignments: [] }, 3)
  yield* ask("unknown", SyncGroup, { ...me, memberId: "nobody", assignments: [] }, 3)
  yield* ask("wrong protocol", SyncGroup, { ...me, protocolType: "consumer", protocolName: "x", assignments: [] }, 5)
  yield* ask("sync", SyncGroup, { ...me, assignments: [{ memberId, assignment: new Uint8Array([1]) }] }, 3)
  yield* ask("again", SyncGroup, { ...me, assignments: [] }, 3)
  yield* ask("alive", Heartbeat, me, 3)
  yield* ask("old generation", Heartbeat, { ...me, generationId: generationId - 1 }, 3)
  yield* ask("unknown", Heartbeat, { ...me, memberId: "nobody" }, 3)
  yield* ask("not fenced, unknown instance", Heartbeat, { ...me, groupInstanceId: "i" }, 3)
  yield* ask("delete one that is not empty", DeleteGroups, { groupsNames: ["m", "none", ""] }, 1)
  yield* ask("unknown", LeaveGroup, { groupId: "m", members: [{ memberId: "nobody" }] }, 3)
  yield* ask("leave", LeaveGroup, { groupId: "m", members: [{ memberId }] }, 3)
  yield* ask("after it", Heartbeat, me, 3)
  yield* ask("empty", DescribeGroups, { groups: ["m", "none"] }, 4)
  yield* ask("delete", DeleteGroups, { groupsNames: ["m"] }, 1)
})

/** @internal */
export const staticMembers = Effect.fnUntraced(function* ({ ask }: Conversation) {
  const instance = { groupInstanceId: "i" }
  const first = yield* ask("first", JoinGroup, joining("s", "", instance), 5)
  const { generationId, memberId } = first
  const me = { groupId: "s", generationId, memberId, ...instance }
  yield* ask("sync", SyncGroup, { ...me, assignments: [{ memberId, assignment: new Uint8Array([1]) }] }, 3)
  const second = yield* ask("returns", JoinGroup, joining("s", "", instance), 5)
  yield* ask("is fenced", Heartbeat, me, 3)
  yield* ask("is fenced", SyncGroup, { ...me, assignments: [] }, 3)
  yield* ask("is fenced", JoinGroup, joining("s", memberId, instance), 5)
  yield* ask("lives", Heartbeat, { ...me, memberId: second.memberId, generationId: second.generationId }, 3)
  yield* ask("is fenced", LeaveGroup, { groupId: "s", members: [{ memberId, ...instance }] }, 3)
  yield* ask("unknown", LeaveGroup, { groupId: "s", members: [{ memberId: "", groupInstanceId: "no" }] }, 3)
  yield* ask("is removed", LeaveGroup, { groupId: "s", members: [{ memberId: "", ...instance }] }, 3)
})

/** @internal */
export const groupOffsets = Effect.fnUntraced(function* ({ ask, askIfOffered, topic }: Conversation) {
  yield* topic("committed")
  const places = (name: string, committedMetadata: string | null = "m", partitionIndex = 0) => [
    { name, partitions: [{ partitionIndex, committedOffset: 5n, committedLeaderEpoch: 0, committedMetadata }] }
  ]
  const commit = (what: string, topics: ReturnType<typeof places>, more: object = {}) => {
    const nobody = { groupId: "o", generationIdOrMemberEpoch: -1, memberId: "" }
    return ask(what, OffsetCommit, { ...nobody, ...more, topics }, 7)
  }
  const asked = [{ name: "committed", partitionIndexes: [0, 9] }]
  for (const version of [2, 5, 7])
    yield* ask(`nothing, v${version}`, OffsetFetch, { groupId: "o", topics: asked }, version)
  yield* commit("from outside", places("committed"))
  yield* commit("null for metadata", places("committed", null))
  yield* commit("unknown topic", places("unknown"))
  yield* commit("unknown partition", places("committed", "m", 9))
  yield* commit("much metadata", places("committed", "x".repeat(4097)))
  yield* commit("with a generation", places("committed"), { generationIdOrMemberEpoch: 1, memberId: "x" })
  yield* commit("a member of none", places("committed"), {
    groupId: "none",
    generationIdOrMemberEpoch: 1,
    memberId: "x"
  })
  yield* commit("no group", places("committed"), { groupId: "" })
  for (const version of [1, 2, 5, 6, 7]) {
    yield* ask(`v${version}`, OffsetFetch, { groupId: "o", topics: asked }, version)
    if (version > 1) yield* ask(`all, v${version}`, OffsetFetch, { groupId: "o", topics: null }, version)
  }
  for (const version of [8, 9]) {
    const one = { groupId: "o", topics: asked }
    const groups = [one, { groupId: "none", topics: asked }, { groupId: "o", topics: null }]
    yield* askIfOffered(`groups, v${version}`, OffsetFetch, { groups }, version)
    yield* askIfOffered(`a group, v${version}`, OffsetFetch, { groups: [one] }, version)
    const asMember = { groups: [{ ...one, memberId: "x", memberEpoch: 5 }] }
    yield* askIfOffered(`as a member, v${version}`, OffsetFetch, asMember, version)
    const nobody = { groupId: "o", generationIdOrMemberEpoch: -1, memberId: "" }
    yield* askIfOffered(`commit, v${version}`, OffsetCommit, { ...nobody, topics: places("committed") }, version)
  }
  const forgotten = (name: string) => ({ name, partitions: [{ partitionIndex: 0 }] })
  yield* ask("of none", OffsetDelete, { groupId: "none", topics: [forgotten("committed")] }, 0)
  yield* ask("of it", OffsetDelete, { groupId: "o", topics: [forgotten("committed"), forgotten("unknown")] }, 0)
  yield* ask("gone", OffsetFetch, { groupId: "o", topics: asked }, 7)
})

/** Two members: who leads, what both are told, and how the second's coming and going is told to the first. @internal */
export const twoMembers = Effect.fnUntraced(function* ({ ask, askAside }: Conversation) {
  const known = Effect.fnUntraced(function* (who: string) {
    const { memberId } = yield* ask(`${who} asks for an id`, JoinGroup, joining("two"), 5)
    return memberId
  })
  const sync = (what: string, memberId: string, generationId: number, members: ReadonlyArray<string>) => {
    const assignments = members.map((one) => ({ memberId: one, assignment: new Uint8Array([7]) }))
    return (members.length === 0 ? askAside : ask)(
      what,
      SyncGroup,
      { groupId: "two", generationId, memberId, assignments },
      3
    )
  }
  const beat = (what: string, memberId: string, generationId: number) =>
    ask(what, Heartbeat, { groupId: "two", generationId, memberId }, 3)
  const first = yield* known("the first")
  const alone = yield* ask("the first joins", JoinGroup, joining("two", first), 5)
  yield* sync("the first is given all", first, alone.generationId, [first])
  const second = yield* known("the second")
  const [coming] = yield* Effect.all(
    [
      askAside("the second joins", JoinGroup, joining("two", second), 5),
      beat("the first hears of it", first, alone.generationId).pipe(
        Effect.delay("200 millis"),
        Effect.andThen(ask("the first joins again", JoinGroup, joining("two", first), 5))
      )
    ],
    { concurrency: 2 }
  )
  const { generationId } = coming
  yield* Effect.all(
    [
      sync("the second waits", second, generationId, []),
      sync("the first gives", first, generationId, [first, second]).pipe(Effect.delay("100 millis"))
    ],
    { concurrency: 2 }
  )
  yield* beat("the second lives", second, generationId)
  yield* ask("both", DescribeGroups, { groups: ["two"], includeAuthorizedOperations: true }, 4)
  yield* ask("the second goes", LeaveGroup, { groupId: "two", members: [{ memberId: second }] }, 3)
  yield* beat("the first hears of that", first, generationId)
  yield* ask("in between", DescribeGroups, { groups: ["two"] }, 4)
  yield* ask("the first goes", LeaveGroup, { groupId: "two", members: [{ memberId: first }] }, 3)
})
