import { lstatSync, renameSync } from "node:fs";
import { systemErrorCode } from "../base/index.ts";
import { exchangePaths, renameNew } from "./posix/files.ts";
import type { StagingPlace } from "./staging-place.ts";
import { directoryMetadata, type SwapPlan, type SwapStep } from "./swap-plan.ts";
import { MetadataWriter } from "./write-metadata.ts";

type MoveStep = Exclude<SwapStep, { kind: "properties" }>;

/** Error codes of renameat2(2) where the file system or kernel cannot exchange. */
const cannotExchange = new Set(["EINVAL", "ENOSYS", "EOPNOTSUPP", "ENOTSUP"]);

/**
 * Does and undoes a plan's steps. Whether a step is done is read from the staged side alone, which nobody else touches;
 * so a new process can go on, in either direction, from whatever a dead one left.
 */
export class SwapExecution {
  readonly #place: StagingPlace;
  readonly #plan: SwapPlan;
  readonly #exchange: (one: Buffer, other: Buffer) => void;
  /** The longest time that a live path was missing, milliseconds; 0 if every exchange was one step. */
  gapMs = 0;

  /** `exchange`: for tests of file systems that cannot. */
  constructor(place: StagingPlace, plan: SwapPlan, exchange: (one: Buffer, other: Buffer) => void = exchangePaths) {
    this.#place = place;
    this.#plan = plan;
    this.#exchange = exchange;
  }

  /** Does what is not done yet. `beforeStep` may throw to stop in between. */
  forward(beforeStep: (index: number) => void = () => undefined): void {
    this.#finishAside();
    for (const [index, step] of this.#plan.steps.entries()) {
      beforeStep(index);
      if (step.kind === "properties") {
        new MetadataWriter().apply(this.#live(step), directoryMetadata(step.after), { replaceXattrs: true });
      } else if (!this.isDone(step)) this.#do(step);
    }
  }

  /** Undoes what is done. */
  backward(): void {
    this.#finishAside();
    const moves = this.#plan.steps.filter((step): step is MoveStep => step.kind !== "properties");
    for (const step of [...moves].reverse()) if (this.isDone(step)) this.#undo(step);
    // After the moves, which change the directories' times; and always, as a process may have died between the two.
    for (const step of this.#plan.steps) {
      if (step.kind === "properties") {
        new MetadataWriter().apply(this.#live(step), directoryMetadata(step.before), { replaceXattrs: true });
      }
    }
  }

  isDone(step: MoveStep): boolean {
    const staged = inodeAt(this.#staged(step));
    switch (step.kind) {
      case "exchange":
        return staged !== step.staged;
      case "out":
        return staged !== undefined;
      case "in":
        return staged === undefined;
    }
  }

  #do(step: MoveStep): void {
    const live = this.#live(step);
    const staged = this.#staged(step);
    if (step.kind === "exchange") this.#exchangeOrRename(live, staged);
    else if (step.kind === "out") renameOntoNothing(live, staged);
    else renameOntoNothing(staged, live);
  }

  #undo(step: MoveStep): void {
    const live = this.#live(step);
    const staged = this.#staged(step);
    if (step.kind === "out") {
      // Something new may stand there by now: the old data wins.
      if (inodeAt(live) === undefined) renameOntoNothing(staged, live);
      else this.#exchangeOrRename(live, staged);
    } else if (step.kind === "in") {
      if (inodeAt(live) !== undefined) renameOntoNothing(live, staged);
    } else if (inodeAt(live) === undefined) renameOntoNothing(staged, live);
    else this.#exchangeOrRename(live, staged);
  }

  #exchangeOrRename(live: Buffer, staged: Buffer): void {
    try {
      this.#exchange(live, staged);
      return;
    } catch (error) {
      if (!cannotExchange.has(systemErrorCode(error) ?? "")) throw error;
    }
    const started = performance.now();
    const aside = Buffer.from(this.#place.aside);
    renameSync(live, aside);
    renameSync(staged, live);
    this.gapMs = Math.max(this.gapMs, performance.now() - started);
    renameSync(aside, staged);
  }

  /** A process died between the renames of an exchange: completes it, in the direction in which it was going. */
  #finishAside(): void {
    const aside = Buffer.from(this.#place.aside);
    const inode = inodeAt(aside);
    if (inode === undefined) return;
    const step = this.#plan.steps.find(
      (step) => step.kind === "exchange" && (step.live === inode || step.staged === inode),
    );
    if (step === undefined) return;
    const staged = this.#staged(step);
    if (inodeAt(staged) !== undefined) renameSync(staged, this.#live(step));
    renameSync(aside, staged);
  }

  #live(step: SwapStep): Buffer {
    return below(this.#place.root, step.path);
  }

  #staged(step: SwapStep): Buffer {
    return below(this.#place.staged, step.path);
  }
}

const below = (root: string, path: string): Buffer =>
  path === "" ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, "latin1")]);

export function inodeAt(path: Buffer): string | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : String(stat.ino);
}

/** Renames without replacing where the file system can promise that; else looks first. */
function renameOntoNothing(from: Buffer, to: Buffer): void {
  try {
    renameNew(from, to);
  } catch (error) {
    if (!cannotExchange.has(systemErrorCode(error) ?? "")) throw error;
    renameSync(from, to);
  }
}
