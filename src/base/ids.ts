import { randomBytes } from "node:crypto";

declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

export type ProjectId = Branded<string, "ProjectId">;
export type EnvironmentId = Branded<string, "EnvironmentId">;
/** 26 characters a-z2-7: 128 random bits and 2 zero bits, as Upsun's backup ids look. */
export type BackupId = Branded<string, "BackupId">;
/** One run of backup, restore or delete; names its journal and its staged data. 12 characters a-z2-7. */
export type OperationId = Branded<string, "OperationId">;
/** "service:db", "mount:app/media", "code:app". */
export type SourceId = Branded<string, "SourceId">;

const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/** Unpadded lower-case base32 (RFC 4648) of `bytes`. */
export function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(value >>> bits) & 31];
    }
  }
  if (bits > 0) text += alphabet[(value << (5 - bits)) & 31];
  return text;
}

export const newBackupId = (): BackupId => base32(randomBytes(16)) as BackupId;
export const newOperationId = (): OperationId => base32(randomBytes(8)).slice(0, 12) as OperationId;

export const isBackupId = (text: string): text is BackupId => /^[a-z2-7]{26}$/.test(text);
