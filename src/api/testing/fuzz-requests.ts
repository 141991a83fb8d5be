import { request as httpRequest } from "node:http";
import { type Operation, type OperationName, operations } from "../../contract/index.ts";
import { type ApiUnderTest, author, environmentOf, shop } from "./api-under-test.ts";
import { answerProblems, document } from "./contract-check.ts";
import { hostileText, type Random, seededRandom, valueOf } from "./fuzz-values.ts";

/** One request, as it goes out. */
export interface FuzzRequest {
  readonly name: OperationName;
  readonly method: string;
  /** With the query; in any bytes that HTTP lets through. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | undefined;
}

export interface FuzzReport {
  readonly requests: number;
  /** How often each status came. */
  readonly statuses: Readonly<Record<string, number>>;
  /** What should not be: at most 20. */
  readonly problems: readonly string[];
  readonly slowestMs: number;
}

/** Longer than any answer takes: the server's own time limits are 10 s. */
const hangMs = 30_000;

/** What an answer must never hold: traces of the program and its machine. */
const leaks = /\n\s+at .+:\d+|node_modules|file:\/\/|\.ts:\d+|\/tmp\/|catalog\.db|SQLITE|scrypt\$|hft_[\w-]{43}/;

/**
 * Sends requests made from the OpenAPI document, with hostile values in each place, by everybody and nobody: no 5xx, no answer that
 * the document does not have, no trace of a secret, no hang.
 */
export async function fuzzApi(api: ApiUnderTest, seed: number, requests: number): Promise<FuzzReport> {
  const random = seededRandom(seed);
  const tokens = await prepare(api);
  let ids: KnownIds = { backup: [], user: [], token: [], activity: [] };
  const statuses: Record<string, number> = {};
  const problems: string[] = [];
  let slowestMs = 0;
  for (let run = 0; run < requests; run += 1) {
    if (run % 250 === 0) ids = await renew(api, run);
    const request = requestOf(random, tokens, ids);
    const startMs = performance.now();
    const answer = await send(api.server.url, request);
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    for (const problem of problemsOf(request, answer)) {
      if (problems.length < 20) problems.push(`seed ${seed}, request ${run}: ${problem}\n${JSON.stringify(request)}`);
    }
  }
  const failed = api.log.filter(({ level }) => level === "error");
  for (const { message, facts } of failed.slice(0, 5)) problems.push(`logged: ${message} ${JSON.stringify(facts)}`);
  const log = JSON.stringify(api.log);
  for (const token of tokens) if (log.includes(token)) problems.push("the log has an access token");
  return { requests, statuses, problems, slowestMs };
}

/** Of things that exist, by the parameter that names them. */
interface KnownIds {
  readonly backup: readonly string[];
  readonly user: readonly string[];
  readonly token: readonly string[];
  readonly activity: readonly string[];
}

/** Access tokens of users with several roles. */
async function prepare(api: ApiUnderTest): Promise<readonly string[]> {
  const users = [
    await api.user("fuzz-root", [], true),
    await api.user("fuzz-admin", ["admin"]),
    await api.user("fuzz-viewer", ["viewer", "staging:admin"]),
    await api.user("fuzz-stranger"),
  ];
  return Promise.all(users.map((user) => api.tokenOf(user)));
}

/** Things that exist, to be changed and deleted. Activities that are open end: too many of them would refuse all others. */
async function renew(api: ApiUnderTest, run: number): Promise<KnownIds> {
  const { catalog } = api;
  for (const { id } of await catalog.activities.listOpen(shop)) await catalog.activities.cancel(shop, id, author);
  const main = environmentOf("production");
  const backups = await Promise.all([api.backup(main), api.backup(main), api.backup(main)]);
  const user = await api.user(`fuzz-${run}`, ["viewer"]);
  const token = await catalog.access.apiTokens.create(user.id, "fuzz", author);
  const made = await Promise.all(
    (["production", "staging"] as const).map((type) =>
      catalog.activities.create(
        {
          project: shop,
          environment: environmentOf(type),
          type: "environment.backup",
          parameters: {},
          payload: {},
          text: "x",
          storage: "disk",
        },
        author,
      ),
    ),
  );
  return {
    backup: backups.map(({ id }) => id),
    user: [user.id],
    token: [token.id],
    activity: made.map(({ activity }) => activity.id),
  };
}

const names = Object.keys(operations) as OperationName[];

function requestOf(random: Random, tokens: readonly string[], ids: KnownIds): FuzzRequest {
  const name = random.pick(names);
  const operation: Operation = operations[name];
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => parameterOf(random, parameter, ids));
  const token = random.chance(0.9) ? random.pick(tokens) : hostileHeader(random);
  return {
    name,
    method: random.chance(0.97) ? operation.method : random.pick(["PUT", "OPTIONS", "HEAD", "TRACE", "PATCH"]),
    path: (random.chance(0.02) ? `/${encodeURI(wellFormed(hostileText(random)))}` : path) + queryOf(random, name),
    headers: {
      ...(random.chance(0.95) ? { authorization: `Bearer ${token}` } : {}),
      ...(random.chance(0.1) ? { "content-type": hostileHeader(random) } : {}),
      ...(random.chance(0.05) ? { "x-forwarded-for": hostileHeader(random) } : {}),
      ...(random.chance(0.05) ? { "x-request-id": hostileHeader(random) } : {}),
      ...(random.chance(0.02) ? { "content-encoding": random.pick(["gzip", "identity", "br"]) } : {}),
    },
    body: bodyOf(random, name),
  };
}

