import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from "yaml";
import { messageOf } from "../base/index.ts";

/** One thing wrong with the file. Line and column count from 1. */
export interface ConfigProblem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** What to do, where the message alone does not say it. */
  readonly remedy?: string;
}

export type ConfigPath = readonly PropertyKey[];

/** The parsed file: plain data, and where each part of it stands. */
export interface ConfigDocument {
  readonly data: unknown;
  readonly problems: readonly ConfigProblem[];
  /** Of the value at `path`; of the nearest part of the file that is there if it is not. */
  positionOf(path: ConfigPath): { readonly line: number; readonly column: number };
  /** Of a key in the map at `path`. */
  positionOfKey(path: ConfigPath, key: string): { readonly line: number; readonly column: number };
}

const variablePattern = /\$\$\{|\$\{([^}]*)\}/g;

/**
 * Parses YAML and puts the environment's values in the place of `${NAME}` in every string value (never in keys);
 * `$${` stands for a literal `${`. Values are taken as they are: they cannot add structure to the file.
 */
export function parseConfigDocument(text: string, env: Readonly<Record<string, string | undefined>>): ConfigDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, version: "1.2" });
  const at = (offset: number): { line: number; column: number } => {
    const position = lines.linePos(offset);
    return { line: position.line, column: position.col };
  };
  const problems = syntaxProblems(document, text, at);

  visit(document, {
    Scalar(key, node) {
      if (key === "key" || typeof node.value !== "string") return;
      node.value = node.value.replace(variablePattern, (match, name: string | undefined) => {
        if (name === undefined) return "${";
        const value = env[name];
        if (value !== undefined) return value;
        const position = at(node.range?.[0] ?? 0);
        if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
          problems.push({
            ...position,
            message: `the environment variable ${name} is not set`,
            remedy: `Set ${name} before running holdfast, or put it into the environment of the service that runs it.`,
          });
        } else {
          const message = `"${match}" names no environment variable; write $\${ for a literal \${`;
          problems.push({ ...position, message });
        }
        return "";
      });
    },
  });

  let data: unknown;
  if (document.errors.length === 0) {
    try {
      data = document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      // The parser throws here for aliases without an anchor and for those that would blow up the document.
      problems.push({ line: 1, column: 1, message: messageOf(error) });
    }
  }

  return {
    data,
    problems,
    positionOf: (path) => at(nodeAt(document, path).offset),
    positionOfKey(path, key) {
      const { node, offset } = nodeAt(document, path);
      const pair = isMap(node)
        ? node.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
        : undefined;
      const keyNode = pair?.key;
      return at(isNode(keyNode) ? (keyNode.range?.[0] ?? offset) : offset);
    },
  };
}

/**
 * What keeps the file from being YAML. An unquoted `${NAME}` between brackets is told as that, and ends the list: it throws the
 * parser off, which then complains of all that follows.
 */
function syntaxProblems(
  document: Document,
  text: string,
  at: (offset: number) => { readonly line: number; readonly column: number },
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const { pos, message } of document.errors) {
    const [offset] = pos;
    // The parser stops at the brace that opens it, or after the one that closes it.
    const start = text.startsWith("${", offset - 1) ? offset - 1 : text.slice(0, offset).search(/\$\{[^{}\n]*\}$/);
    const [reference] = /^\$\{[^{}\n]*\}/.exec(start < 0 ? "" : text.slice(start)) ?? [];
    if (reference === undefined) {
      problems.push({ ...at(offset), message });
      continue;
    }
    problems.push({
      ...at(start),
      message: `${reference} stands between brackets without quotes, where YAML takes its brace for a map`,
      remedy: `Put the whole value into quotes, for instance "${reference}".`,
    });
    break;
  }
  return problems;
}

/** Follows `path` as far as the file goes. A map's position is that of the key it belongs to. */
function nodeAt(document: Document, path: ConfigPath): { node: Node | null; offset: number } {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document) ?? null;
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (pair === undefined) return { node: null, offset };
      const value = isNode(pair.value) ? pair.value : null;
      offset = (isScalar(value) ? value.range?.[0] : isNode(pair.key) ? pair.key.range?.[0] : undefined) ?? offset;
      node = value;
    } else if (isSeq(node) && typeof step === "number") {
      const item = node.items[step];
      node = isNode(item) ? item : null;
      offset = node?.range?.[0] ?? offset;
    } else {
      return { node: null, offset };
    }
  }
  return { node, offset };
}
