import { AbortWatch, HoldfastError } from "../base/index.ts";
import type { Entry, EntryContent, EntryMetadata } from "../component/index.ts";
import type { FrozenCopies } from "./frozen-copies.ts";
import { TreeFingerprint } from "./tree-fingerprint.ts";
import { fileIdentity, type TreeRecord } from "./tree-record.ts";
import type { TreeState } from "./tree-state.ts";

/** So many unreadable entries are named one by one. */
const namedWarnings = 100;

export interface TreeSummary {
  readonly counts: Readonly<Record<string, number>>;
  readonly fingerprints: Readonly<Record<string, string>>;
  /** What the files take on their disk. */
  readonly diskBytes: number;
}

/** Yields a frozen tree. */
export class TreeReading {
  readonly #state: TreeState;
  readonly #copies: FrozenCopies;
  readonly #linked: ReadonlyMap<string, TreeRecord>;
  #files = 0;
  #directories = 0;
  #others = 0;
  #bytes = 0;
  #diskBytes = 0;
  #fingerprint = "";

  constructor(state: TreeState, copies: FrozenCopies) {
    this.#state = state;
    this.#copies = copies;
    this.#linked = new Map(
      [...state.overlay.records()]
        .filter(({ metadata }) => metadata.type === "file" && metadata.links > 1)
        .map((record) => [fileIdentity(record.metadata), record]),
    );
  }

  async *entries(signal: AbortSignal): AsyncGenerator<Entry> {
    this.#reset();
    const fingerprint = new TreeFingerprint();
    using abort = new AbortWatch(signal);
    let unreadable = 0;
    const countedAndNamed = (path: string, code: string): void => {
      unreadable += 1;
      if (unreadable <= namedWarnings) this.#warnUnreadable(path, code);
    };
    for await (const stored of this.#state.records("based")) {
      abort.check();
      const record = this.#withLinks(stored);
      fingerprint.add(record);
      if (record.unreadable !== undefined) {
        countedAndNamed(record.path.toString(), record.unreadable);
        continue;
      }
      this.#count(record);
      yield this.#entry(record);
    }
    for (const { path, code } of this.#state.unreadable.values()) countedAndNamed(path.toString(), code);
    if (unreadable > namedWarnings) {
      this.#state.context.warn({
        kind: "file-unreadable",
        message: `${unreadable - namedWarnings} more entries of ${this.#state.root.toString()} could not be read and are not in the backup.`,
        facts: { entries: unreadable - namedWarnings },
      });
    }
    this.#fingerprint = fingerprint.finish();
  }

  /** A name whose record is older than that of another name of the same file. */
  #withLinks(record: TreeRecord): TreeRecord {
    if (this.#linked.size === 0 || record.metadata.type !== "file") return record;
    const newer = this.#linked.get(fileIdentity(record.metadata));
    if (newer === undefined || newer.metadata.ctimeNs <= record.metadata.ctimeNs) return record;
    return { ...newer, path: record.path };
  }

  #entry(record: TreeRecord): Entry {
    const { path, base } = record;
    const metadata = this.#metadata(record);
    if (metadata.type !== "file") return { path, metadata, ...(base === undefined ? {} : { base }) };
    return { path, metadata, content: this.#content(record) };
  }

  #metadata({ metadata, racy }: TreeRecord): EntryMetadata {
    const { owners } = this.#state;
    const user = owners.user(metadata.uid);
    const group = owners.group(metadata.gid);
    return {
      ...metadata,
      ...(user === undefined ? {} : { user }),
      ...(group === undefined ? {} : { group }),
      // A backup that finds this change time again takes the file for unchanged: one that hides later writes must differ.
      ...(racy === true ? { ctimeNs: metadata.ctimeNs - 1n } : {}),
    };
  }

  #content(record: TreeRecord): EntryContent {
    if (record.copy !== undefined) return { kind: "file", path: Buffer.from(this.#copies.path(record.copy)) };
    if (record.content !== undefined) return { kind: "stored", content: record.content };
    throw new HoldfastError("INTERNAL", `The bytes of ${record.path.toString()} were neither stored nor copied.`, {
      facts: { path: record.path.toString() },
    });
  }

  #reset(): void {
    this.#files = 0;
    this.#directories = 0;
    this.#others = 0;
    this.#bytes = 0;
    this.#diskBytes = 0;
  }

  #count({ metadata, sizeBytes, diskBytes, base }: TreeRecord): void {
    if (metadata.type === "file") this.#files += 1;
    else if (metadata.type === "dir") this.#directories += 1;
    else this.#others += 1;
    this.#files += base?.files ?? 0;
    this.#others += base?.others ?? 0;
    this.#bytes += sizeBytes + (base?.bytes ?? 0);
    this.#diskBytes += diskBytes + (base?.diskBytes ?? 0);
  }

  #warnUnreadable(path: string, code: string): void {
    this.#state.context.warn({
      kind: "file-unreadable",
      message: `${path === "" ? "The folder itself" : path} could not be read (${code}) and is not in the backup.`,
      facts: { path, error: code },
    });
  }

  /** Of what `entries` yielded, once it has come to its end. */
  summary(): TreeSummary {
    return {
      counts: { files: this.#files, directories: this.#directories, others: this.#others, bytes: this.#bytes },
      fingerprints: { tree: this.#fingerprint },
      diskBytes: this.#diskBytes,
    };
  }
}
