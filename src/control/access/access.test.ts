import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Clock, type ErrorCode, isHoldfastError, type ProjectId } from "../../base/index.ts";
import { type OpenCatalog, openCatalog } from "../catalog/open-catalog.ts";
import { catalogKinds, useCatalogPlaces } from "../testing/catalog-places.ts";
import type { Access } from "./access.ts";
import type { Actor } from "../activities/activity.ts";
import type { UserId } from "./users.ts";

const shop = "shop" as ProjectId;
const author: Actor = { id: "", name: "the test", address: "192.0.2.7", requestId: "request-1" };
const password = "correct horse battery staple";

const places = useCatalogPlaces();
let nowMs = 0;
const clock: Clock = { now: () => new Date(nowMs), monotonicMs: () => nowMs };

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    if (isHoldfastError(error)) return error.code;
    throw error;
  }
}

describe.each(catalogKinds)("access, with the catalog on %s", (kind) => {
  let catalog: OpenCatalog;
  let access: Access;

  beforeEach(async () => {
    nowMs = Date.parse("2026-11-21T04:12:00Z");
    catalog = await openCatalog(places.fresh(kind), { clock });
    access = catalog.access;
  }, 30_000);
  afterEach(() => catalog.close());

  const person = (email = "ann@example.com") => access.users.create({ kind: "person", email }, author);
  const machine = () => access.users.create({ kind: "machine", email: "cron@example.com" }, author);
  const administrator = async () => {
    const link = (await access.signInLinks.createForFirstAdministrator()) ?? "";
    return access.signInLinks.use(link, { password, email: "root@example.com" }, author);
  };

  test("users are unique by their address, whatever its case", async () => {
    const ann = await person("Ann@Example.com");
    expect(ann).toMatchObject({
      email: "ann@example.com",
      displayName: "ann",
      administrator: false,
      hasPassword: false,
    });
    expect(await codeOf(person("ANN@example.com"))).toBe("USER_EXISTS");
    for (const address of ["no address", "a\u001b[2J@example.com", "a@exam\u0007ple.com", "a\u202eb@example.com"]) {
      expect(await codeOf(person(address)), address).toBe("INPUT_INVALID");
    }
    const withName = (displayName: string) =>
      access.users.create({ kind: "person", email: "eve@example.com", displayName }, author);
    expect(await codeOf(withName("Eve\u001b]0;owned"))).toBe("INPUT_INVALID");
    expect(await codeOf(access.users.update(ann.id, { displayName: "Ann\nroot" }, author))).toBe("INPUT_INVALID");
    expect(await codeOf(access.apiTokens.create(ann.id, "night\rly", author))).toBe("INPUT_INVALID");
    expect(await access.users.findByEmail(" ANN@example.com")).toEqual(ann);
    expect(await access.users.get("none" as UserId)).toBeUndefined();
  });

  test("the first administrator comes by a link that serves once, and only while there is none", async () => {
    const first = (await access.signInLinks.createForFirstAdministrator()) ?? "";
    const second = (await access.signInLinks.createForFirstAdministrator()) ?? "";
    expect(await access.signInLinks.find(first)).toBeUndefined();
    expect(await access.signInLinks.find(second)).toMatchObject({ user: undefined });
    const given = { password, email: "root@example.com", displayName: "Root" };
    expect(await codeOf(access.signInLinks.use(second, { ...given, password: "short" }, author))).toBe("INPUT_INVALID");
    const both = await Promise.allSettled([
      access.signInLinks.use(second, given, author),
      access.signInLinks.use(second, { ...given, email: "thief@example.com" }, author),
    ]);
    expect(both.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await access.users.list()).toMatchObject([{ administrator: true, hasPassword: true }]);
    expect(await access.signInLinks.createForFirstAdministrator()).toBeUndefined();
    expect(await access.users.hasAdministrator()).toBe(true);
  });

  test("a link for the first administrator ends after a day", async () => {
    const link = (await access.signInLinks.createForFirstAdministrator()) ?? "";
    nowMs += 24 * 3_600_000;
    expect(await codeOf(access.signInLinks.use(link, { password, email: "root@example.com" }, author))).toBe(
      "SIGN_IN_FAILED",
    );
  });

  test("a password set by a link signs in, no other, and ends earlier sign-ins", async () => {
    const ann = await person();
    expect(await codeOf(access.sessions.signInWithPassword(ann.email, password))).toBe("SIGN_IN_FAILED");
    await access.signInLinks.use(await access.signInLinks.createFor(ann.id, author), { password }, author);
    const session = await access.sessions.signInWithPassword("ANN@example.com", password);
    expect(session).toMatchObject({ expiresInSeconds: 900, user: { id: ann.id } });
    for (const [email, wrong] of [
      [ann.email, `${password} `],
      [ann.email, ""],
      ["nobody@example.com", password],
    ] as const) {
      expect(await codeOf(access.sessions.signInWithPassword(email, wrong))).toBe("SIGN_IN_FAILED");
    }
    await access.signInLinks.use(
      await access.signInLinks.createFor(ann.id, author),
      { password: `${password}!` },
      author,
    );
    expect(await access.sessions.authenticate(session.accessToken)).toBeUndefined();
    expect(await codeOf(access.signInLinks.createFor((await machine()).id, author))).toBe("INPUT_INVALID");
  });

  test("an access token is valid for 15 minutes, and gone after signing out", async () => {
    const root = await administrator();
    const session = await access.sessions.signInWithPassword(root.email, password);
    nowMs += 899_000;
    expect((await access.sessions.authenticate(session.accessToken))?.user).toEqual(await access.users.get(root.id));
    expect(await access.sessions.authenticate(session.refreshToken ?? "")).toBeUndefined();
    nowMs += 1000;
    expect(await access.sessions.authenticate(session.accessToken)).toBeUndefined();
    const again = await access.sessions.refresh(session.refreshToken ?? "");
    await access.sessions.signOut(again.accessToken);
    expect(await access.sessions.authenticate(again.accessToken)).toBeUndefined();
    expect(await codeOf(access.sessions.refresh(again.refreshToken ?? ""))).toBe("SIGN_IN_FAILED");
  });

  test("a refresh token that comes twice ends all that came of its sign-in", async () => {
    const root = await administrator();
    const stolen = await access.sessions.signInWithPassword(root.email, password);
    const other = await access.sessions.signInWithPassword(root.email, password);
    const next = await access.sessions.refresh(stolen.refreshToken ?? "");
    expect(await access.sessions.authenticate(next.accessToken)).toBeDefined();
    expect(await codeOf(access.sessions.refresh(stolen.refreshToken ?? ""))).toBe("SIGN_IN_FAILED");
    expect(await access.sessions.authenticate(next.accessToken)).toBeUndefined();
    expect(await codeOf(access.sessions.refresh(next.refreshToken ?? ""))).toBe("SIGN_IN_FAILED");
    expect(await access.sessions.authenticate(other.accessToken)).toBeDefined();
  });

  test("an API token is shown once, tells of its last use, and takes its sessions with it", async () => {
    const cron = await machine();
    const { secret, ...token } = await access.apiTokens.create(cron.id, "nightly", author);
    expect(secret).toMatch(/^hft_[\w-]{43}$/);
    expect(await access.apiTokens.list(cron.id)).toEqual([token]);
    expect(token.lastUsedAt).toBeNull();
    nowMs += 5000;
    const session = await access.sessions.signInWithApiToken(secret);
    expect(session.refreshToken).toBeUndefined();
    expect((await access.apiTokens.get(cron.id, token.id))?.lastUsedAt).toEqual(new Date(nowMs));
    expect(await codeOf(access.sessions.signInWithApiToken(`${secret}x`))).toBe("SIGN_IN_FAILED");
    expect(await codeOf(access.apiTokens.delete((await person()).id, token.id, author))).toBe("TOKEN_NOT_FOUND");
    await access.apiTokens.delete(cron.id, token.id, author);
    expect(await access.sessions.authenticate(session.accessToken)).toBeUndefined();
    expect(await codeOf(access.sessions.signInWithApiToken(secret))).toBe("SIGN_IN_FAILED");
  });

  test("permissions are set whole, kept in order, and taken away", async () => {
    const ann = await person();
    const granted = await access.projectAccess.set(shop, ann.id, ["development:contributor", "viewer"], author);
    expect(granted.permissions).toEqual(["viewer", "development:contributor"]);
    nowMs += 1000;
    const changed = await access.projectAccess.set(shop, ann.id, ["admin"], author);
    expect(changed).toEqual({ ...granted, permissions: ["admin"], updatedAt: new Date(nowMs) });
    expect(await access.projectAccess.rightsOf(ann, shop)).toEqual({ administrator: false, permissions: ["admin"] });
    expect(await access.projectAccess.rightsOf(ann, "other" as ProjectId)).toMatchObject({ permissions: [] });
    expect(await access.projectAccess.listOfProject(shop)).toEqual([{ ...changed, who: ann }]);
    expect(await access.projectAccess.listOfUser(ann.id)).toEqual([changed]);
    expect(await codeOf(access.projectAccess.set(shop, "none" as UserId, ["admin"], author))).toBe("USER_NOT_FOUND");
    await access.projectAccess.remove(shop, ann.id, author);
    expect(await access.projectAccess.listOfProject(shop)).toEqual([]);
    expect(await codeOf(access.projectAccess.remove(shop, ann.id, author))).toBe("USER_NOT_FOUND");
  });

  test("a user goes with all they have, except the last administrator", async () => {
    const root = await administrator();
    expect(await codeOf(access.users.delete(root.id, author))).toBe("INPUT_INVALID");
    expect(await codeOf(access.users.update(root.id, { administrator: false }, author))).toBe("INPUT_INVALID");
    const cron = await machine();
    await access.projectAccess.set(shop, cron.id, ["admin"], author);
    const { secret } = await access.apiTokens.create(cron.id, "nightly", author);
    const { accessToken } = await access.sessions.signInWithApiToken(secret);
    await access.users.delete(cron.id, author);
    expect(await access.sessions.authenticate(accessToken)).toBeUndefined();
    expect(await codeOf(access.sessions.signInWithApiToken(secret))).toBe("SIGN_IN_FAILED");
    expect(await access.projectAccess.listOfProject(shop)).toEqual([]);
    const bot = await access.users.create({ kind: "machine", email: "bot@example.com" }, author);
    expect(await codeOf(access.users.update(bot.id, { administrator: true }, author))).toBe("INPUT_INVALID");
    await access.users.delete(bot.id, author);
    const ann = await person();
    await access.users.update(ann.id, { administrator: true, displayName: "Ann" }, author);
    const ofAnn = await access.apiTokens.create(ann.id, "mine", author);
    await access.users.delete(root.id, author);
    expect(await access.users.list()).toMatchObject([{ displayName: "Ann", administrator: true }]);
    expect(await codeOf(access.users.delete(ann.id, author))).toBe("INPUT_INVALID");
    await access.apiTokens.delete(ann.id, ofAnn.id, author);
  });

  test("administrators who cannot sign in do not count", async () => {
    const root = await administrator();
    const ann = await person();
    await access.users.update(ann.id, { administrator: true }, author);
    const link = await access.signInLinks.createFor(ann.id, author);
    expect(await codeOf(access.users.delete(root.id, author))).toBe("INPUT_INVALID");
    expect(await codeOf(access.users.update(root.id, { administrator: false }, author))).toBe("INPUT_INVALID");
    await access.signInLinks.use(link, { password }, author);
    // Of two who take each other's rights away at once, one stays.
    const both = await Promise.all([
      codeOf(access.users.update(root.id, { administrator: false }, author)),
      codeOf(access.users.update(ann.id, { administrator: false }, author)),
    ]);
    expect(both.toSorted()).toEqual(["INPUT_INVALID", undefined]);
  });

  test("one can see later whether what somebody signed in with still holds, also once the access token has expired", async () => {
    const root = await administrator();
    const sessionOf = async (accessToken: string) => {
      const signedIn = await access.sessions.authenticate(accessToken);
      if (signedIn === undefined) throw new Error("not signed in");
      return signedIn.session;
    };
    const { id, secret } = await access.apiTokens.create(root.id, "mine", author);
    const byToken = await sessionOf((await access.sessions.signInWithApiToken(secret)).accessToken);
    const passwordSession = await access.sessions.signInWithPassword(root.email, password);
    const byPassword = await sessionOf(passwordSession.accessToken);
    const holds = async () => [
      (await access.sessions.userOfOpen(byToken))?.id,
      (await access.sessions.userOfOpen(byPassword))?.id,
    ];
    expect(await holds()).toEqual([root.id, root.id]);
    nowMs += 3_600_000;
    // Signing in clears away what has expired.
    await access.sessions.signInWithApiToken(secret);
    expect(await holds()).toEqual([root.id, root.id]);
    await access.apiTokens.delete(root.id, id, author);
    expect(await holds()).toEqual([undefined, root.id]);
    await access.sessions.signOut(passwordSession.refreshToken ?? "");
    expect(await holds()).toEqual([undefined, undefined]);
  });

  test("every change is in the audit trail with its author", async () => {
    await administrator();
    const cron = await machine();
    const { id } = await access.apiTokens.create(cron.id, "nightly", author);
    await access.projectAccess.set(shop, cron.id, ["development:admin"], author);
    await access.projectAccess.remove(shop, cron.id, author);
    await access.apiTokens.delete(cron.id, id, author);
    await access.auditTrail.record(author, { action: "environment.backup", project: "other", environment: "main" });
    const entries = await access.auditTrail.list({ limit: 100 });
    expect(entries.map(({ action }) => action).toSorted()).toEqual([
      "api-token.create",
      "api-token.delete",
      "environment.backup",
      "project-access.remove",
      "project-access.set",
      "user.create",
      "user.create",
    ]);
    expect(entries.map(({ author: by }) => by)).toEqual(entries.map(() => author));
    const [entry] = await access.auditTrail.list({ project: shop, limit: 1 });
    expect(entry).toMatchObject({ project: shop, subject: cron.id, facts: { email: "cron@example.com" } });
    expect(await access.auditTrail.list({ before: new Date(nowMs), limit: 10 })).toEqual([]);
  });
});

test("no token, link or password is anywhere in the catalog's file", async () => {
  nowMs = Date.now();
  const file = join(places.folder(), "secrets.db");
  const catalog = await openCatalog({ file }, { clock });
  const { access } = catalog;
  const link = (await access.signInLinks.createForFirstAdministrator()) ?? "";
  const root = await access.signInLinks.use(link, { password, email: "root@example.com" }, author);
  const { secret } = await access.apiTokens.create(root.id, "mine", author);
  const { accessToken } = await access.sessions.signInWithApiToken(secret);
  const session = await access.sessions.signInWithPassword(root.email, password);
  const nextLink = await access.signInLinks.createFor(root.id, author);
  await catalog.close();
  const bytes = await readFile(file, "latin1");
  expect(bytes).toContain("root@example.com");
  const secrets = [link, nextLink, password, secret, accessToken, session.accessToken, session.refreshToken ?? "none"];
  expect(secrets.filter((one) => bytes.includes(one))).toEqual([]);
});
