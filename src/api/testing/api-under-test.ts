import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import {
  type Clock,
  type EnvironmentId,
  type Facts,
  newBackupId,
  type ProjectId,
  type SourceId,
  systemClock,
} from "../../base/index.ts";
import {
  type Actor,
  type Backup,
  type CatalogPlace,
  type EnvironmentType,
  type JsonObject,
  manualBackupPolicy,
  type OpenCatalog,
  openCatalog,
  type ProfileName,
  type ProjectPermission,
  type User,
} from "../../control/index.ts";
import type { OperationName } from "../../contract/index.ts";
import { operations } from "../../contract/index.ts";
import { type RunningApiServer, startApiServer } from "../api-server.ts";
import { answerProblems } from "./contract-check.ts";

export const shop = "shop" as ProjectId;
export const author: Actor = { id: "", name: "the test", address: null };
export const environmentTypes = ["production", "staging", "development"] as const;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Of JSON. */
  readonly json: unknown;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly facts: Facts;
}

/** An API server of its own on a catalog of its own, with the shop in it: of each type an active, an inactive, a paused environment. */
export class ApiUnderTest {
  readonly catalog: OpenCatalog;
  readonly server: RunningApiServer;
  readonly log: readonly LogLine[];
  readonly #folder: string;

  private constructor(folder: string, catalog: OpenCatalog, server: RunningApiServer, log: readonly LogLine[]) {
    this.#folder = folder;
    this.catalog = catalog;
    this.server = server;
    this.log = log;
  }

  static async start(
    options: {
      readonly clock?: Clock;
      readonly profile?: ProfileName;
      readonly catalog?: CatalogPlace;
      readonly trustedProxies?: readonly string[];
    } = {},
  ): Promise<ApiUnderTest> {
    const { clock = systemClock, profile = "upsun" } = options;
    const folder = await mkdtemp(join(tmpdir(), "holdfast-api-"));
    const catalog = await openCatalog(options.catalog ?? { file: join(folder, "catalog.db") }, { clock });
    await declareShop(catalog);
    const log: LogLine[] = [];
    const keep =
      (level: string) =>
      (message: string, facts: Facts = {}): void =>
        void log.push({ level, message, facts });
    const server = await startApiServer(
      {
        catalog,
        clock,
        version: "0.0.0",
        contents: {
          sizes: async () => ({ bytes: 4, bytesStored: 3, bytesUnique: 2, bytesNew: 1 }),
          files: async () => [],
          archive: async () => ({
            bytes: (async function* () {
              yield Buffer.alloc(1024);
            })(),
            summary: () => ({ entries: 0, bytes: 0, skipped: [] }),
          }),
        },
        log: { debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") },
        configured: (project) =>
          project !== shop
            ? undefined
            : {
                profile,
                storage: "disk",
                replicas: ["disk"],
                environment: (id) => {
                  const type = environmentTypes.find((one) => id === one || id.startsWith(`${one}-`));
                  return type === undefined
                    ? undefined
                    : {
                        hasGateway: type !== "development",
                        hasCode: true,
                        components: [{ id: "service:db" as SourceId, kind: "postgresql" }],
                        manualBackups: manualBackupPolicy(profile, type),
                      };
                },
              },
      },
      { host: "127.0.0.1", port: 0, trustedProxies: options.trustedProxies ?? [] },
    );
    return new ApiUnderTest(folder, catalog, server, log);
  }

  /** As the configuration has it: what else there is is not in it any more. */
  declareShop(): Promise<void> {
    return declareShop(this.catalog);
  }

  /** As a worker does: the activity, whatever waits before it, is complete. */
  async complete(id: string, payload: JsonObject = {}): Promise<void> {
    const { queue } = this.catalog;
    const worker = { id: "the test", place: "here", serves: () => true };
    for (;;) {
      const claim = await queue.claim(worker, { leaseMs: 30_000, limits: { inProject: 9, inStorage: 9 } });
      if (claim === undefined) throw new RangeError(`no activity ${id} waits`);
      const isIt = claim.activity.id === id;
      await queue.end(claim, { result: "success", outcome: "done", ...(isIt ? { payload } : {}) });
      if (isIt) return;
    }
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await this.catalog.close();
    await rm(this.#folder, { recursive: true });
  }

  /** A user with permissions in the shop. */
  async user(name: string, permissions: readonly ProjectPermission[] = [], administrator = false): Promise<User> {
    const { users, projectAccess } = this.catalog.access;
    const user = await users.create({ kind: "person", email: `${name}@example.com`, administrator }, author);
    if (permissions.length > 0) await projectAccess.set(shop, user.id, permissions, author);
    return user;
  }

  /** An access token of the user's. */
  async tokenOf(user: User): Promise<string> {
    const { secret } = await this.catalog.access.apiTokens.create(user.id, "test", author);
    return (await this.catalog.access.sessions.signInWithApiToken(secret)).accessToken;
  }

  /** A backup that is complete. */
  async backup(environment: EnvironmentId, change: Partial<Backup> = {}): Promise<Backup> {
    const backup = backupIn(environment, change);
    await this.catalog.insert(backup);
    return backup;
  }

  /** One request, whose answer has to be as the OpenAPI document says. */
  async call(
    name: OperationName,
    parameters: Readonly<Record<string, string>> = {},
    options: { readonly token?: string | undefined; readonly body?: unknown; readonly query?: string } = {},
  ): Promise<Answer> {
    const { method, path } = operations[name];
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) =>
      encodeURIComponent(parameters[parameter] ?? ""),
    );
    const answer = await this.fetch(method, filled + (options.query ?? ""), options);
    expect(answerProblems(name, answer.status, answer.headers.get("content-type") ?? "", answer.text)).toEqual([]);
    return answer;
  }

