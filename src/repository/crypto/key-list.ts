import { HoldfastError } from "../../base/index.ts";
import type { Backend } from "../../storage/index.ts";
import { damaged, isDamage } from "../damage.ts";
import { hexIdOf } from "../hex-id.ts";
import { inParallel } from "../in-parallel.ts";
import type { HexId } from "../repository.ts";
import type { MasterKey } from "./envelope.ts";
import { createKeyFile, describeKeyFile, type KeyDescription, openKeyFile } from "./key-file.ts";

/** As restic: trying a password costs half a second a key. */
const maxKeysTried = 20;

/** A master key, and the key file that gave it. */
export interface FoundKey {
  readonly master: MasterKey;
  readonly id: HexId;
}

/**
 * The master key, by the first key file that opens with the password.
 * @throws HoldfastError REPOSITORY_PASSWORD_WRONG, REPOSITORY_MISSING if there is no key, REPOSITORY_DAMAGED, STORAGE_*
 */
export async function findMasterKey(backend: Backend, password: string): Promise<MasterKey> {
  return (await findKey(backend, password)).master;
}

/** The same with the id of the key file. Errors as of `findMasterKey`. */
export async function findKey(backend: Backend, password: string): Promise<FoundKey> {
  const ids = await keyIds(backend);
  let unusable: unknown;
  for (const id of ids.slice(0, maxKeysTried)) {
    try {
      const master = await openOne(backend, id, password);
      if (master !== undefined) return { master, id };
    } catch (error) {
      // Another key file may still open the repository.
      if (!(error instanceof HoldfastError) || error.code.startsWith("STORAGE_")) throw error;
      unusable ??= error;
    }
  }
  if (unusable !== undefined) throw unusable;
  if (ids.length === 0) {
    throw new HoldfastError("REPOSITORY_MISSING", `The repository at ${backend.location} has no key.`);
  }
  throw new HoldfastError(
    "REPOSITORY_PASSWORD_WRONG",
    ids.length === 1
      ? `The password is not that of the repository at ${backend.location}.`
      : `None of the ${ids.length} keys of the repository at ${backend.location} opens with this password.`,
    {
      facts: { location: backend.location, keys: ids.length },
      remedy:
        "Put the right password back where the configuration has it from; a copy of the key may be kept elsewhere.",
    },
  );
}

/** Ids of all key files, in the order in which they are tried. */
async function keyIds(backend: Backend): Promise<HexId[]> {
  const ids: HexId[] = [];
  for await (const { name } of backend.list("key")) ids.push(name);
  return ids.sort();
}

async function openOne(backend: Backend, id: HexId, password: string): Promise<MasterKey | undefined> {
  const bytes = await backend.load({ type: "key", name: id });
  const what = `key ${id}`;
  if (hexIdOf(bytes) !== id) throw damaged(`The ${what} does not match its name: it was changed or cut off.`);
  return openKeyFile(bytes, password, what);
}

/**
 * Lets the repository be opened with this password too; returns the key's id. The key is read back and opened before this
 * returns, so that an older one can be given up for it.
 * @throws HoldfastError STORAGE_*, REPOSITORY_DAMAGED if it was not stored as it was written; INPUT_INVALID for no password,
 *   or if restic would never come to try a key more
 */
export async function addKey(backend: Backend, master: MasterKey, password: string): Promise<HexId> {
  if (password === "") throw new HoldfastError("INPUT_INVALID", "The password of a repository cannot be empty.");
  if ((await keyIds(backend)).length >= maxKeysTried) {
    throw new HoldfastError(
      "INPUT_INVALID",
      `The repository at ${backend.location} has ${maxKeysTried} keys already.`,
      {
        facts: { keys: maxKeysTried },
        remedy: "Remove one first:  holdfast repo:key:list, then repo:key:remove",
      },
    );
  }
  const bytes = await createKeyFile(master, password, new Date());
  const id = hexIdOf(bytes);
  await backend.save({ type: "key", name: id }, bytes);
  const opened = await openOne(backend, id, password);
  if (opened === undefined || !sameKey(opened, master)) throw damaged(`The key ${id} does not open with its password.`);
  return id;
}

/** Every key file, oldest first; one that cannot be read has no description. @throws HoldfastError STORAGE_* */
export async function listKeys(
  backend: Backend,
): Promise<{ readonly id: HexId; readonly description: KeyDescription | undefined }[]> {
  const keys = await inParallel(await keyIds(backend), 8, async (id) => ({
    id,
    description: await describeOne(backend, id),
  }));
  return keys.sort((a, b) => timeOf(a.description) - timeOf(b.description));
}

/**
 * Removes a key: its password opens the repository no more. Whoever has read the repository with it knows the master key, and
 * keeps that. The caller holds the repository alone, so that two do not remove each other's last key.
 * @throws HoldfastError INPUT_INVALID if there is no such key, or no other that can be read; STORAGE_*
 */
export async function removeKey(backend: Backend, id: HexId): Promise<void> {
  const keys = await listKeys(backend);
  if (!keys.some((key) => key.id === id)) {
    throw new HoldfastError("INPUT_INVALID", `The repository at ${backend.location} has no key ${id}.`, {
      remedy: "See which there are:  holdfast repo:key:list",
    });
  }
  if (!keys.some((key) => key.id !== id && key.description !== undefined)) {
    throw new HoldfastError(
      "INPUT_INVALID",
      `The key ${id.slice(0, 8)} is the last one: nobody could read the backups.`,
      {
        facts: { key: id },
        remedy: "Add another password first:  holdfast repo:key:add --new-password-file FILE",
      },
    );
  }
  await backend.remove({ type: "key", name: id });
}

async function describeOne(backend: Backend, id: HexId): Promise<KeyDescription | undefined> {
  const bytes = await backend.load({ type: "key", name: id });
  if (hexIdOf(bytes) !== id) return undefined;
  try {
    return describeKeyFile(bytes, `key ${id}`);
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

const timeOf = (description: KeyDescription | undefined): number => description?.createdAt.getTime() ?? 0;

const sameKey = (one: MasterKey, other: MasterKey): boolean =>
  (["encrypt", "macK", "macR"] as const).every((part) => Buffer.compare(one[part], other[part]) === 0);
