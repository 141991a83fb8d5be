import { HoldfastError, type SourceId } from "../../base/index.ts";

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
    new HoldfastError("INPUT_INVALID", `--only "${text}": ${why}.`, {
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

/** For commander: collects repeated options. */
export function collectSelections(text: string, before: readonly SourceSelection[] = []): readonly SourceSelection[] {
  return [...before, parseSourceSelection(text)];
}
