import { HoldfastError, type SourceId } from "../../base/index.ts";
import type { Backup } from "../../engine/index.ts";
import { printable } from "../output/printable.ts";

export interface SourceSelection {
  readonly source: SourceId;
  readonly path?: string;
}

const pattern = /^((?:service|code):[^:/]+|mount:[^:/]+\/[^:/]+)(?::(.*))?$/s;

/**
 * `--only SOURCE[:PATH]`: "service:db", "mount:app/media", "mount:app/media:2026/01", "code:app:src".
 * @throws HoldfastError INPUT_INVALID
 */
export function parseSourceSelection(text: string): SourceSelection {
  const match = pattern.exec(text);
  const wrong = (why: string): HoldfastError =>
    new HoldfastError("INPUT_INVALID", `"${text}": ${why}.`, {
      remedy: "Write it as service:NAME, mount:APPLICATION/MOUNT or code:APPLICATION, with :PATH after it for a part.",
    });
  if (match?.[1] === undefined) throw wrong("this names no component");
  const source = match[1] as SourceId;
  if (match[2] === undefined) return { source };
  const path = match[2].replace(/^\/+|\/+$/g, "");
  if (path === "") return { source };
  if (path.split("/").some((name) => name === "" || name === "." || name === "..")) {
    throw wrong("the path has an empty name, . or ..");
  }
  return { source, path };
}

/** Whether a text means a component, rather than a path in a backup. */
export const looksLikeSelection = (text: string): boolean => /^(?:service|code|mount):/.test(text);

/** As people write it: "mount:app/media:2026/01". */
export function selectionText({ source, path }: SourceSelection): string {
  return path === undefined || path === "" ? source : `${source}:${printable(path)}`;
}

/** Where the backup's tree holds it. @throws HoldfastError SOURCE_NOT_FOUND */
export function pathInBackup(backup: Backup, { source, path }: SourceSelection): Buffer {
  const component = backup.components.find((one) => one.source === source);
  if (component === undefined) {
    throw new HoldfastError("SOURCE_NOT_FOUND", `The backup ${backup.id} has no component ${source}.`, {
      facts: { backup: backup.id, source },
      remedy: `It has: ${backup.components.map((one) => one.source).join(", ")}.`,
    });
  }
  return Buffer.from(path === undefined ? component.path : `${component.path}/${path}`);
}

/** For commander: collects repeated options. */
export function collectSelections(text: string, before: readonly SourceSelection[] = []): readonly SourceSelection[] {
  return [...before, parseSourceSelection(text)];
}
