import { join } from "node:path";
import { HoldfastError, isHoldfastError } from "../base/index.ts";
import type { Backend } from "../storage/index.ts";
import { FileReadHistory, MemoryReadHistory } from "./check/read-history.ts";
import { decodeConfig, encodeConfig, newConfig } from "./config-file.ts";
import { type MasterKey, Sealer, sealEnvelope } from "./crypto/envelope.ts";
import { generateMasterKey } from "./crypto/key-file.ts";
import { addKey, findKey, findMasterKey } from "./crypto/key-list.ts";
import { OpenRepository } from "./open-repository.ts";
import type { HexId, Repository } from "./repository.ts";

export interface CreateRepositoryOptions {
  /** Without it nothing in the repository can be read. Not empty. */
  readonly password: string;
}

export interface OpenRepositoryOptions {
  readonly password: string;
  /** Worker threads. Default: as many as there are processors, at most 8. */
  readonly workers?: number;
  /** Each backup reads back and verifies what it has stored before it is complete. Default: false. */
  readonly verifyWrites?: boolean;
  /** Folder for what is remembered of repositories, made if missing; each gets one of its own in it. Default: memory. */
  readonly stateFolder?: string;
}

const configHandle = { type: "config", name: "config" } as const;

/**
 * Makes a repository and returns its id. Killed half-way, it leaves a key without a config; called again with the same
 * password, it goes on from there.
 * @throws HoldfastError REPOSITORY_EXISTS if the place holds a config, snapshots, or keys of another password;
 *   INPUT_INVALID, STORAGE_*
 */
export async function createRepository(backend: Backend, options: CreateRepositoryOptions): Promise<HexId> {
  if (options.password === "") {
    throw new HoldfastError("INPUT_INVALID", "The password of a repository cannot be empty.");
  }
  if (await hasConfig(backend)) throw existing(backend);
  await refuseRemains(backend, "snapshot");
  await backend.create();
  const { master, made } = await unfinishedOrNewKey(backend, options.password);
  const config = newConfig();
  try {
    await backend.save(configHandle, sealEnvelope(master, encodeConfig(config)));
  } catch (error) {
    // With any other error, the key stays for the next call to go on with.
    if (!isHoldfastError(error, "STORAGE_EXISTS")) throw error;
    // Somebody else made one here at the same time; with our key, if it found that.
    if (made !== undefined && !(await opensConfig(backend, master))) await backend.remove({ type: "key", name: made });
    throw existing(backend);
  }
  return config.id;
}

/** The key that an earlier call left, if this password opens it; else a new one, whose file is `made`. */
async function unfinishedOrNewKey(backend: Backend, password: string): Promise<{ master: MasterKey; made?: HexId }> {
  try {
    return { master: await findMasterKey(backend, password) };
  } catch (error) {
    if (isHoldfastError(error, "REPOSITORY_PASSWORD_WRONG")) await refuseRemains(backend, "key");
    if (!isHoldfastError(error, "REPOSITORY_MISSING")) throw error;
  }
  const master = generateMasterKey();
  return { master, made: await addKey(backend, master, password) };
}

async function opensConfig(backend: Backend, master: MasterKey): Promise<boolean> {
  try {
    new Sealer(master).open(await backend.load(configHandle), "config");
    return true;
  } catch (error) {
    if (isHoldfastError(error, "REPOSITORY_DAMAGED")) return false;
    throw error;
  }
}

async function refuseRemains(backend: Backend, type: "key" | "snapshot"): Promise<void> {
  for await (const info of backend.list(type)) {
    throw new HoldfastError("REPOSITORY_EXISTS", `There is a ${type} file at ${backend.location}, but no config.`, {
      facts: { location: backend.location, [type]: info.name },
      remedy:
        "Look what is there: remove the remains of a repository that was never finished, or choose another place.",
    });
  }
}

async function hasConfig(backend: Backend): Promise<boolean> {
  try {
    await backend.stat(configHandle);
    return true;
  } catch (error) {
    if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return false;
    throw error;
  }
}

function existing(backend: Backend): HoldfastError {
  return new HoldfastError("REPOSITORY_EXISTS", `There is already a repository at ${backend.location}.`, {
    facts: { location: backend.location },
  });
}

/**
 * Opens a repository. The backend is closed with it, or here if opening fails.
 * @throws HoldfastError REPOSITORY_MISSING, REPOSITORY_PASSWORD_WRONG, REPOSITORY_UNSUPPORTED, REPOSITORY_DAMAGED, STORAGE_*
 */
export async function openRepository(backend: Backend, options: OpenRepositoryOptions): Promise<Repository> {
  try {
    if (!(await hasConfig(backend))) {
      throw new HoldfastError("REPOSITORY_MISSING", `There is no repository at ${backend.location}.`, {
        facts: { location: backend.location },
        remedy:
          "Is its disk mounted, and the location in the configuration right? If there never was one, make it:  holdfast init",
      });
    }
    const { master, id: keyId } = await findKey(backend, options.password);
    const sealer = new Sealer(master);
    const config = decodeConfig(sealer.open(await backend.load(configHandle), "config"));
    const { workers, verifyWrites = false, stateFolder } = options;
    const history =
      stateFolder === undefined ? new MemoryReadHistory() : new FileReadHistory(join(stateFolder, config.id));
    return new OpenRepository({ backend, key: master, keyId, sealer, config, workers, verifyWrites, history });
  } catch (error) {
    await backend.close();
    throw error;
  }
}
