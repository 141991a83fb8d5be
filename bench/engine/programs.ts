import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Cost, runMeasured } from "./measured-command.ts";

/** A backup program with one repository of one tree. */
export interface Program {
  readonly name: string;
  /** Makes an empty repository for the tree; an older one goes. */
  init(): void;
  backup(): Cost;
  /** Into a folder that is empty or does not exist. Returns where the tree is then. */
  restoreInto(folder: string): { readonly cost: Cost; readonly tree: string };
  /** Over the tree that it was backed up from (`live`), or over a copy of it. */
  restoreOver(copy: string): Cost;
  /** Whether `restoreOver` is about the tree itself. */
  readonly inPlace: boolean;
  repositoryBytes(): number;
}

/** Sum of all files below the folder. */
export function folderBytes(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += statSync(path.join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}

abstract class Peer {
  protected readonly folder: string;
  protected readonly root: string;

  /** `folder` is the program's own; `root` is the tree. */
  constructor(folder: string, root: string) {
    this.folder = folder;
    this.root = root;
  }

  protected get repository(): string {
    return path.join(this.folder, "repository");
  }

  protected run(command: readonly string[], env: Readonly<Record<string, string>>, cwd = this.folder): Cost {
    return runMeasured(command, { timeFile: path.join(this.folder, "time"), cwd, env });
  }

  protected clear(): void {
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder, { recursive: true });
  }

  repositoryBytes(): number {
    return folderBytes(this.repository);
  }
}

/** What the environment that is backed up is made of, as in holdfast.yaml. */
export interface BenchEnvironment {
  readonly applications?: Readonly<Record<string, { readonly mounts: Readonly<Record<string, string>> }>>;
  readonly services?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** The compiled program through its command line; by default one environment with one mount, the tree at `root`. */
export class Holdfast extends Peer implements Program {
  readonly name: string;
  readonly inPlace = true;
  readonly #program: string;
  readonly #environment: BenchEnvironment;
  readonly #verifyWrites: boolean;

  constructor(
    folder: string,
    root: string,
    program: string,
    options: { readonly environment?: BenchEnvironment; readonly verifyWrites?: boolean } = {},
  ) {
    super(folder, root);
    this.#program = program;
    this.#environment = options.environment ?? { applications: { app: { mounts: { data: root } } } };
    this.#verifyWrites = options.verifyWrites ?? false;
    this.name = this.#verifyWrites ? "verified" : "holdfast";
  }

  command(...args: string[]): Cost {
    return this.#holdfast(...args);
  }

  /** Deletes the oldest backup. */
  deleteOldest(): void {
    const list = [this.#program, "backup:list", "--format", "plain", "--no-header", "--columns", "id"];
    const ids = execFileSync(process.execPath, list, { cwd: this.folder, encoding: "utf8" }).trim().split("\n");
    this.#holdfast("backup:delete", ids.at(-1) ?? "");
  }

  #holdfast(...args: string[]): Cost {
    return this.run([process.execPath, this.#program, ...args, "--yes", "--no-interaction", "--quiet"], {});
  }

  init(): void {
    this.clear();
    const config = {
      version: 1,
      state: "./state",
      projects: {
        bench: {
          title: "Benchmark",
          profile: "commerce-starter",
          repository: {
            passwordFile: "./repository.key",
            verifyWrites: this.#verifyWrites,
            replicas: [{ name: "disk", type: "local", path: "./repository" }],
          },
          environments: {
            main: { type: "production", ...this.#environment },
          },
        },
      },
    };
    // JSON is YAML.
    writeFileSync(path.join(this.folder, "holdfast.yaml"), JSON.stringify(config));
    this.#holdfast("init");
  }

  backup(): Cost {
    return this.#holdfast("backup:create", "--live");
  }

  restoreInto(folder: string): { cost: Cost; tree: string } {
    return {
      cost: this.#holdfast("backup:restore", "--into", folder),
      tree: path.join(folder, "mounts", "app", "data"),
    };
  }

  restoreOver(): Cost {
    return this.#holdfast("backup:restore");
  }
}

export class Restic extends Peer implements Program {
  readonly name = "restic";
  readonly inPlace = false;

  #restic(args: readonly string[], cwd?: string): Cost {
    const env = {
      RESTIC_REPOSITORY: this.repository,
      RESTIC_PASSWORD: "bench",
      RESTIC_CACHE_DIR: path.join(this.folder, "cache"),
    };
    return this.run(["restic", "--quiet", ...args], env, cwd);
  }

  init(): void {
    this.clear();
    this.#restic(["init", "--repository-version", "2"]);
  }

  backup(): Cost {
    // "." with the same working directory: the parent snapshot is found by host and path.
    return this.#restic(["backup", "--compression", "auto", "."], this.root);
  }

  restoreInto(folder: string): { cost: Cost; tree: string } {
    return { cost: this.#restic(["restore", "latest", "--target", folder]), tree: folder };
  }

  restoreOver(copy: string): Cost {
    return this.restoreInto(copy).cost;
  }
}

export class Borg extends Peer implements Program {
  readonly name = "borg";
  readonly inPlace = false;
  #archives = 0;

  #borg(args: readonly string[], cwd?: string): Cost {
    const env = {
      BORG_REPO: this.repository,
      BORG_PASSPHRASE: "bench",
      BORG_BASE_DIR: this.folder,
      BORG_RELOCATED_REPO_ACCESS_IS_OK: "yes",
    };
    return this.run(["borg", ...args], env, cwd);
  }

  init(): void {
    this.clear();
    this.#borg(["init", "--encryption", "repokey"]);
  }

  backup(): Cost {
    this.#archives += 1;
    return this.#borg(["create", "--compression", "auto,zstd,3", `::${this.#archives}`, "."], this.root);
  }

  restoreInto(folder: string): { cost: Cost; tree: string } {
    mkdirSync(folder, { recursive: true });
    return { cost: this.#borg(["extract", `::${this.#archives}`], folder), tree: folder };
  }

  restoreOver(copy: string): Cost {
    return this.restoreInto(copy).cost;
  }
}

/** Bundles the checkout's program into a folder of its own, so that nobody who works in the checkout notices; its path. */
export function buildHoldfast(checkout: string, folder: string): string {
  mkdirSync(folder, { recursive: true });
  runMeasured([process.execPath, "build/bundle.ts", "--out", path.join(folder, "dist", "program")], {
    timeFile: path.join(folder, "time"),
    cwd: checkout,
  });
  for (const file of ["bin", "package.json"]) {
    cpSync(path.join(checkout, file), path.join(folder, file), { recursive: true });
  }
  symlinkSync(path.join(checkout, "node_modules"), path.join(folder, "node_modules"));
  return path.join(folder, "bin", "holdfast.js");
}
