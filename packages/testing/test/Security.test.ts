/** Clients that prove who they are, and connections that nobody can read: as Kafka answers them, and with librdkafka. */
import { execFileSync } from "node:child_process"
import * as Crypto from "node:crypto"
import * as FileSystem from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import type { Api } from "@kafka-effect/protocol/Api"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { SaslAuthenticate } from "@kafka-effect/protocol/messages/SaslAuthenticate"
import { SaslHandshake } from "@kafka-effect/protocol/messages/SaslHandshake"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as Kcat from "@kafka-effect/rig/Kcat"
import { Effect } from "effect"
import * as TestBroker from "../src/TestBroker.ts"
import * as RawClient from "./RawClient.ts"

const users = { alice: "alice-secret", "b,=b": "größe" }
const bytesOf = (text: string) => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

const connect = (address: string) =>
  Effect.acquireRelease(
    Effect.sync(() => RawClient.connect(address)),
    ({ end }) => Effect.sync(end)
  )

const to = Effect.fnUntraced(function* (options: TestBroker.Options) {
  const { bootstrapServers } = yield* TestBroker.make({ topics: { t: 1 }, sasl: { users }, ...options })
  return yield* connect(bootstrapServers[0])
})

const next = (client: RawClient.RawClient) => Effect.promise(client.next)

const ask = <Request, Response>(
  client: RawClient.RawClient,
  api: Api<Request, Response>,
  version: number,
  message: Wire.Input<Request>
) =>
  Effect.gen(function* () {
    client.send(RawClient.frame(api, version, message))
    const answer = yield* next(client)
    return typeof answer === "string"
      ? yield* Effect.die(new Error(answer))
      : RawClient.read(api, version, answer).message
  })

const token = (client: RawClient.RawClient, authBytes: Uint8Array) => ask(client, SaslAuthenticate, 1, { authBytes })

const refusal = (client: RawClient.RawClient, authBytes: Uint8Array) =>
  Effect.gen(function* () {
    const { errorCode, errorMessage } = yield* token(client, authBytes)
    assert.strictEqual(errorCode, codes.SASL_AUTHENTICATION_FAILED)
    assert.strictEqual(yield* next(client), "closed")
    return errorMessage
  })

/** The client's side of SCRAM: its first message, and what it answers to the server's. */
const scram = (hash: "sha256" | "sha512", escapedUser: string, password: string) => {
  const bare = `n=${escapedUser},r=clientnonce`
  return {
    first: bytesOf(`n,,${bare}`),
    last: (server: string, change: (nonce: string) => string = (nonce) => nonce) => {
      const [, nonce, salt, count] = /^r=(.*),s=(.*),i=(\d+)$/.exec(server) ?? []
      const size = hash === "sha256" ? 32 : 64
      const salted = Crypto.pbkdf2Sync(password, Buffer.from(salt, "base64"), Number(count), size, hash)
      const hmac = (key: Uint8Array, text: string) => Crypto.createHmac(hash, key).update(text).digest()
      const withoutProof = `c=biws,r=${change(nonce)}`
      const proved = `${bare},${server},${withoutProof}`
      const clientKey = hmac(salted, "Client Key")
      const signature = hmac(Crypto.createHash(hash).update(clientKey).digest(), proved)
      const proof = clientKey.map((byte, index) => byte ^ signature[index])
      const expected = `v=${hmac(hmac(salted, "Server Key"), proved).toString("base64")}`
      return { message: bytesOf(`${withoutProof},p=${Buffer.from(proof).toString("base64")}`), expected }
    }
  }
}

const invalid = (mechanism: string) =>
  `Authentication failed during authentication due to invalid credentials with SASL mechanism ${mechanism}`

