import { isHoldfastError, messageOf } from "../../../src/base/index.ts";
import { openRepository, type Repository } from "../../../src/repository/index.ts";
import { type Backend, type CallFault, FaultAtCall, type FileType, MemoryBackend } from "../../../src/storage/index.ts";
import { problemsOf, resticProblemsOf } from "./sound-repository.ts";
import {
  backUp,
  copyRepository,
  filesOf,
  handlesOf,
  makeRepository,
  password,
  type Reported,
} from "./stored-backups.ts";

/** A repository, and the backups that must come back from it whatever happens. */
export interface Start {
  readonly backend: Backend;
  readonly kept: readonly Reported[];
  /** A backup that the operation may remove. */
  readonly doomed: Reported;
  /** Packs that only this one needs, the smallest first: of one file, of its directories, and two of files. */
  readonly doomedPacks: readonly string[];
}

/** What is interrupted. */
export interface Operation {
  readonly name: string;
  /** `report` is told of each backup that it reported complete. */
  readonly run: (repository: Repository, start: Start, report: (reported: Reported) => void) => Promise<unknown>;
  /** Changes the start before the fault. Returns backups that must come back, too. */
  readonly prepare?: (repository: Repository, start: Start) => Promise<readonly Reported[]>;
  /** Of an operation that another call has to go on with: that call. Returns what is still not as it should be. */
  readonly finish?: (repository: Repository) => Promise<readonly string[]>;
  /** The repository is sound only after that. */
  readonly startsDamaged?: true;
  /** Of the short form, which tries each so many-th call. Default 1. */
  readonly shortStep?: number;
}

const hourMs = 3_600_000;
const freeAll = { maxUnused: { ratio: 0 } } as const;
const repairAll = { readData: true, forget: true } as const;

export const operations: readonly Operation[] = [
  { name: "backup", run: (repository, _start, report) => backUp(repository, filesOf(4), report) },
  { name: "forget", run: (repository, { doomed }) => repository.forget(doomed.snapshot.id) },
  {
    name: "prune",
    prepare: forgetDoomed,
    run: (repository) => repository.prune({ ...freeAll, safetyMs: 0 }),
    finish: (repository) => finishPrune(repository, 0),
  },
  {
    name: "prune that marks",
    prepare: forgetDoomed,
    run: (repository) => repository.prune({ ...freeAll, safetyMs: hourMs }),
  },
  {
    name: "prune that deletes what was marked",
    prepare: markDoomed,
    run: (repository) => repository.prune({ ...freeAll, safetyMs: 1 }),
    shortStep: 2,
    finish: (repository) => finishPrune(repository, 1),
  },
  {
    name: "prune of what is needed again",
    prepare: async (repository, start) => {
      const handle = { type: "snapshot", name: start.doomed.snapshot.id } as const;
      const stored = await start.backend.load(handle);
      await markDoomed(repository, start);
      // As restic would, which does not see marks.
      await start.backend.save(handle, stored);
      return [start.doomed];
    },
    run: (repository) => repository.prune({ ...freeAll, safetyMs: 1 }),
  },
  repairOf("repair of a backup that lost a directory and files", (packs) => packs, 3),
  repairOf("repair of a backup of which nothing is left", (packs) => packs.toReversed(), 2),
];

/** Which packs are gone, altered and cut off follows from their order; `snapshots` is how many there are in the end. */
function repairOf(
  name: string,
  order: (doomedPacks: readonly string[]) => readonly string[],
  snapshots: number,
): Operation {
  return {
    name,
    prepare: (_repository, { backend, doomedPacks }) => spoil(backend, order(doomedPacks)),
    run: (repository) => repository.repair(repairAll),
    finish: (repository) => finishRepair(repository, snapshots),
    startsDamaged: true,
    shortStep: 4,
  };
}

async function forgetDoomed(repository: Repository, { doomed }: Start): Promise<readonly Reported[]> {
  await repository.forget(doomed.snapshot.id);
  return [];
}

async function markDoomed(repository: Repository, start: Start): Promise<readonly Reported[]> {
  await forgetDoomed(repository, start);
  await repository.prune({ ...freeAll, safetyMs: hourMs });
  return [];
}

async function finishPrune(repository: Repository, safetyMs: number): Promise<readonly string[]> {
  // Twice: what the first call marks the second one deletes.
  for (let round = 0; round < 2; round += 1) await repository.prune({ ...freeAll, safetyMs });
  const { plan } = await repository.prune({ ...freeAll, safetyMs, dryRun: true });
  const left = plan.bytesFreed + plan.bytesFreedLater;
  return left === 0 ? [] : [`${left} bytes are left that no backup needs`];
}

/**
 * What a failing disk may do that costs no backup that is kept: one index file is gone, another altered; of the packs that
 * the doomed backup alone needs the first is gone, the others are altered or cut off in turn.
 */
