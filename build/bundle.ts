// Makes the program that is shipped: node build/bundle.ts [--out dist/program]
// A few large files instead of hundreds of modules, since a process that loads them starts in half the time. The packages
// with native parts stay packages, and pg, which few need. Everything lies in one folder, two below package.json, as import.meta.url expects.
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { rolldown } from "rolldown";

const root = path.join(import.meta.dirname, "..");
const { values } = parseArgs({ options: { out: { type: "string", default: path.join(root, "dist/program") } } });

/** The program, and the programs of its threads: each is looked for beside the file that starts it. */
const entries = {
  holdfast: "src/main/holdfast.ts",
  "worker-main": "src/repository/workers/worker-main.ts",
  "sqlite-inspection-worker": "src/services/sqlite/sqlite-inspection-worker.ts",
};

rmSync(values.out, { recursive: true, force: true });
mkdirSync(values.out, { recursive: true });
const bundle = await rolldown({
  cwd: root,
  input: entries,
  platform: "node",
  external: ["koffi", "pg", "sodium-native"],
  // Whatever it warns of is a mistake: a missing export, a module that is not there.
  onLog: (_level, log) => {
    throw new Error(log.message);
  },
});
await bundle.write({ dir: values.out, format: "esm", sourcemap: true });
await bundle.close();
copyFileSync(path.join(root, "src/repository/chunker/gear-chunker.wasm"), path.join(values.out, "gear-chunker.wasm"));
