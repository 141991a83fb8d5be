import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HoldfastError, isHoldfastError, systemErrorCode } from "../base/index.ts";
import type { InitOutcome, RepositoryPlace } from "../cli/index.ts";
import type { PasswordSource, ProjectConfig, ReplicaConfig } from "../config/index.ts";
import { createRepository, openRepository, type Repository } from "../repository/index.ts";
import { type Backend, LocalBackend } from "../storage/index.ts";
import { createPasswordFile } from "./password-file.ts";
import { describePasswordSource, type ProcessEnvironment, readPassword } from "./project-password.ts";

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

/** Looks for the project's repository. @throws HoldfastError CONFIG_INVALID, STORAGE_* */
export async function findProjectRepository(project: ProjectConfig): Promise<RepositoryPlace> {
  await using backend = closing(openBackend(project));
  const there = await repositoryExists(backend.value);
  const [replica] = project.repository.replicas;
  const parent = replica?.type === "local" ? dirname(replica.path) : undefined;
  const missing = !there && parent !== undefined && !(await pathExists(parent));
  return { there, location: backend.value.location, missingParent: missing ? parent : undefined };
}

async function pathExists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    // Making the repository tells what is wrong with it.
    if (systemErrorCode(error) !== undefined) return true;
    throw error;
  }
}

/** Makes the password file, unless a repository is there that a new password could never open. */
export async function createProjectPassword(project: ProjectConfig, env: ProcessEnvironment): Promise<InitOutcome> {
  const { password: source } = project.repository;
  if ((await readPassword(source, env)) !== undefined || source.kind !== "file") return "there already";
  await using backend = closing(openBackend(project));
  if (await repositoryExists(backend.value)) throw passwordMissing(source, backend.value.location);
  return (await createPasswordFile(source.file)) ? "created" : "there already";
}

/** Makes the repository, or makes sure that the password opens the one that is there. */
export async function createProjectRepository(project: ProjectConfig, context: OpenContext): Promise<InitOutcome> {
  await using backend = closing(openBackend(project));
  if (await repositoryExists(backend.value)) {
    await (await openProjectRepository(project, context)).close();
    return "there already";
  }
  const { password: source } = project.repository;
  const password = await readPassword(source, context.env);
  if (password === undefined) throw passwordMissing(source, backend.value.location);
  await createRepository(backend.value, { password });
  return "created";
}

/** What opening a repository needs beside its project. */
export interface OpenContext {
  readonly env: ProcessEnvironment;
  readonly stateDirectory: string;
  readonly signal?: AbortSignal;
}

/** @throws HoldfastError REPOSITORY_MISSING, REPOSITORY_PASSWORD_WRONG, CONFIG_INVALID, STORAGE_*, INTERRUPTED */
export async function openProjectRepository(project: ProjectConfig, context: OpenContext): Promise<Repository> {
  const { password: source } = project.repository;
  const backend = openBackend(project);
  const password = await readPassword(source, context.env, context.signal);
  if (password === undefined) {
    await using closed = closing(backend);
    if (await repositoryExists(closed.value)) throw passwordMissing(source, backend.location);
    throw new HoldfastError("REPOSITORY_MISSING", `There is no repository at ${backend.location}.`, {
      facts: { location: backend.location },
      remedy: "Is its disk mounted? If there never was one, make it:  holdfast init",
    });
  }
  return openRepository(backend, {
    password,
    verifyWrites: project.repository.verifyWrites,
    stateFolder: join(context.stateDirectory, "repositories"),
  });
}

function passwordMissing(source: PasswordSource, location: string): HoldfastError {
  const file = describePasswordSource(source);
  return new HoldfastError(
    "CONFIG_INVALID",
    `The password file ${file} is missing, and the repository at ${location} opens with nothing else.`,
    { facts: { passwordFile: file, location }, remedy: "Put the file back from where you keep a copy of it." },
  );
}

function closing(backend: Backend): AsyncDisposable & { readonly value: Backend } {
  return { value: backend, [Symbol.asyncDispose]: () => backend.close() };
}
