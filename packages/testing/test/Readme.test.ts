import * as fs from "node:fs"
import * as path from "node:path"
import { assert, it } from "@effect/vitest"
import { handlers } from "../src/internal/Handlers.ts"

const read = (name: string): string => fs.readFileSync(path.join(import.meta.dirname, name), "utf8")

it("the README's example is a test that runs", () => {
  assert.include(read("../README.md"), `\`\`\`ts\n${read("Application.test.ts")}\`\`\``)
})

it("the README names every API that the broker answers, and no other", () => {
  const [, table] = /^## What it does\n(.*?)^## /ms.exec(read("../README.md"))!
  const named = [...table.matchAll(/`([A-Z][A-Za-z]+)`/g)].map((match) => match[1])
  assert.sameMembers(
    named,
    [...handlers.values()].map(({ api }) => api.name)
  )
})
