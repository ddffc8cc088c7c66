import { assert, describe, it } from "@effect/vitest"
import * as Progress from "../src/Progress.ts"

describe("Progress", () => {
  it("says records, bytes, and both per second: of the whole time, or of late", () => {
    const all = { records: 1_234_567, bytes: 123_456_789, milliseconds: 2_000 }
    const totals = "1,234,567 records sent, 123.5 MB in 2.0 s"
    assert.strictEqual(Progress.line("sent", all), `${totals}: 617,284 records/s, 61.7 MB/s`)
    assert.strictEqual(
      Progress.line("sent", all, { records: 1000, bytes: 5000, milliseconds: 500 }),
      `${totals}: now 2,000 records/s, 10.0 kB/s`
    )
    assert.strictEqual(
      Progress.line("read", all, { records: 1000, bytes: 5000, milliseconds: 500 }, 12_345n),
      `${totals.replace("sent", "read")}: now 2,000 records/s, 10.0 kB/s, lag 12,345`
    )
    assert.strictEqual(
      Progress.line("read", { records: 0, bytes: 0, milliseconds: 0 }),
      "0 records read, 0 B in 0.0 s: 0 records/s, 0 B/s"
    )
  })
})
