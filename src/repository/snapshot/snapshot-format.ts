import { damaged, parseStoredJson, storedObject } from "../damage.ts";
import { isHexId } from "../hex-id.ts";
import type { HexId, Snapshot } from "../repository.ts";
import { goJsonString } from "../tree/go-text.ts";
import { parseGoTime } from "../tree/go-time.ts";

/** What a snapshot file holds; its id is the file's name. */
export interface SnapshotToStore extends Omit<Snapshot, "id"> {
  readonly username?: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** The JSON of a snapshot file, to be stored with `encodeUnpacked`. */
export function encodeSnapshot(snapshot: SnapshotToStore): string {
  const list = (texts: readonly string[]): string => `[${texts.map(goJsonString).join(",")}]`;
  let json = `{"time":"${snapshot.time.toISOString()}"`;
  if (snapshot.parent !== undefined) json += `,"parent":"${snapshot.parent}"`;
  json += `,"tree":"${snapshot.tree}","paths":${list(snapshot.paths)}`;
  if (snapshot.hostname !== "") json += `,"hostname":${goJsonString(snapshot.hostname)}`;
  if (snapshot.username !== undefined) json += `,"username":${goJsonString(snapshot.username)}`;
  if (snapshot.uid !== undefined && snapshot.uid !== 0) json += `,"uid":${snapshot.uid}`;
  if (snapshot.gid !== undefined && snapshot.gid !== 0) json += `,"gid":${snapshot.gid}`;
  if (snapshot.tags.length > 0) json += `,"tags":${list(snapshot.tags)}`;
  if (snapshot.programVersion !== undefined) json += `,"program_version":${goJsonString(snapshot.programVersion)}`;
  return `${json}}`;
}

/** @throws HoldfastError REPOSITORY_DAMAGED naming the snapshot */
export function decodeSnapshot(json: Uint8Array, id: HexId): Snapshot {
  const what = `snapshot ${id}`;
  const stored = storedObject(parseStoredJson(json, what), what);
  const { tree, parent, hostname, program_version: programVersion } = stored;
  const ns = parseGoTime(stored["time"]);
  if (ns === undefined) throw damaged(`The ${what} has a malformed time.`);
  if (!isHexId(tree)) throw damaged(`The ${what} names no tree.`);
  return {
    id,
    time: new Date(Number(ns / 1_000_000n)),
    tree,
    paths: texts(stored["paths"], what),
    hostname: typeof hostname === "string" ? hostname : "",
    tags: texts(stored["tags"], what),
    ...(isHexId(parent) ? { parent } : {}),
    ...(typeof programVersion === "string" ? { programVersion } : {}),
  };
}

function texts(value: unknown, what: string): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw damaged(`The ${what} has a malformed list.`);
  }
  return value;
}