describe("SASL", () => {
  it.live("only ApiVersions and SaslHandshake are answered before, everything after", () =>
    Effect.gen(function* () {
      const early = yield* to({})
      early.send(RawClient.frame(Metadata, 9, { topics: [] }))
      assert.strictEqual(yield* next(early), "closed")
      const hasty = yield* to({})
      hasty.send(RawClient.frame(SaslAuthenticate, 1, { authBytes: bytesOf("\0alice\0alice-secret") }))
      assert.strictEqual(yield* next(hasty), "closed")
      const client = yield* to({})
      assert.strictEqual((yield* ask(client, ApiVersions, 0, {})).errorCode, 0)
      assert.strictEqual((yield* ask(client, SaslHandshake, 1, { mechanism: "PLAIN" })).errorCode, 0)
      const { authBytes, errorCode } = yield* token(client, bytesOf("\0alice\0alice-secret"))
      assert.deepStrictEqual([errorCode, authBytes.length], [0, 0])
      assert.strictEqual((yield* ask(client, Metadata, 9, { topics: null })).topics.length, 1)
      assert.strictEqual((yield* token(client, bytesOf("x"))).errorCode, codes.ILLEGAL_SASL_STATE)
    })
  )

  it.live("an unknown mechanism is refused with those that there are", () =>
    Effect.gen(function* () {
      const client = yield* to({ sasl: { users, mechanisms: ["SCRAM-SHA-512"] } })
      assert.deepInclude(yield* ask(client, SaslHandshake, 1, { mechanism: "PLAIN" }), {
        errorCode: codes.UNSUPPORTED_SASL_MECHANISM,
        mechanisms: ["SCRAM-SHA-512"]
      })
      assert.strictEqual(yield* next(client), "closed")
    })
  )

  it.live("PLAIN refuses in Kafka's words", () =>
    Effect.gen(function* () {
      for (const [sent, message] of [
        ["\0alice\0wrong", "Authentication failed: Invalid username or password"],
        ["\0nobody\0x", "Authentication failed: Invalid username or password"],
        ["\0alice\0", "Authentication failed: password not specified"],
        ["\0\0x", "Authentication failed: username not specified"],
        ["alice\0x", "Invalid SASL/PLAIN response: expected 3 tokens, got 2"],
        [
          "bob\0alice\0alice-secret",
          "Authentication failed: Client requested an authorization id that is different from username"
        ]
      ] as const) {
        const client = yield* to({})
        yield* ask(client, SaslHandshake, 1, { mechanism: "PLAIN" })
        assert.strictEqual(yield* refusal(client, bytesOf(sent)), message)
      }
    })
  )

  for (const hash of ["sha256", "sha512"] as const) {
    const mechanism = hash === "sha256" ? "SCRAM-SHA-256" : "SCRAM-SHA-512"
    it.live(`${mechanism} proves both sides, and refuses without a reason`, () =>
      Effect.gen(function* () {
        for (const [escaped, password] of [
          ["alice", "alice-secret"],
          ["b=2C=3Db", "größe"]
        ] as const) {
          const client = yield* to({})
          yield* ask(client, SaslHandshake, 1, { mechanism })
          const good = scram(hash, escaped, password)
          const { expected, message } = good.last(textOf((yield* token(client, good.first)).authBytes))
          assert.strictEqual(textOf((yield* token(client, message)).authBytes), expected)
          assert.strictEqual((yield* ask(client, Metadata, 9, { topics: [] })).brokers.length, 1)
        }
        const wrong = scram(hash, "alice", "wrong")
        const right = scram(hash, "alice", "alice-secret")
        for (const [exchange, change] of [
          [wrong, (nonce: string) => nonce],
          [right, (nonce: string) => `${nonce}x`]
        ] as const) {
          const client = yield* to({})
          yield* ask(client, SaslHandshake, 1, { mechanism })
          const { authBytes } = yield* token(client, exchange.first)
          assert.strictEqual(
            yield* refusal(client, exchange.last(textOf(authBytes), change).message),
            invalid(mechanism)
          )
        }
        const client = yield* to({})
        yield* ask(client, SaslHandshake, 1, { mechanism })
        assert.strictEqual(yield* refusal(client, scram(hash, "nobody", "x").first), invalid(mechanism))
      })
    )
  }

  it.live("after version 0 of SaslHandshake the tokens are bare, and a wrong one ends the connection", () =>
    Effect.gen(function* () {
      for (const actAs of ["0.10.2", "4.4"] as const) {
        const client = yield* to({ actAs })
        assert.strictEqual((yield* ask(client, SaslHandshake, 0, { mechanism: "PLAIN" })).errorCode, 0)
        client.send(bytesOf("\0alice\0alice-secret"))
        const answer = yield* next(client)
        assert.instanceOf(answer, Uint8Array)
        assert.strictEqual(answer.length, 0)
        assert.strictEqual((yield* ask(client, Metadata, 1, { topics: null })).topics.length, 1)
        const wrong = yield* to({ actAs })
        yield* ask(wrong, SaslHandshake, 0, { mechanism: "PLAIN" })
        wrong.send(bytesOf("\0alice\0wrong"))
        assert.strictEqual(yield* next(wrong), "closed")
      }
    })
  )

  it.live("where nobody is asked, SASL is out of place", () =>
    Effect.gen(function* () {
      const { bootstrapServers } = yield* TestBroker.make()
      const client = yield* connect(bootstrapServers[0])
      const { errorCode } = yield* ask(client, SaslHandshake, 1, { mechanism: "PLAIN" })
      assert.strictEqual(errorCode, codes.ILLEGAL_SASL_STATE)
    })
  )
})

