import { randomBytes } from "node:crypto";
import { HoldfastError } from "../base/index.ts";
import { damaged, parseStoredJson, storedObject } from "./damage.ts";
import { isHexId } from "./hex-id.ts";
import { isIrreducible, randomPolynomial } from "./polynomial.ts";
import type { HexId } from "./repository.ts";

export interface RepositoryConfig {
  readonly id: HexId;
  /** For restic's chunker. */
  readonly chunkerPolynomial: bigint;
}

const version = 2;

/** A new repository's: random id and polynomial. */
export function newConfig(): RepositoryConfig {
  return { id: randomBytes(32).toString("hex"), chunkerPolynomial: randomPolynomial() };
}

/** The JSON that the config's envelope holds. */
export function encodeConfig(config: RepositoryConfig): Buffer {
  const polynomial = config.chunkerPolynomial.toString(16);
  return Buffer.from(`{"version":${version},"id":"${config.id}","chunker_polynomial":"${polynomial}"}`);
}

/** @throws HoldfastError REPOSITORY_DAMAGED, REPOSITORY_UNSUPPORTED for another version than 2 */
export function decodeConfig(json: Uint8Array): RepositoryConfig {
  const stored = storedObject(parseStoredJson(json, "config"), "config");
  if (stored["version"] !== version) {
    throw new HoldfastError(
      "REPOSITORY_UNSUPPORTED",
      `The repository is of version ${JSON.stringify(stored["version"])}; only version ${version} is supported.`,
      { remedy: "Upgrade it with `restic migrate upgrade_repo_v2`." },
    );
  }
  const { id, chunker_polynomial: polynomial } = stored;
  if (!isHexId(id) || typeof polynomial !== "string" || !/^[0-9a-f]{1,16}$/.test(polynomial)) {
    throw damaged("The config is malformed.");
  }
  const chunkerPolynomial = BigInt(`0x${polynomial}`);
  if (!isIrreducible(chunkerPolynomial)) throw damaged("The config's chunker polynomial is not irreducible.");
  return { id, chunkerPolynomial };
}
