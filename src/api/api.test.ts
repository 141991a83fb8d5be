import { connect } from "node:net";
import { createRequire } from "node:module";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "../base/index.ts";
import type { User } from "../control/index.ts";
import { ApiUnderTest, author, environmentOf, linksOf, shop } from "./testing/api-under-test.ts";
import { document } from "./testing/contract-check.ts";

const password = "correct horse battery staple";

let nowMs = 0;
const clock: Clock = { now: () => new Date(nowMs), monotonicMs: () => nowMs };

let api: ApiUnderTest;
let admin: User;
let token: string;

beforeEach(async () => {
  nowMs = Date.parse("2026-11-25T08:00:00Z");
  api = await ApiUnderTest.start({ clock });
  admin = await api.user("ann", ["admin"]);
  token = await api.tokenOf(admin);
});
afterEach(() => api.stop());

const main = environmentOf("production");
const inMain = (more: Readonly<Record<string, string>> = {}) => ({ project: shop, environment: main, ...more });

describe("the OpenAPI document", () => {
  test("is valid by OpenAPI's own schema, and served as it is", async () => {
    const { Validator } = createRequire(import.meta.url)("@seriousme/openapi-schema-validator") as {
      readonly Validator: new () => {
        validate(document: unknown): Promise<{ readonly valid: boolean; readonly errors?: unknown }>;
        readonly version: string;
      };
    };
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(document));
    expect(errors).toBeUndefined();
    expect([valid, validator.version]).toEqual([true, "3.1"]);
    const served = await api.call("getOpenApi");
    expect(served.json).toEqual(document);
  });
});