/** An authority, and a certificate of it for the broker and one for a client, as PEM; with their files. */
const certificates = (directory: string) => {
  const openssl = (...command: ReadonlyArray<string>) =>
    execFileSync("openssl", [...command], { cwd: directory, stdio: "pipe" })
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
  openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority")
  const leaf = (name: string, extensions: string) => {
    FileSystem.writeFileSync(Path.join(directory, `${name}.ext`), extensions)
    openssl("req", ...key.slice(0, 5), "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`)
    const authority = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    openssl("x509", "-req", "-in", `${name}.csr`, ...authority, "-extfile", `${name}.ext`, "-out", `${name}.crt`)
  }
  leaf("server", "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth")
  leaf("client", "extendedKeyUsage=clientAuth")
  const path = (name: string) => Path.join(directory, name)
  return { path, read: (name: string) => FileSystem.readFileSync(path(name), "utf8") }
}

const hasKcat = Kcat.find() !== undefined

describe("TLS", () => {
  const files = Effect.acquireRelease(
    Effect.sync(() => FileSystem.mkdtempSync(Path.join(Os.tmpdir(), "kafka-effect-tls-"))),
    (directory) => Effect.sync(() => FileSystem.rmSync(directory, { recursive: true }))
  ).pipe(Effect.map(certificates))

  it.live("requests are encrypted; who speaks plainly, or has no certificate where one is wanted, is not let in", () =>
    Effect.gen(function* () {
      const { read } = yield* files
      const tls = { key: read("server.key"), cert: read("server.crt"), ca: read("ca.crt") }
      for (const requestCert of [false, true]) {
        const { bootstrapServers } = yield* TestBroker.make({ tls: { ...tls, requestCert } })
        const [address] = bootstrapServers
        const ca = read("ca.crt")
        for (const [options, isIn] of [
          [{ ca, key: read("client.key"), cert: read("client.crt") }, true],
          [{ ca }, !requestCert],
          [undefined, false]
        ] as const) {
          const client = RawClient.connect(address, options, 2000)
          client.send(RawClient.frame(ApiVersions, 0, {}))
          const answer = yield* next(client)
          client.end()
          assert.strictEqual(answer instanceof Uint8Array, isIn)
        }
      }
    })
  )

  const kcatIt = it.live.skipIf(!hasKcat)
  for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]) {
    kcatIt(`librdkafka writes and reads with TLS and ${mechanism}; with a wrong password it does not`, () =>
      Effect.gen(function* () {
        const { path, read } = yield* files
        const { bootstrapServers } = yield* TestBroker.make({
          brokers: 2,
          topics: { t: 2 },
          sasl: { users },
          tls: { key: read("server.key"), cert: read("server.crt") }
        })
        const options = (password: string) => [
          ...[
            "-b",
            bootstrapServers.join(","),
            "-X",
            "security.protocol=SASL_SSL",
            "-X",
            `ssl.ca.location=${path("ca.crt")}`
          ],
          ...["-X", `sasl.mechanisms=${mechanism}`, "-X", "sasl.username=alice", "-X", `sasl.password=${password}`]
        ]
        yield* Kcat.run([...options("alice-secret"), "-P", "-t", "t"], { stdin: "a\nb\n" })
        const { stdout } = yield* Kcat.run([...options("alice-secret"), "-C", "-t", "t", "-e", "-q"])
        assert.deepStrictEqual(String(stdout).trim().split("\n").sort(), ["a", "b"])
        const refused = yield* Effect.exit(Kcat.run([...options("wrong"), "-L", "-m", "2"]))
        assert.include(JSON.stringify(refused), "Authentication failed")
      })
    )
  }
})
