import { HoldfastError } from "../../base/index.ts";
import type { Backend } from "../../storage/index.ts";
import { damaged } from "../damage.ts";
import { hexIdOf } from "../hex-id.ts";
import type { HexId } from "../repository.ts";
import type { MasterKey } from "./envelope.ts";
import { createKeyFile, openKeyFile } from "./key-file.ts";

/** As restic: trying a password costs half a second a key. */
const maxKeysTried = 20;

/**
 * The master key, by the first key file that opens with the password.
 * @throws HoldfastError REPOSITORY_PASSWORD_WRONG, REPOSITORY_MISSING if there is no key, REPOSITORY_DAMAGED, STORAGE_*
 */
export async function findMasterKey(backend: Backend, password: string): Promise<MasterKey> {
  const ids: HexId[] = [];
  for await (const { name } of backend.list("key")) ids.push(name);
  let unusable: unknown;
  for (const id of ids.sort().slice(0, maxKeysTried)) {
    try {
      const master = await openOne(backend, id, password);
      if (master !== undefined) return master;
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
    `None of the ${ids.length} keys of the repository at ${backend.location} opens with this password.`,
    { facts: { location: backend.location, keys: ids.length } },
  );
}

async function openOne(backend: Backend, id: HexId, password: string): Promise<MasterKey | undefined> {
  const bytes = await backend.load({ type: "key", name: id });
  const what = `key ${id}`;
  if (hexIdOf(bytes) !== id) throw damaged(`The ${what} does not match its name: it was changed or cut off.`);
  return openKeyFile(bytes, password, what);
}

/** Lets the repository be opened with this password too; returns the key's id. @throws HoldfastError STORAGE_* */
export async function addKey(backend: Backend, master: MasterKey, password: string): Promise<HexId> {
  const bytes = await createKeyFile(master, password, new Date());
  const id = hexIdOf(bytes);
  await backend.save({ type: "key", name: id }, bytes);
  return id;
}