describe("signing in", () => {
  const form = (fields: Readonly<Record<string, string>>) => new URLSearchParams(fields).toString();
  const exchange = (body: string, headers: Readonly<Record<string, string>> = {}) =>
    api.fetch("POST", "/oauth2/token", { body, headers });

  test("takes an API token as a form or as JSON, with the clients' names in header or body", async () => {
    const { secret } = await api.catalog.access.apiTokens.create(admin.id, "t", author);
    const fields = { grant_type: "api_token", api_token: secret };
    const basic = { authorization: `Basic ${Buffer.from("platform-api-user:").toString("base64")}` };
    const answers = [
      await exchange(form({ client_id: "upsun-cli", client_secret: "", ...fields })),
      await exchange(form(fields), basic),
      await exchange(JSON.stringify(fields), { "content-type": "application/json" }),
      await exchange(JSON.stringify(fields), { "content-type": "application/x-www-form-urlencoded" }),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject({ expires_in: 900, token_type: "bearer" });
      const { access_token: access } = answer.json as { access_token: string };
      expect((await api.call("getUser", { user: "me" }, { token: access })).json).toMatchObject({ id: admin.id });
    }
  });

  test("is refused by RFC 6749's words, and ends with the token", async () => {
    const wrong = await exchange(form({ grant_type: "api_token", api_token: "hft_none" }));
    expect([wrong.status, wrong.json]).toMatchObject([400, { error: "invalid_grant", code: 400 }]);
    expect((await exchange(form({ grant_type: "magic" }))).json).toMatchObject({ error: "invalid_request" });
    expect((await exchange(form({ grant_type: "api_token" }))).json).toMatchObject({ error: "invalid_request" });
    nowMs += 900_000;
    const late = await api.call("getUser", { user: "me" }, { token });
    expect([late.status, late.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
  });

  test("by a one-time link makes the first administrator, once; then by password, refreshed and revoked", async () => {
    const link = (await api.catalog.access.signInLinks.createForFirstAdministrator()) ?? "";
    const page = await api.call("getSetupPage");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'sha256-");
    const given = { link, password, email: "root@example.com", display_name: "Root" };
    const used = await api.call("useSignInLink", {}, { body: given });
    expect(used.json).toMatchObject({ email: "root@example.com", administrator: true });
    expect((await api.call("useSignInLink", {}, { body: given })).status).toBe(401);
    const session = await exchange(form({ grant_type: "password", username: "root@example.com", password }));
    const { refresh_token: refresh, access_token: first } = session.json as Record<string, string>;
    const next = await exchange(form({ grant_type: "refresh_token", refresh_token: refresh ?? "" }));
    const { access_token: second } = next.json as Record<string, string>;
    expect((await api.call("listUsers", {}, { token: second })).status).toBe(200);
    expect((await api.call("revokeToken", {}, { body: { token: second } })).status).toBe(200);
    expect((await api.call("listUsers", {}, { token: second })).status).toBe(401);
    expect((await api.call("listUsers", {}, { token: first })).status).toBe(401);
  });

  test("with tokens may fail only so often from one address, but the right one is never kept waiting", async () => {
    const { secret } = await api.catalog.access.apiTokens.create(admin.id, "t", author);
    const right = async () => (await exchange(form({ grant_type: "api_token", api_token: secret }))).status;
    for (let run = 0; run < 30; run += 1) expect(await right()).toBe(200);
    const wrong = () => exchange(form({ grant_type: "api_token", api_token: "hft_guess" }));
    for (let run = 0; run < 20; run += 1) expect((await wrong()).status).toBe(400);
    const limited = await wrong();
    expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "6"]);
    expect(await right()).toBe(200);
    nowMs += 6000;
    expect((await wrong()).status).toBe(400);
    expect((await api.call("getMetrics")).text).toContain("holdfast_sign_in_failures_total 22\n");
  });

  test("with wrong passwords from one network, be it with many IPv6 addresses, keeps nobody else out", async () => {
    await api.stop();
    api = await ApiUnderTest.start({ clock, trustedProxies: ["127.0.0.1"] });
    const ann = await api.user("ann");
    const { signInLinks } = api.catalog.access;
    await signInLinks.use(await signInLinks.createFor(ann.id, author), { password }, author);
    const from = async (address: string, given: string) =>
      (
        await exchange(form({ grant_type: "password", username: ann.email, password: given }), {
          "x-forwarded-for": address,
        })
      ).status;
    for (let run = 0; run < 10; run += 1) expect(await from(`2001:db8:1:2::${run}`, "wrong")).toBe(400);
    expect(await from("2001:db8:1:2:ffff::1", password)).toBe(429);
    expect(await from("2001:db8:1:3::1", password)).toBe(200);
    expect(await from("192.0.2.7", password)).toBe(200);
    const other = form({ grant_type: "password", username: "bob@example.com", password });
    expect((await exchange(other, { "x-forwarded-for": "2001:db8:1:2::1" })).status).toBe(400);
    nowMs += 60_000;
    expect(await from("2001:db8:1:2::1", password)).toBe(200);
  }, 30_000);

  test("with an API token gives no right to make oneself another way in", async () => {
    const make = (user: string, as: string) =>
      api.call("createApiToken", { user }, { token: as, body: { name: "another" } });
    const cron = await api.tokenOf(await api.user("cron", ["admin"]));
    for (const as of [cron, token]) {
      const refused = await make("me", as);
      expect([refused.status, refused.json]).toMatchObject([403, { error: "ACCESS_DENIED" }]);
    }
    const root = await api.user("root", [], true);
    const asRoot = await api.tokenOf(root);
    expect((await make(root.id, asRoot)).status).toBe(403);
    expect((await make(admin.id, asRoot)).status).toBe(201);
    const link = (user: string) => api.call("createSignInLink", { user }, { token: asRoot });
    for (const own of ["me", root.id]) {
      const refused = await link(own);
      expect([refused.status, refused.json]).toMatchObject([403, { error: "ACCESS_DENIED" }]);
    }
    expect((await link(admin.id)).status).toBe(201);
    const { signInLinks } = api.catalog.access;
    await signInLinks.use(await signInLinks.createFor(admin.id, author), { password }, author);
    const session = await exchange(form({ grant_type: "password", username: admin.email, password }));
    expect((await make("me", (session.json as { access_token: string }).access_token)).status).toBe(201);
  });
});

describe("settings", () => {
  const patch = (body: unknown) => api.call("updateSettings", { project: shop }, { token, body });
  const production = async () =>
    ((await api.call("getSettings", { project: shop }, { token })).json as { data_retention: { production: unknown } })
      .data_retention.production;

  test("are merged, in the documentation's shape and in the schema's", async () => {
    await patch({ data_retention: { production: { max_backups: 10 } } });
    const schedule = [{ interval: "1d", count: 7 }];
    await patch({ data_retention: { production: { default_config: { schedule } } } });
    expect(await production()).toEqual({ max_backups: 10, default_config: { manual_count: 2, schedule } });
    const { items } = {
      items: (await api.call("listProjectAuditTrail", { project: shop }, { token })).json as unknown[],
    };
    expect(items[0]).toMatchObject({
      action: "settings.update",
      actor: { name: "ann@example.com", address: "127.0.0.1" },
    });
  });

  test("are refused with all that is wrong, and nothing changes", async () => {
    const before = await production();
    const answer = await patch({
      data_retention: { production: { default_config: { schedule: [{ interval: "1x", count: 0 }] } }, prod: {} },
    });
    expect(answer.status).toBe(400);
    const { problems } = answer.json as { problems: { path: string }[] };
    expect(problems.map(({ path }) => path)).toEqual([
      "data_retention.production.default_config.schedule.0.interval",
      "data_retention.production.default_config.schedule.0.count",
      "data_retention",
    ]);
    expect(await production()).toEqual(before);
  });

  test("nested in each other thousands of times are refused as that", async () => {
    for (const body of ['{"a":'.repeat(40_000) + "1" + "}".repeat(40_000), "[".repeat(240_000)]) {
      const answer = await api.fetch("PATCH", `/projects/${shop}/settings`, { token, body });
      expect([answer.status, answer.json]).toMatchObject([
        400,
        { message: "The body is nested more than 100 levels deep.", error: "INPUT_INVALID" },
      ]);
    }
    const text = await api.fetch("PATCH", `/projects/${shop}/settings`, { token, body: `{"${"[".repeat(999)}": 1}` });
    expect((text.json as { problems: unknown[] }).problems).toHaveLength(1);
  });

  test("with a comma too many are refused, and the comma is pointed at", async () => {
    const body = '{"data_retention": {"production": {"max_backups": 10,\n}}}';
    const answer = await api.fetch("PATCH", `/projects/${shop}/settings`, { token, body });
    expect([answer.status, answer.json]).toMatchObject([
      400,
      { message: "The body is not JSON: there is a comma too many at line 1, column 53.", error: "INPUT_INVALID" },
    ]);
  });
});