/** What exists, mostly; else anything. */
function parameterOf(random: Random, parameter: string, ids: KnownIds): string {
  const known: Readonly<Record<string, readonly string[]>> = {
    project: [shop],
    environment: ["production", "staging", "development", "staging-paused", "production-inactive"],
    ...ids,
    user: ["me", ...ids.user],
    type: ["production", "staging"],
  };
  const values = known[parameter] ?? [];
  if (values.length > 0 && random.chance(0.8)) return random.pick(values);
  return random.pick([
    encodeURIComponent(wellFormed(hostileText(random))) || "x",
    "%zz",
    "%00",
    "..%2f..%2f",
    "a/b",
    "__proto__",
    "aaaaaaaaaaaaaaaaaaaaaaaaaa",
  ]);
}

function queryOf(random: Random, name: OperationName): string {
  const { query } = operations[name] as Operation;
  const isLog = name.endsWith("Log");
  if (random.chance(query === undefined ? 0.9 : 0.3)) return isLog ? "?max_delay=0" : "";
  const keys = [...Object.keys(query?.shape ?? {}), "__proto__", "x[]", hostileText(random)];
  const pairs = Array.from({ length: random.below(4) }, () => {
    const value = random.pick(["0", "-1", "1e308", "NaN", "", "2026-11-21T04:12:00Z", "pending", hostileText(random)]);
    return `${encodeURIComponent(wellFormed(random.pick(keys)))}=${encodeURIComponent(wellFormed(value))}`;
  });
  // Followed until the activity ends, a log would not end here.
  if (isLog) pairs.push("max_delay=0");
  return `?${pairs.join("&")}`;
}

function bodyOf(random: Random, name: OperationName): string | Buffer | undefined {
  const operation = document.paths[operations[name].path]?.[operations[name].method.toLowerCase()];
  const schema = operation?.requestBody?.content["application/json"]?.schema;
  if (schema === undefined && random.chance(0.9)) return undefined;
  const kind = random.below(20);
  if (kind === 0) return undefined;
  if (kind === 1) return Buffer.from(Array.from({ length: random.below(200) }, () => random.below(256)));
  if (kind === 2) return "[".repeat(random.below(100_000));
  if (kind === 3) return `{"a":"${"x".repeat(random.below(400_000))}"}`;
  if (kind === 4) return new URLSearchParams([[hostileText(random), hostileText(random)]]).toString();
  const text = JSON.stringify(valueOf(random, schema ?? {}, kind < 12 ? 0 : 0.2));
  if (kind === 5) return text.slice(0, random.below(text.length + 1));
  if (kind === 6) return text.replaceAll(/([}\]])/g, ",$1");
  return text;
}

/** Headers take no line ends and no characters beyond Latin-1. */
const hostileHeader = (random: Random): string =>
  hostileText(random)
    .replaceAll(/[^\x20-\x7e]/g, "?")
    .slice(0, 2000);

const wellFormed = (text: string): string => text.toWellFormed().slice(0, 2000);

interface FuzzAnswer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

async function send(url: string, { method, path, headers, body }: FuzzRequest): Promise<FuzzAnswer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const request = httpRequest({ hostname, port, method, path, headers, timeout: hangMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers["content-type"] ?? "",
          text: Buffer.concat(chunks).toString(),
        }),
      );
    });
    request.on("timeout", () => request.destroy(new Error(`no answer for ${hangMs} ms`)));
    request.on("error", (error: NodeJS.ErrnoException) => {
      // A server may hang up on a body that it does not want before all of it is sent.
      if (error.code === "EPIPE" || error.code === "ECONNRESET") resolve({ status: 413, type: "", text: "" });
      else resolve({ status: 0, type: "", text: error.message });
    });
    request.end(body);
  });
}

function problemsOf({ name, method }: FuzzRequest, { status, type, text }: FuzzAnswer): string[] {
  const found: string[] = [];
  if (status === 0) found.push(text);
  if (status >= 500) found.push(`status ${status}: ${text.slice(0, 300)}`);
  const leak = name === "createApiToken" || name === "getSetupPage" ? null : leaks.exec(text);
  if (leak !== null) found.push(`the answer has ${JSON.stringify(leak[0])}`);
  // Where the path or method was changed, some other operation, or none, has answered.
  const isOwn = method === operations[name].method && status < 300 && type !== "";
  if (isOwn) found.push(...answerProblems(name, status, type, text));
  return found;
}
