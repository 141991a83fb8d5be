import { HoldfastError, isHoldfastError, programVersion } from "../base/index.ts";
import type { Backend } from "../storage/index.ts";
import { checkRepository } from "./check/check-repository.ts";
import type { ReadHistory } from "./check/read-history.ts";
import { WorkerVerifier } from "./check/worker-verifier.ts";
import type { RepositoryConfig } from "./config-file.ts";
import { createContentReader } from "./content/create-content-reader.ts";
import type { MasterKey, Sealer } from "./crypto/envelope.ts";
import { addKey, listKeys, removeKey } from "./crypto/key-list.ts";
import { loadIndex } from "./index/load-index.ts";
import type { LockWork } from "./lock/lock-file.ts";
import { listLocks } from "./lock/lock-list.ts";
import { acquireLock } from "./lock/repository-lock.ts";
import { keepLock, underLock } from "./lock/under-lock.ts";
import { BlobLoader } from "./pack/blob-loader.ts";
import { pruneRepository } from "./prune/prune-repository.ts";
import type { PruneOptions, PruneReport } from "./prune/prune-types.ts";
import { joinSignals, SnapshotReader } from "./reader/repository-reader.ts";
import { repairRepository } from "./repair/repair-repository.ts";
import type { RepairOptions, RepairReport } from "./repair/repair-types.ts";
import type {
  CheckOptions,
  CheckReport,
  HexId,
  KeyInfo,
  LockInfo,
  Repository,
  RepositoryReader,
  RepositoryStats,
  RepositoryWriter,
  Snapshot,
  StatsOptions,
} from "./repository.ts";
import { loadSnapshots } from "./snapshot/snapshot-list.ts";
import { computeStats } from "./stats/compute-stats.ts";
import { TreeReader } from "./tree/tree-reader.ts";
import { UnpackedFiles } from "./unpacked-files.ts";
import { ReadBack } from "./writer/read-back.ts";
import { createWriter } from "./writer/create-writer.ts";
import { WorkerPool } from "./workers/worker-pool.ts";

export interface RepositoryParts {
  readonly backend: Backend;
  readonly key: MasterKey;
  /** Of the key file that `key` is from. */
  readonly keyId: HexId;
  readonly sealer: Sealer;
  readonly config: RepositoryConfig;
  readonly workers: number | undefined;
  readonly verifyWrites: boolean;
  /** What checks remember. */
  readonly history: ReadHistory;
}

/** A repository whose key is known. Every piece of work takes its own lock. */
export class OpenRepository implements Repository {
  readonly id: HexId;
  readonly location: string;
  readonly #parts: RepositoryParts;
  readonly #files: UnpackedFiles;
  readonly #pool: WorkerPool;

  constructor(parts: RepositoryParts) {
    this.#parts = parts;
    this.id = parts.config.id;
    this.location = parts.backend.location;
    this.#files = new UnpackedFiles(parts.backend, parts.sealer);
    this.#pool = new WorkerPool(parts.workers === undefined ? {} : { threads: parts.workers });
  }

