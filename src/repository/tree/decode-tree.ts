import type { EntryMetadata, EntryType, ExtendedAttribute, StoredContent } from "../../component/index.ts";
import { damaged, parseStoredJson, storedObject } from "../damage.ts";
import { isHexId } from "../hex-id.ts";
import type { TreeChild } from "../repository.ts";
import { parseGoTime } from "./go-time.ts";
import { goQuote, goUnquote } from "./go-text.ts";
import { unixMode } from "./mode.ts";
import { checkName } from "./tree-format.ts";

const types: ReadonlySet<unknown> = new Set<EntryType>(["file", "dir", "symlink", "dev", "chardev", "fifo", "socket"]);

/** Names a node in errors; only then is it worth the time to put it into words. */
type Where = () => string;

const longNumber = /"(inode|device_id|device|links|size)":\s*(\d{16,20})(?=[,}\s])/g;

/**
 * The children that a tree blob lists.
 * @throws HoldfastError REPOSITORY_DAMAGED naming `what` ("tree 12ab..."), ENTRY_UNSAFE for names such as ".." or "a/b"
 */
export function decodeTree(json: Uint8Array, what: string): TreeChild[] {
  const { nodes } = storedObject(parseStoredJson(keepLongNumbers(json), what), what);
  if (nodes === null) return [];
  if (!Array.isArray(nodes)) throw damaged(`The ${what} has no list of nodes.`);
  const children: TreeChild[] = [];
  let last: Buffer | undefined;
  for (const node of nodes as readonly unknown[]) {
    const child = decodeNode(storedObject(node, `node in the ${what}`), what);
    if (last !== undefined && Buffer.compare(last, child.name) >= 0) {
      throw damaged(`The ${what} lists "${goQuote(child.name)}" twice or out of order.`);
    }
    last = child.name;
    children.push(child);
  }
  return children;
}

/** Inode and device numbers may have 64 bits, which a JavaScript number has not: such become strings. */
function keepLongNumbers(json: Uint8Array): Uint8Array {
  const bytes = Buffer.from(json.buffer, json.byteOffset, json.length);
  const text = bytes.toString("latin1");
  if (text.search(longNumber) === -1) return bytes;
  return Buffer.from(text.replaceAll(longNumber, '"$1":"$2"'), "latin1");
}

function decodeNode(node: Readonly<Record<string, unknown>>, what: string): TreeChild {
  const name = typeof node["name"] === "string" ? goUnquote(node["name"]) : undefined;
  if (name === undefined) throw damaged(`The ${what} has a node with a malformed name.`);
  checkName(name);
  const where = (): string => `node "${goQuote(name)}" of the ${what}`;
  const { type } = node;
  if (!isEntryType(type)) throw damaged(`The ${where()} is of an unknown type.`);
  const metadata = decodeMetadata(node, type, where);
  if (type === "file") return { name, metadata, content: decodeContent(node, where) };
  if (type !== "dir") return { name, metadata };
  if (!isHexId(node["subtree"])) throw damaged(`The ${where()} is a directory without a subtree.`);
  return { name, metadata, subtree: node["subtree"] };
}

function isEntryType(value: unknown): value is EntryType {
  return types.has(value);
}

function decodeMetadata(node: Readonly<Record<string, unknown>>, type: EntryType, where: Where): EntryMetadata {
  const mtimeNs = parseGoTime(node["mtime"]);
  const ctimeNs = parseGoTime(node["ctime"]);
  if (mtimeNs === undefined || ctimeNs === undefined) throw damaged(`The ${where()} has a malformed time.`);
  const user = text(node["user"], where);
  const group = text(node["group"], where);
  const xattrs = decodeXattrs(node["extended_attributes"], where);
  const links = unsignedNumber(node["links"], where);
  const device = unsigned(node["device"], where);
  return {
    type,
    mode: unixMode(unsignedNumber(node["mode"], where)),
    uid: uint32(node["uid"], where),
    gid: uint32(node["gid"], where),
    ...(user === undefined ? {} : { user }),
    ...(group === undefined ? {} : { group }),
    mtimeNs,
    ctimeNs,
    inode: unsigned(node["inode"], where),
    deviceId: unsigned(node["device_id"], where),
    links: links === 0 ? 1 : links,
    ...(type === "symlink" ? { linkTarget: decodeLinkTarget(node, where) } : {}),
    ...(type === "dev" || type === "chardev" ? { device } : {}),
    ...(xattrs === undefined ? {} : { xattrs }),
  };
}

function decodeLinkTarget(node: Readonly<Record<string, unknown>>, where: Where): Buffer {
  const raw = node["linktarget_raw"];
  if (typeof raw === "string" && raw !== "") return base64(raw, where);
  return Buffer.from(text(node["linktarget"], where) ?? "", "utf8");
}

function decodeXattrs(value: unknown, where: Where): ExtendedAttribute[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw damaged(`The ${where()} has malformed extended attributes.`);
  const attributes = value.map((item: unknown): ExtendedAttribute => {
    const attribute = storedObject(item, `extended attribute of the ${where()}`);
    const name = text(attribute["name"], where);
    if (name === undefined || name.includes("\0"))
      throw damaged(`The ${where()} has an extended attribute without a name.`);
    return { name, value: base64(attribute["value"] ?? "", where) };
  });
  return attributes.length === 0 ? undefined : attributes;
}

function decodeContent(node: Readonly<Record<string, unknown>>, where: Where): StoredContent {
  const ids = node["content"];
  if (!Array.isArray(ids)) throw damaged(`The ${where()} is a file without a list of blobs.`);
  const sizeBytes = unsignedNumber(node["size"], where);
  if (!Number.isSafeInteger(sizeBytes)) throw damaged(`The ${where()} has an impossible size.`);
  const blobIds = Buffer.allocUnsafeSlow(ids.length * 32);
  for (const [at, id] of (ids as readonly unknown[]).entries()) {
    if (!isHexId(id)) throw damaged(`The ${where()} refers to a blob without an id.`);
    blobIds.write(id, at * 32, "hex");
  }
  return { sizeBytes, blobIds };
}

function unsigned(value: unknown, where: Where): bigint {
  if (value === undefined) return 0n;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  if (typeof value === "string" && /^\d{1,20}$/.test(value)) {
    const number = BigInt(value);
    if (number <= 0xffff_ffff_ffff_ffffn) return number;
  }
  throw damaged(`The ${where()} has a malformed number.`);
}

function uint32(value: unknown, where: Where): number {
  const number = unsignedNumber(value, where);
  if (number > 0xffff_ffff) throw damaged(`The ${where()} has an owner that is out of range.`);
  return number;
}

/** As `unsigned`, rounded beyond what a number holds. */
function unsignedNumber(value: unknown, where: Where): number {
  return typeof value === "number" && value >= 0 && Number.isSafeInteger(value)
    ? value
    : Number(unsigned(value, where));
}

function text(value: unknown, where: Where): string | undefined {
  if (value === undefined || value === "") return undefined;
  if (typeof value !== "string") throw damaged(`The ${where()} has a value that is not text.`);
  return value;
}

function base64(value: unknown, where: Where): Buffer {
  if (typeof value !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) {
    throw damaged(`The ${where()} has a value that is not base64.`);
  }
  return Buffer.from(value, "base64");
}
