import { lstatSync, mkdirSync } from "node:fs";
import type { ExtendedAttribute, EntryMetadata, Warning } from "../component/index.ts";
import { joinEntryPath } from "../component/index.ts";
import { pathExists } from "./path-exists.ts";
import { isStagingName, type PathFilter } from "./path-filter.ts";
import type { EntryStat } from "./posix/directory-calls.ts";
import { OwnerNames } from "./posix/owner-names.ts";
import type { StagingPlace } from "./staging-place.ts";
import { entryType, TreeDirectory } from "./tree-directory.ts";

/** A directory's own properties, for one that stays in place while what is in it is exchanged. */
export interface DirectoryProperties {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: string;
  readonly xattrs: readonly { readonly name: string; readonly value: string }[];
}

/** Paths are below the root, as latin1 text; "" is the root. Inodes are decimal. */
export type SwapStep =
  /** Both are there: exchange them. */
  | { readonly kind: "exchange"; readonly path: string; readonly live: string; readonly staged: string }
  /** Only live: move it to the staged side. */
  | { readonly kind: "out"; readonly path: string }
  /** Only staged: move it to the live side. */
  | { readonly kind: "in"; readonly path: string; readonly staged: string }
  /** A directory that stays: it gets the staged one's properties. */
  | {
      readonly kind: "properties";
      readonly path: string;
      readonly before: DirectoryProperties;
      readonly after: DirectoryProperties;
    };

/** What a swap does, in order. Written down before it is begun. */
export interface SwapPlan {
  readonly steps: readonly SwapStep[];
}

export interface PlanSwapOptions {
  /** What of the live tree stays where it is. */
  readonly filter: PathFilter;
  /** Directories of the live tree (latin1 text) that hold, at any depth, something that stays. */
  readonly keepers: ReadonlySet<string>;
  readonly warn: (warning: Warning) => void;
}

/**
 * Plans the fewest exchanges that put the staged tree in place: one for the whole tree where nothing in it stays and it
 * can be renamed, else one for each child, going down only into directories that hold something that stays.
 */
export function planSwap(place: StagingPlace, options: PlanSwapOptions): SwapPlan {
  const stagedRoot = Buffer.from(place.staged);
  const liveRoot = Buffer.from(place.root);
  const steps: SwapStep[] = [];
  if (!pathExists(liveRoot)) {
    return { steps: [{ kind: "in", path: "", staged: inodeAt(stagedRoot) }] };
  }
  if (!place.inside && !options.keepers.has("")) {
    return {
      steps: [{ kind: "exchange", path: "", live: inodeAt(liveRoot), staged: inodeAt(stagedRoot) }],
    };
  }
  const planner = new Planner(options, steps);
  const live = TreeDirectory.openRoot(liveRoot);
  try {
    const staged = TreeDirectory.openRoot(stagedRoot);
    try {
      planner.plan(Buffer.alloc(0), live, staged, true);
    } finally {
      staged.close();
    }
  } finally {
    live.close();
  }
  return { steps };
}

const itself = Buffer.alloc(0);

const inodeAt = (path: Buffer): string => String(lstatSync(path, { bigint: true }).ino);

class Planner {
  readonly #options: PlanSwapOptions;
  readonly #steps: SwapStep[];
  readonly #owners = new OwnerNames();

  constructor(options: PlanSwapOptions, steps: SwapStep[]) {
    this.#options = options;
    this.#steps = steps;
  }

  plan(path: Buffer, live: TreeDirectory, staged: TreeDirectory, takeProperties: boolean): void {
    const names = new Map<string, Buffer>();
    for (const name of [...live.names(), ...staged.names()]) names.set(name.toString("latin1"), name);
    for (const name of [...names.values()].sort((a, b) => Buffer.compare(a, b))) {
      const child = joinEntryPath(path, name);
      if (isStagingName(name) || this.#options.filter.excludes(child)) continue;
      this.#planChild(child, name, live, staged);
    }
    if (!takeProperties) return;
    this.#steps.push({
      kind: "properties",
      path: path.toString("latin1"),
      before: this.#properties(live),
      after: this.#properties(staged),
    });
  }

  #planChild(child: Buffer, name: Buffer, live: TreeDirectory, staged: TreeDirectory): void {
    const path = child.toString("latin1");
    const liveStat = live.find(name);
    const stagedStat = staged.find(name);
    if (liveStat !== undefined && entryType(liveStat) === "dir" && this.#options.keepers.has(path)) {
      this.#descend(child, name, live, staged, stagedStat);
    } else if (liveStat !== undefined && stagedStat !== undefined) {
      this.#steps.push({ kind: "exchange", path, live: String(liveStat.ino), staged: String(stagedStat.ino) });
    } else if (liveStat !== undefined) {
      this.#steps.push({ kind: "out", path });
    } else if (stagedStat !== undefined) {
      this.#steps.push({ kind: "in", path, staged: String(stagedStat.ino) });
    }
  }

  #descend(
    child: Buffer,
    name: Buffer,
    live: TreeDirectory,
    staged: TreeDirectory,
    stagedStat: EntryStat | undefined,
  ): void {
    if (stagedStat !== undefined && entryType(stagedStat) !== "dir") {
      this.#options.warn({
        kind: "entry-not-restored",
        message: `${child.toString()} is no directory in the backup; the live directory stays, as it holds files that are not part of backups.`,
        facts: { path: child.toString() },
      });
      return;
    }
    // The place to which the live directory's other children go.
    if (stagedStat === undefined) mkdirSync(staged.child(name), { mode: 0o700 });
    const liveChild = live.openChild(name);
    try {
      const stagedChild = staged.openChild(name);
      try {
        this.plan(child, liveChild, stagedChild, stagedStat !== undefined);
      } finally {
        stagedChild.close();
      }
    } finally {
      liveChild.close();
    }
  }

  #properties(directory: TreeDirectory): DirectoryProperties {
    const { mode, uid, gid, mtimeNs, xattrs } = directory.metadata(itself, directory.lstat(itself), this.#owners);
    return {
      mode,
      uid,
      gid,
      mtimeNs: String(mtimeNs),
      xattrs: (xattrs ?? []).map(({ name, value }) => ({ name, value: Buffer.from(value).toString("base64") })),
    };
  }
}

/** The properties as metadata to apply. */
export function directoryMetadata(properties: DirectoryProperties): EntryMetadata {
  const mtimeNs = BigInt(properties.mtimeNs);
  const xattrs: ExtendedAttribute[] = properties.xattrs.map(({ name, value }) => ({
    name,
    value: Buffer.from(value, "base64"),
  }));
  const { mode, uid, gid } = properties;
  return { type: "dir", mode, uid, gid, mtimeNs, ctimeNs: mtimeNs, inode: 0n, deviceId: 0n, links: 1, xattrs };
}
