import { isAscii } from "node:buffer";
import { isHexId } from "../hex-id.ts";
import type { HexId } from "../repository.ts";
import { goUnquote } from "./go-text.ts";

const opening = '{"nodes":[';
const closing = "]}\n";
const beforeName = '{"name":"';
/** Not to be found inside of a string of JSON, where quotes have a backslash before them. */
const afterName = '","type":"';
const beforeContent = ',"content":';
const beforeSubtree = 'null,"subtree":"';
const idDigits = 64;

/** Positions of a node in the text. */
export interface NodePlaces {
  readonly start: number;
  /** Of the quote after its name. */
  readonly nameEnd: number;
  readonly content: number;
  readonly end: number;
  readonly isDirectory: boolean;
}

/**
 * The text of a tree blob and where its nodes are in it: to compare them and to put them into another tree, decoding
 * them costs ten times as much. What nodes say is not checked.
 */
export class TreeText {
  readonly text: string;
  readonly nodes: readonly NodePlaces[];

  private constructor(text: string, nodes: readonly NodePlaces[]) {
    this.text = text;
    this.nodes = nodes;
  }

  /** Undefined for a tree that is not in the form, byte for byte, and the order in which restic and Holdfast write them. */
  static of(json: Buffer): TreeText | undefined {
    const ascii = isAscii(json);
    const text = json.toString(ascii ? "latin1" : "utf8");
    if (text === `${opening}${closing}`) return new TreeText(text, []);
    if (!text.startsWith(opening)) return undefined;
    const nodes: NodePlaces[] = [];
    let last: string | undefined;
    let nameEnd = text.indexOf(afterName);
    for (let start = opening.length; ; start += 1) {
      const nextNameEnd = nameEnd === -1 ? -1 : text.indexOf(afterName, nameEnd + afterName.length);
      const node = placesOf(text, start, nameEnd, nextNameEnd === -1 ? text.length : nextNameEnd);
      if (node === undefined) return undefined;
      const name = text.slice(start + beforeName.length, nameEnd);
      if (!isAfter(last, name, ascii)) return undefined;
      nodes.push(node);
      last = name;
      start = node.end;
      nameEnd = nextNameEnd;
      if (text[start] === ",") continue;
      return text.length === start + closing.length && text.endsWith(closing) ? new TreeText(text, nodes) : undefined;
    }
  }

  /** The node's name, as raw bytes. */
  name({ start, nameEnd }: NodePlaces): Buffer {
    const name = nameOf(this.text.slice(start + beforeName.length, nameEnd));
    if (name === undefined) throw new TypeError("A name of a tree's text was not looked at.");
    return name;
  }

  /** The node of this name. */
  find(name: Buffer): NodePlaces | undefined {
    return this.nodes[this.indexOf(name)];
  }

  /** The number of the node of this name, or -1. */
  indexOf(name: Buffer): number {
    let low = 0;
    let high = this.nodes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = Buffer.compare(this.name(this.nodes[middle] as NodePlaces), name);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return -1;
  }

  /** The tree of a node that is a directory. */
  subtree({ end }: NodePlaces): HexId | undefined {
    const id = this.text.slice(end - 2 - idDigits, end - 2);
    return isHexId(id) ? id : undefined;
  }
}

function placesOf(text: string, start: number, nameEnd: number, beyond: number): NodePlaces | undefined {
  if (!text.startsWith(beforeName, start) || nameEnd < start) return undefined;
  const before = text.indexOf(beforeContent, nameEnd);
  if (before === -1 || before > beyond) return undefined;
  const content = before + beforeContent.length;
  const isDirectory = text.startsWith(beforeSubtree, content);
  const last = isDirectory
    ? content + beforeSubtree.length + idDigits + 1
    : text.startsWith("null}", content)
      ? content + 4
      : text.indexOf("]", content) + 1;
  return text[last] === "}" && last > content ? { start, nameEnd, content, end: last + 1, isDirectory } : undefined;
}

/** The raw bytes of a name as it stands between quotes in JSON. */
function nameOf(json: string): Buffer | undefined {
  if (!json.includes("\\")) return Buffer.from(json);
  try {
    return goUnquote(JSON.parse(`"${json}"`) as string);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

/** Whether a name follows another in the order of raw bytes. False if it is malformed. */
function isAfter(last: string | undefined, name: string, ascii: boolean): boolean {
  if (ascii && !name.includes("\\") && last?.includes("\\") !== true) return last === undefined || last < name;
  const bytes = nameOf(name);
  if (bytes === undefined) return false;
  const before = last === undefined ? undefined : nameOf(last);
  return before === undefined || Buffer.compare(before, bytes) < 0;
}
