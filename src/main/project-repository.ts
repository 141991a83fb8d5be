import { HoldfastError, isHoldfastError } from "../base/index.ts";
import type { InitOutcome } from "../cli/index.ts";
import type { ProjectConfig, ReplicaConfig } from "../config/index.ts";
import { createRepository, openRepository, type Repository } from "../repository/index.ts";
import { type Backend, LocalBackend } from "../storage/index.ts";
import { createPasswordFile, readPasswordFile } from "./password-file.ts";

/** The project's one replica. @throws HoldfastError CONFIG_INVALID for what this version cannot do */
function openBackend(project: ProjectConfig): Backend {
  const [replica, ...others] = project.repository.replicas;
  if (replica === undefined) throw new TypeError("a checked configuration has a replica");
  const unsupported = project.repository.replicas.find(({ type }) => type !== "local");
  if (unsupported !== undefined) throw unsupportedReplica(project, unsupported);
  if (others.length > 0) {
    throw new HoldfastError(
      "CONFIG_INVALID",
      `The repository of project ${project.id} has ${others.length + 1} replicas; several are not supported by this version.`,
      { facts: { project: project.id }, remedy: "Leave one replica in the configuration." },
    );
  }
  if (replica.type !== "local") throw unsupportedReplica(project, replica);
  return new LocalBackend(replica.path);
}

function unsupportedReplica(project: ProjectConfig, replica: ReplicaConfig): HoldfastError {
  return new HoldfastError(
    "CONFIG_INVALID",
    `The replica ${replica.name} of project ${project.id}: type ${replica.type} is not supported by this version.`,
    { facts: { project: project.id, replica: replica.name }, remedy: "Use a replica of type local." },
  );
}

/** Whether there is a repository, without its password. */
async function repositoryExists(backend: Backend): Promise<boolean> {
  try {
    await backend.stat({ type: "config", name: "config" });
    return true;
  } catch (error) {
    if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return false;
    throw error;
  }
}

/** Makes the password file, unless a repository is there that a new password could never open. */
export async function createProjectPassword(project: ProjectConfig): Promise<InitOutcome> {
  const { passwordFile } = project.repository;
  if ((await readPasswordFile(passwordFile)) !== undefined) return "there already";
  await using backend = closing(openBackend(project));
  if (await repositoryExists(backend.value)) throw passwordMissing(project, backend.value.location);
  return (await createPasswordFile(passwordFile)) ? "created" : "there already";
}

/** Makes the repository, or makes sure that the password opens the one that is there. */
export async function createProjectRepository(project: ProjectConfig): Promise<InitOutcome> {
  await using backend = closing(openBackend(project));
  if (await repositoryExists(backend.value)) {
    await (await openProjectRepository(project)).close();
    return "there already";
  }
  const password = await readPasswordFile(project.repository.passwordFile);
  if (password === undefined) throw passwordMissing(project, backend.value.location);
  await createRepository(backend.value, { password });
  return "created";
}

/** @throws HoldfastError REPOSITORY_MISSING, REPOSITORY_PASSWORD_WRONG, CONFIG_INVALID, STORAGE_* */
export async function openProjectRepository(project: ProjectConfig): Promise<Repository> {
  const backend = openBackend(project);
  const password = await readPasswordFile(project.repository.passwordFile);
  if (password === undefined) {
    await using closed = closing(backend);
    if (await repositoryExists(closed.value)) throw passwordMissing(project, backend.location);
    throw new HoldfastError("REPOSITORY_MISSING", `There is no repository at ${backend.location}.`, {
      facts: { location: backend.location },
      remedy: "Make it:  holdfast init",
    });
  }
  return openRepository(backend, { password });
}

function passwordMissing(project: ProjectConfig, location: string): HoldfastError {
  const { passwordFile } = project.repository;
  return new HoldfastError(
    "CONFIG_INVALID",
    `The password file ${passwordFile} is missing, and the repository at ${location} opens with nothing else.`,
    { facts: { passwordFile, location }, remedy: "Put the file back from where you keep a copy of it." },
  );
}

function closing(backend: Backend): AsyncDisposable & { readonly value: Backend } {
  return { value: backend, [Symbol.asyncDispose]: () => backend.close() };
}
