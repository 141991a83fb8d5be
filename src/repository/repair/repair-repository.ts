import { throwIfAborted } from "../../base/index.ts";
import type { PackVerifier } from "../check/check-data.ts";
import type { Sealer } from "../crypto/envelope.ts";
import { inParallel } from "../in-parallel.ts";
import type { RepositoryLock } from "../lock/repository-lock.ts";
import { underLock } from "../lock/under-lock.ts";
import { BlobLoader } from "../pack/blob-loader.ts";
import { packFingerprint } from "../pack/pack-fingerprint.ts";
import type { PackBlob } from "../pack/pack-format.ts";
import { joinSignals } from "../reader/repository-reader.ts";
import type { HexId, Snapshot } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { applyIndexPlan, isIndexSound } from "./apply-index-plan.ts";
import { blobsOf, PackExaminer } from "./examine-pack.ts";
import { LostData } from "./lost-data.ts";
import { type ExaminedPack, type IndexPlan, type IndexSurvey, packsToExamine, planIndex } from "./plan-index.ts";
import { readableIndex, type ReadableIndex } from "./readable-index.ts";
import { readSnapshots, replaceSnapshots } from "./repair-snapshots.ts";
import type { DamagedSnapshot, RepairOptions, RepairReport } from "./repair-types.ts";
import { eachPackOf, surveyIndex } from "./survey-index.ts";

export interface RepairParts {
  readonly files: UnpackedFiles;
  readonly sealer: Sealer;
  /** Verifies packs where all are to be read. */
  readonly verifier: PackVerifier;
}

const examinedAtOnce = 4;
/** Larger packs are read in pieces, on this thread. */
const maxVerifiedBytes = 256 << 20;

/**
 * Makes the index name exactly what can be read, then says what snapshots lost. Has the repository alone, by an exclusive lock. Removes no pack; interrupted anywhere it loses nothing, and the next call goes on.
 * @throws HoldfastError REPOSITORY_LOCKED, STORAGE_*, INTERRUPTED
 */
export async function repairRepository(parts: RepairParts, options: RepairOptions = {}): Promise<RepairReport> {
  return underLock(parts.files, { exclusive: true, signal: options.signal }, (lock) =>
    new Repair(parts, options, lock).run(),
  );
}

interface Planned {
  readonly plan: IndexPlan;
  readonly readable: ReadableIndex;
  readonly loader: BlobLoader;
  readonly lost: LostData;
  readonly damaged: readonly DamagedSnapshot[];
}

class Repair {
  readonly #parts: RepairParts;
  readonly #options: RepairOptions;
  readonly #lock: RepositoryLock;
  readonly #signal: AbortSignal;
  readonly #examiner: PackExaminer;
  readonly #examined = new Map<HexId, ExaminedPack>();
  readonly #readWhole = new Set<HexId>();
  #trees = 0;

  constructor(parts: RepairParts, options: RepairOptions, lock: RepositoryLock) {
    this.#parts = parts;
    this.#options = options;
    this.#lock = lock;
    this.#signal = joinSignals(lock.signal, options.signal);
    const { files, sealer } = parts;
    this.#examiner = new PackExaminer({ backend: files.backend, sealer, signal: this.#signal });
  }

