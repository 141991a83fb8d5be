import { isHoldfastError, messageOf } from "../../../src/base/index.ts";
import { openRepository, type Repository } from "../../../src/repository/index.ts";
import { type Backend, type CallFault, FaultAtCall, MemoryBackend } from "../../../src/storage/index.ts";
import { problemsOf, resticProblemsOf } from "./sound-repository.ts";
import { backUp, copyRepository, filesOf, makeRepository, password, type Reported } from "./stored-backups.ts";

/** A repository, and the backups that must come back from it whatever happens. */
export interface Start {
  readonly backend: Backend;
  readonly kept: readonly Reported[];
  /** A backup that the operation may remove. */
  readonly doomed: Reported;
}

/** What is interrupted. */
export interface Operation {
  readonly name: string;
  /** `report` is told of each backup that it reported complete. */
  readonly run: (repository: Repository, start: Start, report: (reported: Reported) => void) => Promise<unknown>;
  /** Changes the start before the fault. */
  readonly prepare?: (repository: Repository, start: Start) => Promise<void>;
}

export const operations: readonly Operation[] = [
  { name: "backup", run: (repository, _start, report) => backUp(repository, filesOf(4), report) },
  { name: "forget", run: (repository, { doomed }) => repository.forget(doomed.snapshot.id) },
  {
    name: "prune",
    prepare: (repository, { doomed }) => repository.forget(doomed.snapshot.id),
    run: (repository) => repository.prune({ safetyMs: 0, maxUnused: { ratio: 0 } }),
  },
];

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
    return { backend, kept, doomed: await backUp(repository, filesOf(3)) };
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
  options: { readonly faultOf: (n: number) => CallFault; readonly restic: (n: number) => boolean },
): AsyncGenerator<Trial> {
  for (let n = 1; ; n += 1) {
    const fault = options.faultOf(n);
    const backend = await copyRepository(start.backend);
    if (operation.prepare !== undefined) {
      const repository = await openRepository(backend, { password, workers: 1 });
      await operation.prepare(repository, start);
      await repository.close();
    }
    const { outcome, struck, reported, problems } = await tryOnce(backend, { ...start, backend }, operation, fault, n);
    if (!struck) return;
    problems.push(...(await problemsOf(backend, [...start.kept, ...reported])));
    if (options.restic(n)) problems.push(...(await resticProblemsOf(backend)));
    yield { operation: operation.name, fault, n, outcome, problems };
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
