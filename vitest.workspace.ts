import { defineConfig } from "vitest/config"

/**
 * Two projects: `unit` (unit, property and in-process tests: run anywhere) and `brokers` (against real Apache Kafka).
 * vitest does not read this file by itself: the scripts pass it with `--config`.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts"],
          exclude: ["packages/*/test/**/*.brokers.test.ts"],
          testTimeout: 30_000
        }
      },
      {
        test: {
          name: "brokers",
          include: ["packages/*/test/**/*.brokers.test.ts"],
          globalSetup: ["packages/rig/src/vitest.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 240_000
        }
      }
    ]
  }
})
