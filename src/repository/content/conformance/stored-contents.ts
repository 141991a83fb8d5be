import type { StoredContent } from "../../../component/index.ts";
import {
  BareRepository,
  directoryEntry,
  noise,
  snapshotOf,
  storedEntry,
  streamOf,
} from "../../writer/conformance/bare-repository.ts";

/** Stores each as a stream and makes all of it durable. */
export async function storeContents(repository: BareRepository, contents: readonly Buffer[]): Promise<StoredContent[]> {
  const writer = await repository.writer({ packBytes: 2 << 20 });
  const stored: StoredContent[] = [];
  for (const bytes of contents) stored.push(await writer.storeStream(streamOf([bytes])));
  const entries = stored.map((content, at) => storedEntry(`f${10_000 + at}`, content));
  const tree = await writer.storeTree(streamOf([directoryEntry(""), ...entries]));
  await writer.saveSnapshot(snapshotOf(tree.id));
  await writer.close();
  return stored;
}

/** A file with every kind of piece: noise, zeros, text, noise that comes twice. */
export function mixedContent(seed: number): Buffer {
  const twice = noise(3 << 20, seed + 1);
  return Buffer.concat([
    noise(700_001, seed),
    Buffer.alloc(1_500_000),
    Buffer.from("text ".repeat(90_000)),
    twice,
    twice,
  ]);
}
