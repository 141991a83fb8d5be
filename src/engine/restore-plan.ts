import { type EnvironmentId, HoldfastError, type SourceId } from "../base/index.ts";
import type { Backup, BackupComponent } from "./catalog.ts";
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
  /** In the backup, but the environment has no such component of that kind (any more): they are left out. */
  readonly missingInEnvironment: readonly SourceId[];
  /** In the environment, but not in the backup, or as another kind of component: they stay as they are. */
  readonly missingInBackup: readonly SourceId[];
  /** Commit of the code that comes back, "" if none does. */
  readonly commitId: string;
}

/** One component, or a part of one, that comes back. */
export interface RestoredPart {
  readonly source: SourceId;
  /** A folder or file below the component's root, if only that is restored. */
  readonly below?: string;
}

/** What says whether a backup's component may come back into an environment's. */
export type ComponentIdentity = Pick<Component, "id" | "kind">;

/** What a restore would do, by the catalog and the configuration alone. */
export interface RestoreOutline extends Pick<
  RestorePlan,
  "backup" | "missingInEnvironment" | "missingInBackup" | "commitId"
> {
  readonly parts: readonly RestoredPart[];
}

/**
 * Which parts come back, from the backup, the environment's components and the options alone.
 * @throws HoldfastError SOURCE_NOT_FOUND for a component in `only` that is not there; INPUT_INVALID if nothing is left to restore
 */
export function outlineRestore(
  backup: Backup,
  environment: { readonly id: EnvironmentId; readonly components: readonly ComponentIdentity[] },
  options: Pick<RestoreBackupOptions, "only" | "noCode" | "into">,
): RestoreOutline {
  const inPlace = options.into === undefined;
  const parts: RestoredPart[] = [];
  const missingInEnvironment: SourceId[] = [];
  for (const { source, path: below } of select(backup, options)) {
    const stored = backup.components.find((one) => one.source === source);
    if (stored === undefined) throw notInBackup(backup, source);
    const there = environment.components.find(({ id }) => id === source);
    if (inPlace && there?.kind !== stored.kind) {
      if (options.only !== undefined) throw notInEnvironment(environment, stored, there);
      missingInEnvironment.push(source);
      continue;
    }
    parts.push({ source, ...(below === undefined || below === "" ? {} : { below }) });
  }
  if (parts.length === 0) {
    throw new HoldfastError("INPUT_INVALID", `Nothing of the backup ${backup.id} is left to restore.`, {
      remedy: "Check --only and --no-code against what holdfast backup:get shows.",
    });
  }
  const inBackup = new Map(backup.components.map(({ source, kind }) => [source, kind]));
  return {
    backup,
    parts,
    missingInEnvironment,
    missingInBackup: environment.components.filter(({ id, kind }) => inBackup.get(id) !== kind).map(({ id }) => id),
    commitId: parts.some(({ source }) => isCode(source)) ? backup.commitId : "",
  };
}

/**
 * Which components come back, from the backup, the environment and the options alone.
 * @throws HoldfastError as `outlineRestore`; SERVICE_UNSUPPORTED where a kind is only restored whole
 */
export function planRestoreSteps(
  manifest: Manifest,
  backup: Backup,
  environment: Environment,
  options: RestoreBackupOptions,
): RestorePlan {
  const { parts, ...outline } = outlineRestore(backup, environment, options);
  const inPlace = options.into === undefined;
  const steps = parts.map(({ source, below }): RestoreStep => {
    const stored = backup.components.find((one) => one.source === source);
    if (stored === undefined) throw notInBackup(backup, source);
    const component = environment.components.find(({ id }) => id === source);
    // A kind that is only restored whole refuses here, before anything has begun.
    if (inPlace && below !== undefined) component?.target(below);
    return {
      source,
      kind: manifest.descriptions.get(source)?.kind ?? stored.kind,
      path: stored.path,
      ...(below === undefined ? {} : { below }),
      ...(inPlace && component !== undefined ? { component } : {}),
      files: stored.files,
      bytes: stored.bytes,
    };
  });
  return { ...outline, steps };
}

const isCode = (source: SourceId): boolean => source.startsWith("code:");

function select(
  backup: Backup,
  options: Pick<RestoreBackupOptions, "only" | "noCode" | "into">,
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

function notInEnvironment(
  environment: { readonly id: EnvironmentId },
  { source, kind }: Pick<BackupComponent, "source" | "kind">,
  there: ComponentIdentity | undefined,
): HoldfastError {
  const message =
    there === undefined
      ? `The environment ${environment.id} has no component ${source}.`
      : `In the backup ${source} is of the kind ${kind}, in the environment ${environment.id} of the kind ${there.kind}.`;
  return new HoldfastError("SOURCE_NOT_FOUND", message, {
    facts: { environment: environment.id, source },
    remedy: "Write it into a folder with --into DIR, or put it into the configuration as it was.",
  });
}