async function spoil(backend: Backend, doomedPacks: readonly string[]): Promise<readonly Reported[]> {
  const change = async (type: FileType, name: string, alter: (bytes: Buffer) => Buffer): Promise<void> => {
    const bytes = await backend.load({ type, name });
    await backend.remove({ type, name });
    await backend.save({ type, name }, alter(bytes));
  };
  const flip = (bytes: Buffer): Buffer => {
    bytes[100] = (bytes[100] as number) ^ 1;
    return bytes;
  };
  const indexes = (await handlesOf(backend)).filter(({ type }) => type === "index").map(({ name }) => name);
  const [gone = "", altered = ""] = indexes.sort();
  await backend.remove({ type: "index", name: gone });
  await change("index", altered, flip);
  const [missing = "", ...others] = doomedPacks;
  await backend.remove({ type: "data", name: missing });
  for (const [at, pack] of others.entries()) {
    await change("data", pack, at % 2 === 0 ? flip : (bytes) => bytes.subarray(0, bytes.length >> 1));
  }
  return [];
}

async function finishRepair(repository: Repository, wanted: number): Promise<readonly string[]> {
  await repository.repair(repairAll);
  const { damaged, index, snapshots } = await repository.repair(repairAll);
  const left = [...damaged.map(({ snapshot }) => snapshot.id), ...index.replaced, ...index.packsAdded];
  return [
    ...left.map((id) => `a further repair found ${id}`),
    ...(snapshots === wanted ? [] : [`there are ${snapshots} snapshots after the repair, not ${wanted}`]),
  ];
}

export interface Trial {
  readonly operation: string;
  readonly fault: CallFault;
  readonly n: number;
  readonly outcome: "done" | "failed" | "killed";
  readonly problems: readonly string[];
}

/** Two backups that must stay and one that need not. */
export async function makeStart(): Promise<Start> {
  const backend = new MemoryBackend();
  await makeRepository(backend);
  const repository = await openRepository(backend, { password, workers: 1 });
  try {
    const kept = [await backUp(repository, filesOf(1)), await backUp(repository, filesOf(2))];
    const before = new Set((await handlesOf(backend)).map(({ name }) => name));
    const doomed = await backUp(repository, filesOf(3));
    // By size, which is the same each time; names are hashes of what has random nonces.
    const packs = [];
    for await (const { name, sizeBytes } of backend.list("data"))
      if (!before.has(name)) packs.push({ name, sizeBytes });
    packs.sort((a, b) => a.sizeBytes - b.sizeBytes);
    return { backend, kept, doomed, doomedPacks: packs.map(({ name }) => name) };
  } finally {
    await repository.close();
  }
}

/**
 * Lets the fault happen at each call of the operation, from the first to the one that is beyond its last, every time on
 * a fresh copy of the start, and looks at what it left.
 */
export async function* tryEachCall(
  start: Start,
  operation: Operation,
  options: {
    readonly faultOf: (n: number) => CallFault;
    readonly restic: (n: number) => boolean;
    /** Tries each n-th call only. Default 1. */
    readonly step?: number;
  },
): AsyncGenerator<Trial> {
  for (let n = 1; ; n += options.step ?? 1) {
    const fault = options.faultOf(n);
    const own = { ...start, backend: await copyRepository(start.backend) };
    const { backend } = own;
    const { prepare, finish } = operation;
    const kept = [...start.kept, ...(prepare ? await opened(backend, (repository) => prepare(repository, own)) : [])];
    const { outcome, struck, reported, problems } = await tryOnce(backend, own, operation, fault, n);
    if (!struck) return;
    if (operation.startsDamaged !== true) problems.push(...(await problemsOf(backend, [...kept, ...reported])));
    if (finish !== undefined) {
      const left = await opened(backend, async (repository) => {
        await repository.unlock({ all: true });
        return await finish(repository);
      });
      problems.push(...left);
    }
    if (finish !== undefined) problems.push(...(await problemsOf(backend, [...kept, ...reported])));
    if (options.restic(n)) problems.push(...(await resticProblemsOf(backend)));
    yield { operation: operation.name, fault, n, outcome, problems };
  }
}

async function opened<T>(backend: Backend, use: (repository: Repository) => Promise<T>): Promise<T> {
  const repository = await openRepository(backend, { password, workers: 1 });
  try {
    return await use(repository);
  } finally {
    await repository.close();
  }
}

interface Attempt {
  readonly outcome: Trial["outcome"];
  readonly struck: boolean;
  readonly reported: readonly Reported[];
  readonly problems: string[];
}

async function tryOnce(
  backend: Backend,
  start: Start,
  operation: Operation,
  fault: CallFault,
  n: number,
): Promise<Attempt> {
  const problems: string[] = [];
  const reported: Reported[] = [];
  let failed = false;
  const faulty = new FaultAtCall(backend, n, fault);
  const repository = await openRepository(faulty, { password, workers: 1 });
  // Opening only reads: it is not what is tried.
  faulty.arm();
  try {
    await operation.run(repository, start, (one) => reported.push(one));
  } catch (error) {
    failed = true;
    if (!isHoldfastError(error)) problems.push(`not a HoldfastError: ${messageOf(error)}`);
  } finally {
    await repository.close();
  }
  if (faulty.killed) await faulty.loseUndurable();
  const harmless = fault === "delay" || fault === "reorder";
  if (harmless && failed) problems.push("a call that was late made it fail");
  const outcome = faulty.killed ? "killed" : failed ? "failed" : "done";
  return { outcome, struck: faulty.struck, reported, problems };
}
