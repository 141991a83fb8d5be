import { type Facts, HoldfastError, messageOf } from "../../base/index.ts";
import type { FileStamp, WriteFileResult } from "../../component/index.ts";
import type { LoadedBlob } from "../content/open-loaded-blob.ts";
import type { PackFault } from "../check/check-pack.ts";
import type { MasterKey } from "../crypto/envelope.ts";
import type { SharedBlobIndex } from "../index/blob-index.ts";
import type { BlobType } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";

/** What a worker needs once for all jobs of one writer or reader. */
export interface SessionSetup {
  readonly session: number;
  readonly key: MasterKey;
  /** For writers. */
  readonly store?: {
    readonly index: SharedBlobIndex;
    /** Two words of 32 bits: packs handed over and not yet saved; 1 if the session has failed. */
    readonly flow: SharedArrayBuffer;
    readonly maxPacksInFlight: number;
    readonly packBytes: number;
  };
}

/** A file as the worker found it. `blobIds` as in StoredContent. */
export type StoredFile =
  | {
      readonly status: "stored" | "changing";
      readonly sizeBytes: number;
      readonly blobIds: Uint8Array;
      readonly stamp: FileStamp;
    }
  | { readonly status: "failed"; readonly code: string; readonly message: string };

/** Work for any worker. */
export type Job =
  | {
      readonly kind: "store-files";
      readonly session: number;
      /** Absolute paths, each with a zero byte after it. */
      readonly paths: Uint8Array;
    }
  | {
      readonly kind: "store-blobs";
      readonly session: number;
      readonly type: BlobType;
      readonly blobs: readonly Uint8Array[];
    }
  | {
      readonly kind: "write-blobs";
      readonly session: number;
      /** Whose part `bytes` is; for messages. */
      readonly pack: HexId;
      readonly bytes: Uint8Array;
      /** As `encodeWrites` wrote them; the writes of one blob follow each other. */
      readonly writes: Uint8Array;
    }
  | {
      /** Verifies a whole pack. `fingerprint` is of the blobs that the index lists for it. */
      readonly kind: "check-pack";
      readonly session: number;
      readonly id: HexId;
      readonly bytes: Uint8Array;
      readonly fingerprint: string;
    }
  | {
      readonly kind: "read-blobs";
      readonly session: number;
      readonly bytes: Uint8Array;
      readonly blobs: readonly LoadedBlob[];
    }
  | {
      readonly kind: "reuse-files";
      readonly session: number;
      /** As `encodeReuses` wrote them. */
      readonly files: Uint8Array;
    };

/** What every worker must do. */
export type Order =
  | { readonly kind: "open-session"; readonly setup: SessionSetup }
  | { readonly kind: "flush"; readonly session: number }
  | { readonly kind: "close-session"; readonly session: number };

export type FailedFile = Extract<WriteFileResult, { status: "failed" }>;

export interface WrittenBlobs {
  /** Files that could not be written. */
  readonly failures: readonly { readonly file: number; readonly failed: FailedFile }[];
  /** Files whose owner could not be set. */
  readonly ownersMissed: readonly number[];
}

export type ReuseResult =
  | FailedFile
  /** The candidate is no use; nothing was made. */
  | { readonly status: "none" }
  /** The candidate has a second name now. */
  | { readonly status: "linked"; readonly ctimeNs: bigint; readonly inode: bigint }
  | {
      readonly status: "reused";
      /** Open for writing if blobs are missing, which whoever ordered the job writes, then closes; else -1. */
      readonly fd: number;
      readonly reusedBytes: number;
      /** Numbers of the blobs that the candidate does not have. */
      readonly missing: readonly number[];
      /** As in WriteFileResult; only of a file that is complete. */
      readonly properties?: "set" | "owner-missed";
    };

export interface JobResults {
  /** As `encodeStoredFiles` wrote them. */
  readonly "store-files": Uint8Array;
  readonly "store-blobs": Uint8Array;
  readonly "write-blobs": WrittenBlobs;
  readonly "read-blobs": readonly Uint8Array<ArrayBuffer>[];
  readonly "reuse-files": readonly ReuseResult[];
  readonly "check-pack": readonly PackFault[];
  readonly "open-session": undefined;
  readonly flush: undefined;
  readonly "close-session": undefined;
}

export type JobKind = keyof JobResults;

export interface Request {
  readonly id: number;
  readonly job: Job | Order;
}

/** A finished pack: `bytes` is handed over. `blobs` is a `BlobList`'s memory. */
export interface FinishedPack {
  readonly session: number;
  /** Hex SHA-256 of `bytes`. */
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly type: BlobType;
  readonly blobs: Uint8Array<ArrayBuffer>;
}

export interface PortableError {
  readonly code?: string;
  readonly message: string;
  readonly facts?: Facts;
  readonly remedy?: string;
}

export type Answer =
  /** Once, when all that the thread needs is loaded. */
  | { readonly kind: "ready" }
  | { readonly kind: "done"; readonly id: number; readonly result: unknown }
  | { readonly kind: "failed"; readonly id: number; readonly error: PortableError }
  | { readonly kind: "pack"; readonly pack: FinishedPack };

/** An error as it crosses threads, which lose an error's class. */
export function toPortable(error: unknown): PortableError {
  if (error instanceof HoldfastError) {
    const { code, message, facts, remedy } = error;
    return { code, message, facts, ...(remedy === undefined ? {} : { remedy }) };
  }
  return { message: error instanceof Error ? (error.stack ?? error.message) : messageOf(error) };
}

/** The error again; INTERNAL for one that no code was written for. */
export function fromPortable(error: PortableError): HoldfastError {
  const { code, message, facts, remedy } = error;
  if (code === undefined) return new HoldfastError("INTERNAL", `A worker thread failed: ${message}`);
  return new HoldfastError(code as HoldfastError["code"], message, {
    ...(facts === undefined ? {} : { facts }),
    ...(remedy === undefined ? {} : { remedy }),
  });
}
