import { isUtf8 } from "node:buffer";
import { HoldfastError } from "../../base/index.ts";
import type { TreeChild } from "../repository.ts";
import { formatGoTime } from "./go-time.ts";
import { goJsonBytes, goJsonString, goQuote } from "./go-text.ts";
import { goMode } from "./mode.ts";

/**
 * A directory as a tree blob holds it, byte for byte as restic writes it. Children in ascending order of the raw bytes
 * of their names. @throws HoldfastError ENTRY_UNSAFE for children out of order, twice, or with a name that is none
 */
export function encodeTree(children: readonly TreeChild[]): Buffer {
  let last: Buffer | undefined;
  for (const { name } of children) {
    checkName(name);
    if (last !== undefined && Buffer.compare(last, name) >= 0) {
      throw new HoldfastError("ENTRY_UNSAFE", `The entry "${goQuote(name)}" is out of order or there twice.`);
    }
    last = name;
  }
  return joinNodes(children.map(encodeNode));
}

/** The text of a tree blob of such nodes. */
export function treeText(nodes: readonly string[]): string {
  return `{"nodes":[${nodes.join(",")}]}\n`;
}

/** A tree blob of nodes that `encodeNode` gave, in ascending order of the raw bytes of their names. */
export function joinNodes(nodes: readonly string[]): Buffer {
  return Buffer.from(treeText(nodes));
}

/** @throws HoldfastError ENTRY_UNSAFE for a name that no file can have, or that leads elsewhere */
export function checkName(name: Buffer): void {
  const dots = name.length > 0 && name.length <= 2 && name[0] === 0x2e && name.at(-1) === 0x2e;
  if (name.length === 0 || dots || name.includes(0x2f) || name.includes(0)) {
    throw new HoldfastError("ENTRY_UNSAFE", `An entry has the name "${goQuote(name)}", which no file can have.`);
  }
}

/** One element of a tree's list of nodes. */
export function encodeNode(child: TreeChild): string {
  const { name, metadata, content, subtree } = child;
  const { type } = metadata;
  if ((type === "file") !== (content !== undefined) || (type === "dir") !== (subtree !== undefined)) {
    throw new TypeError(`A node of type ${type} was given the content of another type.`);
  }
  const head = encodeNodeHead(name, metadata, content?.sizeBytes ?? 0);
  const json = head + (content === undefined ? "null" : contentList(content.blobIds));
  return subtree === undefined ? `${json}}` : `${json},"subtree":"${subtree}"}`;
}

/** A node up to its content: all that `lstat` and the extended attributes say. `sizeBytes` of a file, else 0. */
export function encodeNodeHead(name: Buffer, metadata: TreeChild["metadata"], sizeBytes: number): string {
  const { type } = metadata;
  const quoted = goQuote(name);
  const mode = goMode(type, metadata.mode);
  const mtime = formatGoTime(metadata.mtimeNs);
  const ctime = metadata.ctimeNs === metadata.mtimeNs ? mtime : formatGoTime(metadata.ctimeNs);
  let json = `{"name":${goJsonString(quoted)},"type":"${type}"`;
  if (mode !== 0) json += `,"mode":${mode}`;
  json += `,"mtime":"${mtime}","atime":"${mtime}","ctime":"${ctime}","uid":${metadata.uid},"gid":${metadata.gid}`;
  if (metadata.user) json += `,"user":${goJsonString(metadata.user)}`;
  if (metadata.group) json += `,"group":${goJsonString(metadata.group)}`;
  if (metadata.inode !== 0n) json += `,"inode":${metadata.inode}`;
  if (metadata.deviceId !== 0n) json += `,"device_id":${metadata.deviceId}`;
  if (sizeBytes !== 0) json += `,"size":${sizeBytes}`;
  if (metadata.links !== 0 && hasLinkCount.has(type)) json += `,"links":${metadata.links}`;
  if (metadata.linkTarget !== undefined && metadata.linkTarget.length > 0) {
    json += `,"linktarget":${goJsonBytes(metadata.linkTarget)}`;
    if (!isUtf8(metadata.linkTarget)) json += `,"linktarget_raw":"${base64(metadata.linkTarget)}"`;
  }
  if (metadata.xattrs !== undefined && metadata.xattrs.length > 0) {
    const list = metadata.xattrs.map(
      // Go writes a slice of no bytes as "" and a nil one as null; restic's is never nil.
      (attribute) => `{"name":${goJsonString(attribute.name)},"value":"${base64(attribute.value)}"}`,
    );
    json += `,"extended_attributes":[${list.join(",")}]`;
  }
  if (metadata.device !== undefined && metadata.device !== 0n) json += `,"device":${metadata.device}`;
  return `${json},"content":`;
}

/** restic counts links of these; of directories, pipes and sockets it does not. */
const hasLinkCount: ReadonlySet<string> = new Set(["file", "symlink", "dev", "chardev"]);

function contentList(blobIds: Uint8Array): string {
  if (blobIds.length === 0) return "[]";
  const hex = Buffer.from(blobIds.buffer, blobIds.byteOffset, blobIds.length).toString("hex");
  if (hex.length === 64) return `["${hex}"]`;
  const ids: string[] = [];
  for (let at = 0; at < hex.length; at += 64) ids.push(`"${hex.slice(at, at + 64)}"`);
  return `[${ids.join(",")}]`;
}

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
