#!/usr/bin/env node
import { enableCompileCache } from "node:module"

// Before anything else is loaded: it saves a quarter of the time to start.
enableCompileCache()
const { run } = await import("./Main.ts")
run(process.argv.slice(2))
