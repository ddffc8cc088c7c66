import { defineConfig } from "vitest/config"

/** What needs real brokers runs one file after the other, with the rig's set-up in front. */
const real = {
  globalSetup: ["packages/rig/src/vitest.ts"],
  fileParallelism: false,
  testTimeout: 120_000,
  hookTimeout: 240_000
}

/**
 * Three projects: `unit` (unit, property and in-process tests: run anywhere), `brokers` (against one current Kafka) and
 * `matrix` (against brokers of every generation, which `npm test` leaves out). vitest does not read this file by itself:
 * the scripts pass it with `--config`.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts"],
          exclude: ["packages/*/test/**/*.{brokers,matrix}.test.ts"],
          testTimeout: 30_000
        }
      },
      {
        test: {
          name: "brokers",
          include: ["packages/*/test/**/*.brokers.test.ts"],
          ...real
        }
      },
      {
        test: {
          name: "matrix",
          include: ["packages/*/test/**/*.matrix.test.ts"],
          ...real
        }
      }
    ]
  }
})
