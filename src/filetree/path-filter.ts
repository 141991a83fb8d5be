import { HoldfastError } from "../base/index.ts";
import { type EntryPath, joinEntryPath, splitEntryPath } from "../component/index.ts";

export interface PathFilterOptions {
  /**
   * Globs of what to leave out: `*` and `?` within a name, `**` across names, `[a-z]`, `{a,b}`. A pattern stands for the
   * whole path; one that matches a directory leaves out all that is in it ("var/cache"), while "var/cache/**" keeps the
   * empty directory.
   */
  readonly exclude?: readonly string[];
  /** Where the root stands as the patterns see it: "var" if patterns start at /srv/shop and the root is /srv/shop/var. */
  readonly excludeBase?: string;
  /** Paths below the root that belong to somebody else, such as ".git" or a mount: they and all in them are left out. */
  readonly apart?: readonly string[];
}

/** Names of what a restore stages and moves out, be it of a tree or of a SQLite database; scans never see them. */
const stagingName =
  /^\.(?:holdfast-[a-z2-7]{12}-[a-z2-7]{8}-(?:new|old|tmp)|.+\.holdfast-[a-z2-7]{12}\.(?:new|old)(?:-(?:wal|shm|journal))?)$/s;

export const isStagingName = (name: Buffer): boolean => name[0] === 0x2e && stagingName.test(name.toString("latin1"));

interface Pattern {
  readonly base: string;
  readonly expression: RegExp;
}

/**
 * Says which paths below a root are left out: those that any of the options leave out. Paths are raw bytes; patterns match
 * bytes, so `?` is one byte.
 */
export class PathFilter {
  readonly #patterns: readonly Pattern[];
  readonly #apart: readonly string[];

  constructor(...options: readonly PathFilterOptions[]) {
    this.#patterns = options.flatMap(({ exclude = [], excludeBase = "" }) => {
      const base = excludeBase === "" ? "" : `${Buffer.from(excludeBase).toString("latin1")}/`;
      return exclude.map((pattern) => ({ base, expression: compilePattern(pattern) }));
    });
    const apart = options.flatMap((one) => one.apart ?? []);
    this.#apart = Array.from(new Set(apart), (path) => Buffer.from(path).toString("latin1"));
  }

  /** Whether nothing but the paths in `apartPaths` is left out. */
  get hasPatterns(): boolean {
    return this.#patterns.length > 0;
  }

  /** Latin1 text. */
  get apartPaths(): readonly string[] {
    return this.#apart;
  }

  /** Whether the entry belongs to somebody else, or is in what does. */
  isApart(path: EntryPath): boolean {
    if (this.#apart.length === 0) return false;
    const text = path.toString("latin1");
    return this.#apart.some((apart) => text === apart || text.startsWith(`${apart}/`));
  }

  /** Whether the entry itself is left out, given that no directory above it is. The root never is. */
  excludes(path: EntryPath): boolean {
    if (path.length === 0) return false;
    const slash = path.lastIndexOf(0x2f);
    if (isStagingName(path.subarray(slash + 1))) return true;
    if (this.#patterns.length === 0 && this.#apart.length === 0) return false;
    const text = path.toString("latin1");
    if (this.#apart.includes(text)) return true;
    return this.#patterns.some(({ base, expression }) => expression.test(base + text));
  }

  /** As `excludes`, of what has this name in a directory. */
  excludesIn(directory: EntryPath, name: Buffer): boolean {
    if (isStagingName(name)) return true;
    if (this.#patterns.length === 0 && this.#apart.length === 0) return false;
    return this.excludes(joinEntryPath(directory, name));
  }

  /** Whether the entry or a directory above it is left out. */
  excludesWithin(path: EntryPath): boolean {
    let end = -1;
    for (const name of splitEntryPath(path)) {
      end += name.length + 1;
      if (this.excludes(path.subarray(0, end))) return true;
    }
    return false;
  }
}

/** A glob as a regular expression over latin1 text. */
function compilePattern(pattern: string): RegExp {
  const glob = Buffer.from(pattern.replace(/^\.?\/+/, "").replace(/\/+$/, "")).toString("latin1");
  let source = "";
  let braces = 0;
  for (let at = 0; at < glob.length; at += 1) {
    const char = glob.charAt(at);
    if (char === "*" && glob.charAt(at + 1) === "*") {
      const startsName = at === 0 || glob.charAt(at - 1) === "/";
      at += 1;
      if (startsName && glob.charAt(at + 1) === "/") {
        at += 1;
        source += "(?:[^/]+/)*";
      } else {
        source += startsName ? "[^]+" : "[^]*";
      }
    } else if (char === "*") source += "[^/]*";
    else if (char === "?") source += "[^/]";
    else if (char === "[") {
      const end = glob.indexOf("]", at + 2);
      if (end === -1) throw badPattern(pattern, "a [ without its ]");
      const set = glob
        .slice(at + 1, end)
        .replace(/\\/g, "\\\\")
        .replace(/^!/, "^")
        .replace(/\[/g, "\\[");
      source += `(?!/)[${set}]`;
      at = end;
    } else if (char === "{") {
      braces += 1;
      source += "(?:";
    } else if (char === "}" && braces > 0) {
      braces -= 1;
      source += ")";
    } else if (char === "," && braces > 0) source += "|";
    else if (char === "\\" && at + 1 < glob.length) {
      at += 1;
      source += escapeLiteral(glob.charAt(at));
    } else source += escapeLiteral(char);
  }
  if (braces > 0) throw badPattern(pattern, "a { without its }");
  try {
    return new RegExp(`^(?:${source})$`);
  } catch (error) {
    throw badPattern(pattern, String(error));
  }
}

const escapeLiteral = (char: string): string => char.replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");

function badPattern(pattern: string, why: string): HoldfastError {
  return new HoldfastError("CONFIG_INVALID", `The exclude pattern "${pattern}" is malformed: ${why}.`, {
    facts: { pattern },
    remedy: "Correct the pattern; see the configuration reference for its form.",
  });
}