  async run(): Promise<RepairReport> {
    const { files, sealer } = this.#parts;
    const { dryRun = false, forget = false } = this.#options;
    const survey = { ...(await surveyIndex(files, this.#signal)), examined: this.#examined };
    await this.#examine(packsToExamine(survey), survey);
    if (this.#options.readData === true) await this.#examine(await this.#altered(survey), survey);
    const { readable: snapshots, undecodable } = await readSnapshots(files, this.#signal);
    const planned = await this.#plan(survey, snapshots);
    const { plan, readable, damaged } = planned;
    let replacements: ReadonlyMap<HexId, Snapshot> = new Map();
    if (!dryRun) {
      const applying = { files, sealer, signal: this.#signal, confirm: () => this.#lock.confirm() };
      if (!isIndexSound(plan, readable)) await applyIndexPlan(plan, readable, applying);
      if (forget) {
        const { loader, lost } = planned;
        const replacing = { ...applying, index: readable, loader, lost, options: this.#options };
        replacements = await replaceSnapshots(damaged, snapshots, replacing);
        await this.#removeUndecodable(undecodable);
      }
    }
    return {
      dryRun,
      index: {
        undecodable: plan.undecodable,
        replaced: [...plan.replace, ...plan.undecodable],
        packsAdded: plan.add.map(({ id }) => id),
        packsMissing: plan.missing,
        packsDamaged: plan.salvage.map(({ id, readable: { length }, lost }) => ({
          id,
          blobsReadable: length,
          blobsLost: lost,
        })),
        blobsSalvaged: Array.from(readable.salvage.values()).reduce((sum, { length }) => sum + length, 0),
      },
      snapshots: snapshots.length,
      snapshotsUndecodable: undecodable,
      damaged: damaged.map((one) => ({ ...one, replacement: replacements.get(one.snapshot.id) })),
    };
  }

  /** Reading trees may show that more packs are damaged. */
  async #plan(survey: IndexSurvey, snapshots: readonly Snapshot[]): Promise<Planned> {
    const { files, sealer } = this.#parts;
    for (;;) {
      const plan = planIndex(survey);
      const readable = await readableIndex(files, survey, plan, this.#signal);
      const loader = new BlobLoader(files.backend, sealer, readable);
      const lost = new LostData(readable, loader, () => {
        this.#trees += 1;
        this.#options.onProgress?.({ step: "trees", done: this.#trees });
      });
      const damaged: DamagedSnapshot[] = [];
      for (const snapshot of snapshots) {
        const found = await lost.of(snapshot, this.#signal);
        if (found !== undefined) damaged.push(found);
      }
      const doubtful = Array.from(lost.packsInDoubt()).filter((id) => !this.#readWhole.has(id));
      if (doubtful.length === 0) return { plan, readable, loader, lost, damaged };
      await this.#examine(new Map(doubtful.map((id) => [id, "whole"])), survey);
    }
  }

  async #examine(packs: ReadonlyMap<HexId, "header" | "whole">, survey: IndexSurvey): Promise<void> {
    const listed = new Map<HexId, PackBlob[]>();
    const said = new Map<HexId, string[]>();
    const ids: HexId[] = [];
    for (const { id: file, packs: found } of survey.indexes) {
      const concerned = (found ?? []).filter(({ id }) => packs.has(id));
      if (concerned.length > 0) ids.push(file);
      for (const { id, fingerprint } of concerned) said.set(id, [...(said.get(id) ?? []), fingerprint]);
    }
    await eachPackOf(this.#parts.files, ids, this.#signal, ({ id, blobs }) => {
      if (packs.has(id)) listed.set(id, [...(listed.get(id) ?? []), ...blobs]);
    });
    let done = 0;
    await inParallel(packs, examinedAtOnce, async ([id, how]) => {
      throwIfAborted(this.#signal);
      const pack = { id, sizeBytes: survey.stored.get(id) ?? 0, indexed: listed.get(id) ?? [] };
      const found = await (how === "whole" ? this.#examiner.whole(pack) : this.#examiner.byHeader(pack));
      if (how === "whole" || !found.sound) this.#readWhole.add(id);
      if (!isAsSaid(found, said.get(id))) this.#examined.set(id, found);
      done += 1;
      this.#options.onProgress?.({ step: "packs", done, total: packs.size });
    });
  }

  /** Packs that the index describes rightly as far as their sizes go, and that are not what they should be. */
  async #altered({ indexes, stored }: IndexSurvey): Promise<Map<HexId, "whole">> {
    const { files, verifier } = this.#parts;
    const packs = new Map<HexId, string>();
    for (const { packs: found } of indexes) {
      for (const { id, fingerprint } of found ?? []) {
        if (stored.has(id) && !this.#examined.has(id)) packs.set(id, fingerprint);
      }
    }
    // Of those that no index names only the headers have been read.
    for (const id of stored.keys()) if (!packs.has(id) && !this.#readWhole.has(id)) packs.set(id, "");
    const altered = new Map<HexId, "whole">();
    let done = 0;
    await inParallel(packs, verifier.parallel, async ([id, fingerprint]) => {
      throwIfAborted(this.#signal);
      const isSmall = (stored.get(id) ?? 0) <= maxVerifiedBytes;
      const faults =
        isSmall && fingerprint !== ""
          ? await verifier.verify(id, await files.backend.load({ type: "data", name: id }), fingerprint)
          : undefined;
      if (faults === undefined || faults.length > 0) altered.set(id, "whole");
      done += 1;
      this.#options.onProgress?.({ step: "packs", done, total: packs.size });
    });
    return altered;
  }

  async #removeUndecodable(ids: readonly HexId[]): Promise<void> {
    for (const name of ids) {
      this.#lock.confirm();
      await this.#parts.files.backend.remove({ type: "snapshot", name });
    }
  }
}

/** Of a pack that was in doubt for a fault that has gone, or for a tree that it never held. */
function isAsSaid(pack: ExaminedPack, fingerprints: readonly string[] | undefined): boolean {
  if (!pack.sound || fingerprints === undefined) return false;
  const fingerprint = packFingerprint(blobsOf(pack));
  return fingerprints.every((one) => one === fingerprint);
}
