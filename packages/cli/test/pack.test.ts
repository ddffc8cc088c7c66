/**
 * What is published works: each package is packed as npm would publish it, installed in an empty folder, and used there by
 * a plain TypeScript program that is compiled and run.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"

const root = path.join(import.meta.dirname, "..", "..", "..")
const packages = ["protocol", "client", "testing", "cli"]

const run = (command: string, args: ReadonlyArray<string>, cwd: string): string =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })

const program = `
import * as Metadata from "@kafka-effect/protocol/messages/Metadata"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { Records, RecordBatchBuilder } from "@kafka-effect/protocol"
import { Effect, Schema } from "effect"
import { Consumer, Kafka, Producer, Serde } from "kafka-effect"

const Order = Schema.Struct({ id: Schema.String, amount: Schema.Number })
const Orders = Kafka.topic("orders", { key: Serde.string, value: Serde.json(Order) })

const bytes: Uint8Array = WireCodec.encode(Metadata.MetadataRequest, 9, { topics: [{ name: Orders.name }] })
const request: Metadata.MetadataRequest = WireCodec.decode(Metadata.MetadataRequest, 9, bytes)

const builder = new RecordBatchBuilder.RecordBatchBuilder()
builder.append(0, null, new Uint8Array([1]))
const batches = Records.split(builder.build() as Uint8Array).batches

const pipeline = Effect.gen(function*() {
  const producer = yield* Producer.Producer
  const metadata = yield* producer.send(Orders, { key: "1", value: { id: "1", amount: 2 } })
  return metadata.partition
})
const amounts = Consumer.assign({ partitions: [[Orders, 0, "earliest"]], until: "end" })

const error = await pipeline.pipe(
  Effect.provide(Producer.layer()),
  Effect.provide(Kafka.layer({ bootstrapServers: ["127.0.0.1:1"] })),
  Effect.flip,
  Effect.runPromise
)
console.log(request.topics?.[0]?.name, batches.length, typeof amounts, error._tag)
`

const tsconfig = {
  compilerOptions: {
    target: "ES2023",
    module: "NodeNext",
    moduleResolution: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    types: ["node"],
    outDir: "out"
  },
  include: ["program.ts"]
}

describe("npm pack", () => {
  it("each package, installed in an empty folder, works in a plain TypeScript program", { timeout: 240_000 }, () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kafka-effect-pack-"))
    try {
      const tarballs = packages.map((name) => {
        const output = run("npm", ["pack", "--silent", "--pack-destination", folder], path.join(root, "packages", name))
        return path.join(folder, output.trim().split("\n").at(-1)!)
      })
      for (const tarball of tarballs) {
        const files = run("tar", ["-tzf", tarball], folder)
        for (const wanted of ["package/dist/index.js", "package/dist/index.d.ts", "package/dist/index.js.map"]) {
          assert.include(files, wanted, tarball)
        }
        assert.include(files, "package/README.md")
        assert.include(files, "package/LICENSE")
      }
      fs.writeFileSync(
        path.join(folder, "package.json"),
        JSON.stringify({ name: "user", private: true, type: "module" })
      )
      const { devDependencies } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
      const others = ["effect", "@effect/platform-node", "typescript", "@types/node"]
      const versions = others.map((name) => `${name}@${devDependencies[name]}`)
      run(
        "npm",
        ["install", "--silent", "--prefer-offline", "--no-audit", "--no-fund", ...tarballs, ...versions],
        folder
      )
      fs.writeFileSync(path.join(folder, "program.ts"), program)
      fs.writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(tsconfig))
      run(process.execPath, [path.join(folder, "node_modules/typescript/bin/tsc"), "-p", "."], folder)
      assert.strictEqual(run(process.execPath, ["out/program.js"], folder).trim(), "orders 1 object KafkaError")
      const help = run(path.join(folder, "node_modules/.bin/kafka-effect"), ["--help"], folder)
      assert.include(help, "produce")
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
      for (const name of packages)
        assert.isFalse(fs.existsSync(path.join(root, "packages", name, "package.json.source")))
    }
  })
})