describe("backups", () => {
  test("are listed newest first, in their environment only", async () => {
    const times = [3000, 1000, 2000].map((ms) => new Date(ms));
    for (const createdAt of times) await api.backup(main, { createdAt });
    const elsewhere = await api.backup(environmentOf("staging"));
    const { json } = await api.call("listBackups", inMain(), { token });
    expect((json as { created_at: string }[]).map(({ created_at: at }) => Date.parse(at))).toEqual([3000, 2000, 1000]);
    expect((await api.call("getBackup", inMain({ backup: elsewhere.id }), { token })).status).toBe(404);
    const got = await api.call("getBackup", { project: shop, environment: "staging", backup: elsewhere.id }, { token });
    expect(got.json).toMatchObject({ id: elsewhere.id, safe: true, restorable: true, commit_id: "1f3c9ab" });
    const details = await api.call(
      "getBackupDetails",
      { project: shop, environment: "staging", backup: elsewhere.id },
      { token },
    );
    expect(details.json).toMatchObject({ hold: { held_ms: 212.5, requests_failed: 0 }, skew_ms: 12.25 });
  });

  test("are asked for: one activity, with what the clients read, and an entry in the audit trail", async () => {
    const answer = await api.call("createBackup", inMain(), { token, body: { safe: true } });
    expect([answer.status, answer.json]).toMatchObject([200, { status: "Accepted", code: 202 }]);
    const [made] = (answer.json as { _embedded: { activities: Record<string, unknown>[] } })._embedded.activities;
    expect(made).toMatchObject({
      type: "environment.backup",
      state: "pending",
      parameters: { safe: true },
      payload: {
        user: { display_name: "ann" },
        environment: { title: "production & active" },
        backup_name: expect.stringMatching(/^[a-z2-7]{26}$/) as unknown,
      },
      text: "ann created a backup of production & active",
      description: "ann created a backup of production &amp; active",
    });
    const trail = await api.call("listProjectAuditTrail", { project: shop }, { token });
    expect((trail.json as unknown[])[0]).toMatchObject({
      action: "environment.backup",
      environment: main,
      subject: made?.["id"],
      actor: { id: admin.id, name: "ann@example.com", address: "127.0.0.1" },
      request_id: answer.headers.get("x-request-id"),
    });
  });

  test("are refused where they cannot be, and no activity is made", async () => {
    const inactive = { project: shop, environment: environmentOf("production", "inactive") };
    expect((await api.call("createBackup", inactive, { token })).json).toMatchObject({
      error: "ENVIRONMENT_INACTIVE",
      code: 409,
    });
    const noGateway = { project: shop, environment: environmentOf("development") };
    expect((await api.call("createBackup", noGateway, { token })).json).toMatchObject({ error: "CONFIG_INVALID" });
    expect((await api.call("createBackup", noGateway, { token, body: { safe: "no" } })).status).toBe(400);
    expect((await api.call("listActivities", { project: shop }, { token })).json).toEqual([]);
    expect((await api.call("createBackup", noGateway, { token, body: { safe: false } })).status).toBe(200);
  });

  test("by hand are refused and not offered where the profile forbids them", async () => {
    const commerce = await ApiUnderTest.start({ clock, profile: "commerce-pro" });
    try {
      const own = await commerce.tokenOf(await commerce.user("ann", ["admin"]));
      const answer = await commerce.call("createBackup", inMain(), { token: own });
      expect([answer.status, answer.json]).toMatchObject([403, { error: "MANUAL_BACKUP_FORBIDDEN" }]);
      expect(linksOf(await commerce.call("getEnvironment", inMain(), { token: own }))).not.toContain("#backup");
    } finally {
      await commerce.stop();
    }
  });

  test("are not restored to an environment that is not there", async () => {
    const { id: backup } = await api.backup(main);
    const to = (body: unknown) => api.call("restoreBackup", inMain({ backup }), { token, body });
    const made = await to({ environment_name: "new", branch_from: main });
    expect([made.status, made.json]).toMatchObject([400, { error: "INPUT_INVALID" }]);
    expect((await to({ environment_name: "new" })).status).toBe(404);
    expect((await to({ resources: { init: "manual" } })).status).toBe(400);
    const nulls = { environment_name: null, branch_from: null, resources: { init: "default" } };
    const answer = await to(nulls);
    const [restore] = (answer.json as { _embedded: { activities: unknown[] } })._embedded.activities;
    expect(restore).toMatchObject({ type: "environment.restore", parameters: { backup, restore_code: true } });
  });
});

