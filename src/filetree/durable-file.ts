import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { systemErrorCode } from "../base/index.ts";

/** Writes a value as JSON so that after a crash the file is there whole or not at all. */
export function writeDurably(file: string, value: unknown): void {
  const temporary = `${file}.tmp`;
  const fd = openSync(temporary, "w", 0o600);
  try {
    const bytes = Buffer.from(JSON.stringify(value));
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, file);
  syncDirectory(Buffer.from(dirname(file)));
}

/** The value that `writeDurably` wrote, or undefined if it never came to that. */
export function readDurable(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Makes renames in a directory durable. */
export function syncDirectory(path: Buffer): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
