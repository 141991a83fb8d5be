import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HoldfastError, type SourceId } from "../../base/index.ts";
import {
  type Entry,
  type FreezePoint,
  generatedDirectory,
  generatedFile,
  type Restorable,
  type Source,
  type SourceContext,
  type SourceDescription,
  type StageReport,
  type SwapReport,
  type Target,
  type TargetContext,
} from "../../component/index.ts";
import type { Component } from "../environment.ts";

export type Verb =
  "prepare" | "freeze" | "read" | "dispose" | "recover" | "stage" | "swap" | "swapBack" | "revert" | "settle";

/** Called before and after a verb acts; a test throws or kills there. */
export type AtVerb = (source: SourceId, verb: Verb, when: "before" | "after") => void | Promise<void>;

/** The smallest real component: one file whose text is the data. For the engine's tests; it passes the conformance suite. */
export class FileComponent implements Component {
  readonly id: SourceId;
  readonly kind = "file";
  readonly path: string;
  readonly file: string;
  readonly #at: AtVerb;

  constructor(folder: string, name: string, at: AtVerb = () => undefined) {
    this.id = `service:${name}` as SourceId;
    this.path = `services/${name}`;
    this.file = join(folder, name);
    this.#at = at;
  }

  get data(): string | undefined {
    return existsSync(this.file) ? readFileSync(this.file, "utf8") : undefined;
  }

  set data(text: string) {
    writeFileSync(this.file, text);
  }

  source(): Source {
    return new FileSource(this.id, this.file, this.#at);
  }

  target(): Target {
    return new FileTarget(this.id, this.file, this.#at);
  }
}

class FileSource implements Source {
  readonly id: SourceId;
  readonly #file: string;
  readonly #at: AtVerb;
  #frozen: { readonly at: Date; readonly data: Buffer } | undefined;

  constructor(id: SourceId, file: string, at: AtVerb) {
    this.id = id;
    this.#file = file;
    this.#at = at;
  }

  async prepare(_context: SourceContext): Promise<void> {
    await this.#at(this.id, "prepare", "before");
    await this.#at(this.id, "prepare", "after");
  }

  async freeze(): Promise<FreezePoint> {
    await this.#at(this.id, "freeze", "before");
    this.#frozen = { at: new Date(), data: readFileSync(this.#file) };
    await this.#at(this.id, "freeze", "after");
    return { at: this.#frozen.at, durationMs: 0, facts: {} };
  }

  async *read(): AsyncIterable<Entry> {
    await this.#at(this.id, "read", "before");
    const frozen = this.#frozen;
    if (frozen === undefined) throw new TypeError("read before freeze");
    yield generatedDirectory("", frozen.at);
    yield generatedFile("data", frozen.at, () => once(frozen.data));
    await this.#at(this.id, "read", "after");
  }

  describe(): SourceDescription {
    return { kind: "file", counts: { bytes: this.#frozen?.data.length ?? 0 }, fingerprints: {}, facts: {} };
  }

  async dispose(): Promise<void> {
    await this.#at(this.id, "dispose", "before");
    this.#frozen = undefined;
  }

  async recover(): Promise<void> {
    await this.#at(this.id, "recover", "before");
  }
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

class FileTarget implements Target {
  readonly id: SourceId;
  readonly #file: string;
  readonly #at: AtVerb;

  constructor(id: SourceId, file: string, at: AtVerb) {
    this.id = id;
    this.#file = file;
    this.#at = at;
  }

  #names(context: TargetContext): Record<"live" | "staged" | "old" | "none", string> {
    return {
      live: this.#file,
      staged: `${this.#file}.${context.operationId}.new`,
      old: `${this.#file}.${context.operationId}.old`,
      /** Written before the swap where there is no live file, so that a revert knows to remove the new one. */
      none: join(context.workDirectory, "no-live-file"),
    };
  }

  async stage(context: TargetContext, backup: Restorable): Promise<StageReport> {
    await this.#at(this.id, "stage", "before");
    const chunks: Uint8Array[] = [];
    for await (const { content } of backup.entries) {
      if (content === undefined) continue;
      for await (const chunk of context.contents.read(content, context.signal)) chunks.push(chunk);
    }
    const data = Buffer.concat(chunks);
    writeFileSync(this.#names(context).staged, data);
    await this.#at(this.id, "stage", "after");
    return { files: 1, bytes: data.length, reusedBytes: 0 };
  }

  async swap(context: TargetContext): Promise<SwapReport> {
    await this.#at(this.id, "swap", "before");
    const { live, staged, old, none } = this.#names(context);
    if (existsSync(staged)) {
      if (existsSync(live)) renameSync(live, old);
      else if (!existsSync(old)) writeFileSync(none, "");
      renameSync(staged, live);
    } else if (!existsSync(old) && !existsSync(none)) {
      throw new HoldfastError("SERVICE_SWAP_FAILED", `${staged} is not there.`);
    }
    await this.#at(this.id, "swap", "after");
    return { durationMs: 0, facts: { method: "rename twice" } };
  }

  async swapBack(context: TargetContext): Promise<void> {
    await this.#at(this.id, "swapBack", "before");
    this.#exchangeBack(context);
    await this.#at(this.id, "swapBack", "after");
  }

  #exchangeBack(context: TargetContext): void {
    const { live, staged, old, none } = this.#names(context);
    const swapped = (existsSync(old) || existsSync(none)) && !existsSync(staged);
    if (swapped && existsSync(live)) renameSync(live, staged);
    if (existsSync(old)) renameSync(old, live);
  }

  async revert(context: TargetContext): Promise<void> {
    await this.#at(this.id, "revert", "before");
    this.#exchangeBack(context);
    const { staged, none } = this.#names(context);
    rmSync(none, { force: true });
    rmSync(staged, { force: true });
    await this.#at(this.id, "revert", "after");
  }

  async settle(context: TargetContext): Promise<void> {
    await this.#at(this.id, "settle", "before");
    rmSync(this.#names(context).old, { force: true });
    await this.#at(this.id, "settle", "after");
  }
}
