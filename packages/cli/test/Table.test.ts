import { assert, describe, it } from "@effect/vitest"
import * as Table from "../src/Table.ts"

describe("Table", () => {
  it("lines columns up, numbers to the right, without blanks at the end", () =>
    assert.strictEqual(
      Table.format(
        ["name", "count", "x"],
        [
          ["a", "12345", "-"],
          ["longer", "7", ""]
        ],
        [1]
      ),
      "name    count  x\na       12345  -\nlonger      7\n"
    ))

  it("a cell says - for what is not known", () =>
    assert.deepStrictEqual([undefined, null, "", 0, 0n, "x"].map(Table.cell), ["-", "-", "-", "0", "0", "x"]))
})