  snapshots(): Promise<readonly Snapshot[]> {
    return loadSnapshots(this.#files);
  }

  async writer(options: { readonly signal?: AbortSignal } = {}): Promise<RepositoryWriter> {
    this.#pool.start();
    const lock = await acquireLock(this.#files, { exclusive: false, signal: options.signal });
    return keepLock(lock, async () => {
      const signal = joinSignals(lock.signal, options.signal);
      return createWriter({
        files: this.#files,
        key: this.#parts.key,
        pool: this.#pool,
        index: await loadIndex(this.#files, signal),
        programVersion: `holdfast ${programVersion()}`,
        signal,
        readBack: this.#parts.verifyWrites
          ? new ReadBack(this.#parts.backend, new WorkerVerifier(this.#pool, this.#parts.key, signal))
          : undefined,
        confirm: () => lock.confirm(),
        release: () => lock.release(),
      });
    });
  }

  async reader(options: { readonly signal?: AbortSignal } = {}): Promise<RepositoryReader> {
    const lock = await acquireLock(this.#files, { exclusive: false, signal: options.signal });
    return keepLock(lock, async () => {
      const { backend, key, sealer } = this.#parts;
      const index = await loadIndex(this.#files, joinSignals(lock.signal, options.signal));
      const contents = await createContentReader({ backend, key, pool: this.#pool, index });
      const trees = new TreeReader(new BlobLoader(backend, sealer, index));
      return new SnapshotReader({ lock, trees, contents, signal: options.signal });
    });
  }

  async forget(id: HexId): Promise<void> {
    const handle = { type: "snapshot", name: id } as const;
    try {
      await this.#parts.backend.stat(handle);
    } catch (error) {
      if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return;
      throw error;
    }
    // Not alone: whoever reads or writes meanwhile needs its blobs, not its file, and a prune spares them.
    await this.#underLock(false, () => this.#parts.backend.remove(handle));
  }

  async check(options: CheckOptions = {}): Promise<CheckReport> {
    const check = async (lost: AbortSignal): Promise<CheckReport> => {
      const signal = joinSignals(lost, options.signal);
      await using verifier = new WorkerVerifier(this.#pool, this.#parts.key, signal);
      return await checkRepository(this.#files, this.#parts.sealer, verifier, this.#parts.history, {
        ...options,
        signal,
      });
    };
    return await this.#underLock(false, check, options.signal, "check");
  }

  async stats(options: StatsOptions = {}): Promise<RepositoryStats> {
    const compute = (lost: AbortSignal): Promise<RepositoryStats> => {
      const signal = joinSignals(lost, options.signal);
      return computeStats(this.#files, this.#parts.sealer, { ...options, signal });
    };
    return await this.#underLock(false, compute, options.signal, "check");
  }

  async keys(): Promise<readonly KeyInfo[]> {
    const keys = await listKeys(this.#parts.backend);
    return keys.map(({ id, description }) => ({
      id,
      createdAt: description?.createdAt,
      username: description?.username,
      hostname: description?.hostname,
      inUse: id === this.#parts.keyId,
    }));
  }

  async addKey(password: string): Promise<HexId> {
    return await this.#underLock(false, () => addKey(this.#parts.backend, this.#parts.key, password));
  }

  async removeKey(id: HexId, options: { readonly evenInUse?: boolean } = {}): Promise<void> {
    if (id === this.#parts.keyId && options.evenInUse !== true) {
      throw new HoldfastError("INPUT_INVALID", `The key ${id.slice(0, 8)} is the one that opened the repository.`, {
        facts: { key: id },
        remedy: "Open the repository with another password to remove it.",
      });
    }
    await this.#underLock(true, () => removeKey(this.#parts.backend, id));
  }

  prune(options?: PruneOptions): Promise<PruneReport> {
    return pruneRepository({ files: this.#files, sealer: this.#parts.sealer }, options);
  }

  async repair(options: RepairOptions = {}): Promise<RepairReport> {
    const signal = options.signal ?? new AbortController().signal;
    await using verifier = new WorkerVerifier(this.#pool, this.#parts.key, signal);
    return await repairRepository({ files: this.#files, sealer: this.#parts.sealer, verifier }, options);
  }

  locks(): Promise<readonly LockInfo[]> {
    return listLocks(this.#files);
  }

  async unlock(options: { readonly all?: boolean } = {}): Promise<number> {
    let ids: readonly HexId[];
    if (options.all === true) ids = await this.#files.ids("lock");
    else ids = (await listLocks(this.#files)).filter((lock) => lock.stale).map((lock) => lock.id);
    for (const id of ids) await this.#parts.backend.remove({ type: "lock", name: id });
    return ids.length;
  }

  async close(): Promise<void> {
    try {
      await this.#pool.close();
    } finally {
      await this.#parts.backend.close();
    }
  }

  #underLock<T>(
    exclusive: boolean,
    work: (lost: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
    lockWork: LockWork = "use",
  ): Promise<T> {
    return underLock(this.#files, { exclusive, signal, work: lockWork }, (lock) => work(lock.signal));
  }
}
