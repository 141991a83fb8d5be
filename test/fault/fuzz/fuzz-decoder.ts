import * as fc from "fast-check";
import { HoldfastError } from "../../../src/base/index.ts";
import type { Decoder } from "./decoders.ts";
import { mutatedBytes, mutatedJson } from "./mutations.ts";

/** More than any decoder needs for some hundred bytes; an endless loop is found by the test's own time limit. */
const longestMs = 2000;

/**
 * Changes the decoder's valid documents, byte by byte and, for JSON, value by value, and has it read them. The returned
 * text tells the smallest document that it does not take as it should; undefined if there is none. Bounded: 2 s each.
 */
export async function fuzzDecoder(decoder: Decoder, seed: number, runs: number): Promise<string | undefined> {
  const documents = fc.oneof(
    ...decoder.valid.map(mutatedBytes),
    ...(decoder.json ? decoder.valid.map((bytes) => mutatedJson(bytes.toString())) : []),
  );
  const property = fc.asyncProperty(documents, async (bytes) => {
    const begun = performance.now();
    try {
      await decoder.decode(bytes);
    } catch (error) {
      if (!(error instanceof HoldfastError) && decoder.mayThrow?.(error) !== true) throw error;
    }
    if (performance.now() - begun > longestMs) throw new Error(`took more than ${longestMs} ms`);
  });
  const outcome = await fc.check(property, { seed, numRuns: runs });
  if (!outcome.failed) return undefined;
  const bytes = outcome.counterexample?.[0] ?? Buffer.alloc(0);
  return `${decoder.name}, seed ${seed}: ${String(outcome.errorInstance)} for ${JSON.stringify(bytes.toString("latin1"))}`;
}
