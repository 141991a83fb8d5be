// What a worker thread runs: one job after the other, each without a pause.
import { parentPort } from "node:worker_threads";
import { checkPack } from "../check/check-pack.ts";
import { BlobOpener } from "../content/blob-opener.ts";
import { openLoadedBlob } from "../content/open-loaded-blob.ts";
import { Sealer } from "../crypto/envelope.ts";
import { freeMemory } from "./free-memory.ts";
import { joinIds } from "./join-ids.ts";
import type { Answer, FinishedPack, Job, JobKind, JobResults, Order, Request, SessionSetup } from "./protocol.ts";
import { toPortable } from "./protocol.ts";
import { reuseFiles } from "./reuse-file.ts";
import { storeFile } from "./store-file.ts";
import { StoreSession } from "./store-session.ts";
import { encodeStoredFiles } from "./stored-files.ts";
import { writeBlobs } from "./write-file.ts";

const port = parentPort;
if (port === null) throw new Error("worker-main runs in a worker thread only.");

interface Session {
  readonly sealer: Sealer;
  readonly store: StoreSession | undefined;
  opener: BlobOpener | undefined;
}

const sessions = new Map<number, Session>();

const answer = (message: Answer, transfer: readonly ArrayBuffer[] = []): void => port.postMessage(message, transfer);

function sendPack(pack: FinishedPack): void {
  answer({ kind: "pack", pack }, [pack.bytes.buffer as ArrayBuffer, pack.blobs.buffer]);
}

function openSession(setup: SessionSetup): void {
  const store = setup.store === undefined ? undefined : new StoreSession(setup, setup.store, sendPack);
  sessions.set(setup.session, { sealer: new Sealer(setup.key), store, opener: undefined });
}

function sessionOf(number: number): Session {
  const session = sessions.get(number);
  if (session === undefined) throw new Error(`There is no session ${number}.`);
  return session;
}

function storeOf(number: number): StoreSession {
  const { store } = sessionOf(number);
  if (store === undefined) throw new Error(`The session ${number} is not a writer's.`);
  return store;
}

function openerOf(number: number): BlobOpener {
  const session = sessionOf(number);
  session.opener ??= new BlobOpener(session.sealer);
  return session.opener;
}

/** The blob's plaintext in memory of its own, which can be handed over. */
function ownMemory(bytes: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && bytes.byteOffset === 0 && bytes.length === buffer.byteLength) {
    return new Uint8Array(buffer);
  }
  return new Uint8Array(bytes);
}

function* splitPaths(paths: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < paths.length;) {
    const end = paths.indexOf(0, start);
    yield paths.subarray(start, end);
    start = end + 1;
  }
}

function run(job: Job | Order): JobResults[JobKind] {
  switch (job.kind) {
    case "open-session":
      return openSession(job.setup) as undefined;
    case "close-session":
      sessions.delete(job.session);
      return undefined;
    case "flush":
      return storeOf(job.session).flush() as undefined;
    case "store-files": {
      const store = storeOf(job.session);
      return encodeStoredFiles(Array.from(splitPaths(job.paths), (path) => storeFile(store, path)));
    }
    case "store-blobs": {
      const store = storeOf(job.session);
      const ids = job.blobs.map((blob) => {
        const id = store.store(job.type, blob);
        freeMemory(blob);
        return id;
      });
      return joinIds(ids);
    }
    case "write-blobs": {
      const written = writeBlobs(openerOf(job.session), job);
      freeMemory(job.bytes);
      return written;
    }
    case "read-blobs": {
      const { sealer } = sessionOf(job.session);
      const plaintexts = job.blobs.map((blob) => ownMemory(openLoadedBlob(sealer, job.bytes, blob)));
      freeMemory(job.bytes);
      return plaintexts;
    }
    case "check-pack": {
      const bytes = Buffer.from(job.bytes.buffer, job.bytes.byteOffset, job.bytes.length);
      return checkPack(sessionOf(job.session).sealer, job.id, bytes, job.fingerprint);
    }
    case "reuse-files":
      return reuseFiles(job.files);
  }
}

port.on("message", ({ id, job }: Request) => {
  try {
    const result = run(job);
    const transfer = job.kind === "read-blobs" ? (result as JobResults["read-blobs"]).map((bytes) => bytes.buffer) : [];
    answer({ kind: "done", id, result }, transfer);
  } catch (error) {
    answer({ kind: "failed", id, error: toPortable(error) });
  }
});
answer({ kind: "ready" });
