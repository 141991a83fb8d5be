import { HoldfastError, type SourceId } from "../base/index.ts";
import type { Backup } from "./catalog.ts";
import type { Component, Environment, RestoreBackupOptions } from "./environment.ts";
import type { Manifest } from "./manifest.ts";

/** One component that comes back. */
export interface RestoreStep {
  readonly source: SourceId;
  readonly kind: string;
  /** The component's place in the backup's tree. */
  readonly path: string;
  /** A folder or file below it, if only that is restored. */
  readonly below?: string;
  /** The environment's component; undefined when the backup is written into a folder. */
  readonly component?: Component;
  readonly files: number;
  readonly bytes: number;
}

/** What a restore would do, before it does it. */
export interface RestorePlan {
  readonly backup: Backup;
  readonly steps: readonly RestoreStep[];
  /** In the backup, but the environment has no such component (any more): they are left out. */
  readonly missingInEnvironment: readonly SourceId[];
  /** In the environment, but not in the backup: they stay as they are. */
  readonly missingInBackup: readonly SourceId[];
  /** Commit of the code that comes back, "" if none does. */
  readonly commitId: string;
}

/**
 * Which components come back, from the backup, the environment and the options alone.
 * @throws HoldfastError SOURCE_NOT_FOUND for a component in `only` that is not there; SERVICE_UNSUPPORTED where the kinds
 *   of backup and environment differ; INPUT_INVALID if nothing is left to restore
 */
export function planRestoreSteps(
  manifest: Manifest,
  backup: Backup,
  environment: Environment,
  options: RestoreBackupOptions,
): RestorePlan {
  const inPlace = options.into === undefined;
  const selected = select(backup, options);
  const steps: RestoreStep[] = [];
  const missingInEnvironment: SourceId[] = [];
  for (const { source, path: below } of selected) {
    const stored = backup.components.find((one) => one.source === source);
    if (stored === undefined) throw notInBackup(backup, source);
    const component = environment.components.find(({ id }) => id === source);
    if (inPlace && component === undefined) {
      if (options.only !== undefined) throw notInEnvironment(environment, source);
      missingInEnvironment.push(source);
      continue;
    }
    // A kind that is only restored whole refuses here, before anything has begun.
    if (inPlace && below !== undefined && below !== "") component?.target(below);
    steps.push({
      source,
      kind: manifest.descriptions.get(source)?.kind ?? stored.kind,
      path: stored.path,
      ...(below === undefined || below === "" ? {} : { below }),
      ...(inPlace && component !== undefined ? { component } : {}),
      files: stored.files,
      bytes: stored.bytes,
    });
  }
  if (steps.length === 0) {
    throw new HoldfastError("INPUT_INVALID", `Nothing of the backup ${backup.id} is left to restore.`, {
      remedy: "Check --only and --no-code against what holdfast backup:get shows.",
    });
  }
  const inBackup = new Set(backup.components.map(({ source }) => source));
  return {
    backup,
    steps,
    missingInEnvironment,
    missingInBackup: environment.components.map(({ id }) => id).filter((id) => !inBackup.has(id)),
    commitId: steps.some(({ source }) => isCode(source)) ? backup.commitId : "",
  };
}

const isCode = (source: SourceId): boolean => source.startsWith("code:");

function select(
  backup: Backup,
  options: RestoreBackupOptions,
): readonly { readonly source: SourceId; readonly path?: string }[] {
  const wanted: readonly { readonly source: SourceId; readonly path?: string }[] =
    options.only ?? backup.components.map(({ source }) => ({ source }));
  const seen = new Set<SourceId>();
  for (const { source, path } of wanted) {
    if (path?.split("/").some((name) => name === "." || name === "..") === true) {
      throw new HoldfastError(
        "INPUT_INVALID",
        `The path "${path}" of ${source} leaves its component or names nothing.`,
        {
          remedy: "Name a path as backup:files shows it.",
        },
      );
    }
    if (seen.has(source) && options.into === undefined) {
      throw new HoldfastError("INPUT_INVALID", `${source} is named twice in --only.`, {
        remedy: "Restore one path of a component at a time, or write them into a folder with --into.",
      });
    }
    seen.add(source);
  }
  return options.noCode === true ? wanted.filter(({ source }) => !isCode(source)) : wanted;
}

function notInBackup(backup: Backup, source: SourceId): HoldfastError {
  const has = backup.components.map((one) => one.source).join(", ");
  return new HoldfastError("SOURCE_NOT_FOUND", `The backup ${backup.id} has no component ${source}.`, {
    facts: { backup: backup.id, source },
    remedy: `It has: ${has}.`,
  });
}

function notInEnvironment(environment: Environment, source: SourceId): HoldfastError {
  return new HoldfastError("SOURCE_NOT_FOUND", `The environment ${environment.id} has no component ${source}.`, {
    facts: { environment: environment.id, source },
    remedy: "Write it into a folder with --into DIR, or add it to the configuration.",
  });
}