  async fetch(
    method: string,
    path: string,
    options: {
      readonly token?: string | undefined;
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<Answer> {
    const { token, body, headers } = options;
    const response = await fetch(this.server.url + path, {
      method,
      headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type") === "application/json";
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson && text !== "" ? (JSON.parse(text) as unknown) : undefined,
    };
  }
}

async function declareShop(catalog: OpenCatalog): Promise<void> {
  const statuses = ["active", "inactive", "paused"] as const;
  await catalog.projects.declare(
    [
      {
        id: shop,
        title: "Shop",
        environments: environmentTypes.flatMap((type) =>
          statuses.map((status) => ({
            id: environmentOf(type, status),
            title: `${type} & ${status}`,
            type,
            parent: undefined,
            initialStatus: status,
          })),
        ),
      },
    ],
    { complete: true },
  );
}

export const environmentOf = (
  type: EnvironmentType,
  status: "active" | "inactive" | "paused" = "active",
): EnvironmentId => (status === "active" ? type : `${type}-${status}`) as EnvironmentId;

/** The names of an answer's links. */
export const linksOf = ({ json }: Answer): readonly string[] =>
  Object.keys((json as { readonly _links: Readonly<Record<string, unknown>> })._links);

function backupIn(environment: EnvironmentId, change: Partial<Backup>): Backup {
  const createdAt = new Date("2026-11-21T04:12:00.123Z");
  return {
    id: newBackupId(),
    project: shop,
    environment,
    snapshot: "ab".repeat(32),
    createdAt,
    updatedAt: createdAt,
    expiresAt: null,
    status: "CREATED",
    automated: false,
    safe: true,
    restorable: true,
    commitId: "1f3c9ab",
    hold: { drainMs: 38, heldMs: 212.5, requestsHeld: 31, longestWaitMs: 214, requestsFailed: 0 },
    skewMs: 12.25,
    durationMs: 9800,
    sizeBytes: 2_400_000_000,
    written: { bytesNew: 61_000_000, bytesStored: 14_000_000, blobsNew: 61 },
    components: [
      {
        source: "service:db" as SourceId,
        kind: "postgresql",
        path: "services/db",
        frozenAt: createdAt,
        freezeMs: 0.9,
        freezeFacts: {},
        files: 3,
        bytes: 212,
      },
    ],
    warnings: [{ source: null, kind: "file-changing", message: "media/a.jpg went on changing" }],
    ...change,
  };
}
