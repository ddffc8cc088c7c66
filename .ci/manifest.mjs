/**
 * `npm pack` and `npm publish` do not apply `publishConfig` to `exports` and `bin`. Before a package is packed this
 * moves what `publishConfig` says into the manifest (`node manifest.mjs publish`), and afterwards puts the manifest of
 * the sources back (`node manifest.mjs restore`). The working directory is the package.
 */
import * as fs from "node:fs"

const kept = "package.json.source"

if (process.argv[2] === "publish") {
  // A manifest that an interrupted run left behind is the true one.
  if (!fs.existsSync(kept)) fs.copyFileSync("package.json", kept)
  const { publishConfig, scripts, ...manifest } = JSON.parse(fs.readFileSync(kept, "utf8"))
  const { access, ...published } = publishConfig
  const result = { ...manifest, ...published, publishConfig: { access } }
  fs.writeFileSync("package.json", `${JSON.stringify(result, null, 2)}\n`)
} else if (fs.existsSync(kept)) {
  fs.renameSync(kept, "package.json")
}
