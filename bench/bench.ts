// `node bench/bench.ts NAME [arguments]` runs bench/NAME.ts. Each prints one JSON object on standard output.
import { readdir } from "node:fs/promises";

const names = (await readdir(import.meta.dirname))
  .filter((file) => file.endsWith(".ts") && file !== "bench.ts")
  .map((file) => file.slice(0, -".ts".length))
  .toSorted();
const [name = ""] = process.argv.slice(2);
if (names.includes(name)) {
  process.argv.splice(2, 1);
  await import(`./${name}.ts`);
} else {
  process.stderr.write(`Usage: node bench/bench.ts NAME\nBenchmarks: ${names.join(", ")}\n`);
  process.exitCode = 1;
}
