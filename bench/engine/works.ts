import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { changeHundredth } from "./data.ts";
import { figuresOf, type WorkFigures } from "./figures.ts";
import type { Cost } from "./measured-command.ts";
import type { Program } from "./programs.ts";

/** Of one tree: its folder, and the programs, each with a repository for it. */
export interface Tree {
  readonly root: string;
  readonly programs: readonly Program[];
}

export interface Plan {
  readonly trees: { readonly large: Tree; readonly small: Tree; readonly both: Tree };
  /** For what is restored. */
  readonly scratch: string;
  readonly runs: number;
  readonly cold: boolean;
  readonly say: (text: string) => void;
}

const works = {
  a: { what: "first backup of large files", goal: 3 },
  b: { what: "first backup of small files", goal: 3 },
  c: { what: "backup, nothing changed", goal: 4 },
  d: { what: "backup, 1 % changed", goal: 4 },
  e: { what: "restore into an empty folder", goal: 2.5 },
  f: { what: "restore over 99 %", goal: 5 },
} as const;

export type WorkName = keyof typeof works;
export const workNames = Object.keys(works) as WorkName[];

export class Works {
  readonly #plan: Plan;
  #seed = 0;
  #folders = 0;
  #bothStored = false;
  readonly #compared = new Set<string>();

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  run(name: WorkName): WorkFigures {
    const { large, small, both } = this.#plan.trees;
    switch (name) {
      case "a":
        return this.#first(name, large);
      case "b":
        return this.#first(name, small);
      case "c":
        this.#storeBoth();
        return this.#measure(name, both, (program) => program.backup());
      case "d":
        this.#storeBoth();
        return this.#measure(
          name,
          both,
          (program) => program.backup(),
          () => this.#change(),
        );
      case "e":
        this.#storeBoth();
        return this.#measure(name, both, (program) => this.#restore(program));
      case "f":
        this.#storeBoth();
        return this.#measure(
          name,
          both,
          (program) => this.#restoreOver(program),
          () => this.#change(),
        );
    }
  }

  #first(name: WorkName, tree: Tree): WorkFigures {
    return this.#measure(name, tree, (program) => {
      program.init();
      this.#settle(tree.root);
      return program.backup();
    });
  }

  /** Every program backs the whole tree up, unmeasured. */
  #storeBoth(): void {
    if (this.#bothStored) return;
    this.#bothStored = true;
    for (const program of this.#plan.trees.both.programs) {
      program.init();
      this.#plan.say(`${program.name} stores both: ${program.backup().wallSeconds.toFixed(1)} s`);
    }
  }

  #change(): void {
    this.#seed += 1;
    changeHundredth(this.#plan.trees.both.root, this.#seed);
  }

  #measure(name: WorkName, tree: Tree, work: (program: Program) => Cost, before?: () => void): WorkFigures {
    const costs = new Map<string, Cost[]>(tree.programs.map((program) => [program.name, []]));
    for (let run = 0; run < this.#plan.runs; run += 1) {
      before?.();
      // Each begins in turn, so that what the machine does besides meets all of them.
      const turn = tree.programs.map((_, at) => tree.programs[(at + run) % tree.programs.length] as Program);
      // What works on the tree itself comes last: it undoes the change.
      const order = name === "f" ? turn.toSorted((one, other) => Number(one.inPlace) - Number(other.inPlace)) : turn;
      for (const program of order) {
        this.#settle(tree.root);
        const cost = work(program);
        costs.get(program.name)?.push(cost);
        this.#plan.say(
          `(${name}) ${program.name} ${cost.wallSeconds.toFixed(2)} s, cpu ${cost.cpuSeconds.toFixed(2)} s`,
        );
      }
    }
    for (const folder of readdirSync(this.#plan.scratch)) {
      rmSync(path.join(this.#plan.scratch, folder), { recursive: true, force: true });
    }
    const stores = name !== "e" && name !== "f";
    const programs = tree.programs.map((program) =>
      figuresOf(program.name, costs.get(program.name) ?? [], stores ? program.repositoryBytes() : undefined),
    );
    const median = (wanted: string): number | undefined =>
      programs.find(({ program }) => program === wanted)?.wallSeconds.median;
    const [ours, theirs] = [median("holdfast"), median("restic")];
    return {
      work: name,
      ...works[name],
      caches: this.#plan.cold ? "cold" : "warm",
      programs,
      ...(ours === undefined || theirs === undefined ? {} : { ratio: theirs / ours }),
    };
  }

  #restore(program: Program): Cost {
    const folder = this.#newFolder(program);
    this.#settle(this.#plan.trees.both.root);
    const { cost, tree } = program.restoreInto(folder);
    if (!this.#compared.has(program.name)) {
      this.#compared.add(program.name);
      this.#compareWithLast(program, tree);
    }
    return cost;
  }

  #restoreOver(program: Program): Cost {
    if (program.inPlace) return program.restoreOver("");
    const copy = this.#newFolder(program);
    cpSync(this.#plan.trees.both.root, copy, { recursive: true, preserveTimestamps: true });
    this.#settle(copy);
    return program.restoreOver(copy);
  }

  /**
   * What a run restores stays until its work has ended: for a minute after a removal ext4 looks at every inode that became
   * free before it gives out a new one, and whoever came next would pay for it.
   */
  #newFolder(program: Program): string {
    this.#folders += 1;
    return path.join(this.#plan.scratch, `${program.name}-${this.#folders}`);
  }

  /** The tree is as it was backed up last, unless a change came after the last backup. @throws Error if they differ */
  #compareWithLast(program: Program, tree: string): void {
    execFileSync("diff", ["--recursive", "--brief", this.#plan.trees.both.root, tree], { stdio: "pipe" });
    this.#plan.say(`${program.name} restored the same bytes`);
  }

  /** Nothing left to write from what came before; for cold caches, nothing left in memory either. */
  #settle(root: string): void {
    execFileSync("sync", ["--file-system", root]);
    if (this.#plan.cold) writeFileSync("/proc/sys/vm/drop_caches", "3\n");
  }
}
