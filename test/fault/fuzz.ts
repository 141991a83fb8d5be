// Feeds damaged documents to every decoder: node test/fault/fuzz.ts [--seed N] [--runs M]
// Prints a line of JSON for each decoder. Exit code 1 if one does not take what it should.
import { parseArgs } from "node:util";
import { decoders } from "./fuzz/decoders.ts";
import { fuzzDecoder } from "./fuzz/fuzz-decoder.ts";

const { values } = parseArgs({
  options: { seed: { type: "string", default: "1" }, runs: { type: "string", default: "50000" } },
});
for (const decoder of decoders) {
  const runs = Number(values.runs);
  const problem = await fuzzDecoder(decoder, Number(values.seed), runs);
  process.stdout.write(`${JSON.stringify({ decoder: decoder.name, runs, problem })}\n`);
  if (problem !== undefined) process.exitCode = 1;
}
