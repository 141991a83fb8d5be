import { type Entry, generatedDirectory, generatedFile } from "../../../component/index.ts";
import type { Backend } from "../../../storage/index.ts";
import { openRepository } from "../../open.ts";
import type { Snapshot } from "../../repository.ts";
import { noise } from "../../writer/conformance/bare-repository.ts";

/** Of the repositories that `backUp` stores into. */
export const password = "p";
const at = new Date("2026-01-01T00:00:00Z");

async function* entries(own: string, seed: number): AsyncGenerator<Entry> {
  yield generatedDirectory("", at);
  yield generatedFile("about", at, () => once(Buffer.from(`about ${own}`)));
  yield generatedDirectory("own", at);
  yield generatedFile(`own/${own}`, at, () => once(noise(30_000, seed)));
  yield generatedDirectory("shared", at);
  for (const [number, name] of ["a", "b", "c", "d"].entries()) {
    yield generatedFile(`shared/${name}`, at, () => once(noise(20_000, 10 + number)));
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Stores a backup that shares `shared/a` to `shared/d` with all others, and has a description and `own/OWN` of its own. */
export async function backUp(target: Backend, own: string, seed: number): Promise<Snapshot> {
  const repository = await openRepository(target, { password, workers: 1 });
  const writer = await repository.writer();
  const { id: tree } = await writer.storeTree(entries(own, seed));
  const tags = [`backup:${own}`];
  const snapshot = await writer.saveSnapshot({ time: at, tree, paths: ["/"], hostname: "h", tags });
  await writer.close();
  await repository.close();
  return snapshot;
}