describe("the server", () => {
  test("lives, is ready, and counts without names", async () => {
    expect((await api.call("getHealth")).json).toEqual({ status: "ok", version: "0.0.0" });
    expect((await api.call("getReadiness")).status).toBe(200);
    await api.call("createBackup", inMain(), { token });
    const { text } = await api.call("getMetrics");
    expect(text).toContain('holdfast_http_requests_total{operation="getHealth",status="200"} 1\n');
    expect(text).toContain('holdfast_activities{state="pending"} 1\n');
    expect(text).toMatch(/^holdfast_http_request_duration_seconds_bucket\{operation="getHealth",le="\+Inf"\} 1$/m);
    expect(text).not.toMatch(/shop|ann@/);
  });

  test("is not ready without its catalog, and says nothing of why but in its log", async () => {
    await api.catalog.close();
    const answer = await api.call("getReadiness");
    expect(answer.status).toBe(500);
    expect(answer.json).toMatchObject({ message: expect.stringContaining("Its log says why") as unknown });
    expect(answer.text).not.toContain("catalog.db");
    expect(api.log.find(({ level }) => level === "error")?.facts["request"]).toBe(answer.headers.get("x-request-id"));
  });

  test("takes a request's id from trusted proxies only", async () => {
    const forged = await api.fetch("GET", "/health", { headers: { "x-request-id": "proxy-12345" } });
    expect(forged.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("notes each request, with a proxy's id, without queries and tokens", async () => {
    await api.stop();
    api = await ApiUnderTest.start({ clock, trustedProxies: ["127.0.0.1"] });
    token = await api.tokenOf(await api.user("ann", ["admin"]));
    const spaced = await api.fetch("GET", "/health", { headers: { "x-request-id": "proxy 12345" } });
    expect(spaced.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    await api.fetch("GET", "/projects/shop?secret=1", { token, headers: { "x-request-id": "proxy-12345" } });
    expect(api.log.find(({ facts }) => facts["request"] === "proxy-12345")?.facts).toMatchObject({
      method: "GET",
      path: "/projects/shop",
      operation: "getProject",
      status: 200,
      user: "ann@example.com",
    });
    expect(JSON.stringify(api.log)).not.toContain("secret");
    expect(JSON.stringify(api.log)).not.toContain(token);
  });

  test("refuses what is too large, in another encoding, of another method, or nowhere", async () => {
    const big = await api.fetch("PATCH", "/projects/shop/settings", { token, body: `{"a":"${"x".repeat(300_000)}"}` });
    expect([big.status, (big.json as { error: string }).error]).toEqual([413, "REQUEST_TOO_LARGE"]);
    const zipped = await api.fetch("PATCH", "/projects/shop/settings", {
      token,
      body: "x",
      headers: { "content-encoding": "gzip" },
    });
    expect(zipped.status).toBe(400);
    const put = await api.fetch("PUT", "/projects/shop/settings", { token });
    expect([put.status, put.headers.get("allow")]).toEqual([405, "GET, PATCH"]);
    expect((await api.fetch("GET", "/wp-login.php")).status).toBe(404);
    expect((await api.fetch("HEAD", "/health")).text).toBe("");
    expect((await api.fetch("GET", "/health")).headers.get("cache-control")).toBe("no-store");
  });

  test("hangs up on who sends no request", async () => {
    const { hostname, port } = new URL(api.server.url);
    const socket = connect(Number(port), hostname);
    socket.write("GET / HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n");
    socket.resume();
    await once(socket, "close");
  });
});
