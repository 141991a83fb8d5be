import { describe, expect, test } from "vitest";
import { type Clock, HoldfastError, isHoldfastError } from "../../base/index.ts";
import { operations } from "../../contract/index.ts";
import { AttemptLimiter } from "./attempt-limiter.ts";
import { clientNetwork, TrustedProxies } from "./client-address.ts";
import { parseBody, parseQuery } from "./request-body.ts";
import { Router } from "./router.ts";

function errorOf(run: () => unknown): HoldfastError {
  try {
    run();
  } catch (error) {
    if (isHoldfastError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("the router", () => {
  const router = new Router(operations);

  test.each([
    ["GET", "/projects/shop/environments/feature/x", "getEnvironment", { project: "shop", environment: "feature/x" }],
    ["GET", "/projects/shop/environments/feature%2Fx", "getEnvironment", { project: "shop", environment: "feature/x" }],
    [
      "POST",
      "/projects/shop/environments/feature/x/backup",
      "createBackup",
      { project: "shop", environment: "feature/x" },
    ],
    [
      "DELETE",
      "/projects/shop/environments/a%2Fb/c/backups/id",
      "deleteBackup",
      { project: "shop", environment: "a/b/c", backup: "id" },
    ],
    [
      "HEAD",
      "/projects/shop/environments/main/activities/a/log",
      "getEnvironmentActivityLog",
      { project: "shop", environment: "main", activity: "a" },
    ],
    ["GET", "/projects/shop/settings/", "getSettings", { project: "shop" }],
    ["GET", "/users/me", "getUser", { user: "me" }],
  ])("knows %s %s as %s", (method, path, name, parameters) => {
    expect(router.match(method, path)).toEqual({ name, parameters });
  });

  test("tells an unknown path from a method that it does not take", () => {
    expect(errorOf(() => router.match("GET", "/project/shop")).code).toBe("REQUEST_UNKNOWN");
    expect(errorOf(() => router.match("GET", "/projects//settings")).code).toBe("REQUEST_UNKNOWN");
    const error = errorOf(() => router.match("PUT", "/projects/shop/settings"));
    expect([error.code, error.facts]).toEqual(["METHOD_NOT_ALLOWED", { allow: "GET, PATCH" }]);
    for (const path of ["/projects/%zz", "/projects/%00"]) {
      expect(errorOf(() => router.match("GET", path)).code).toBe("INPUT_INVALID");
    }
  });
});

describe("a body", () => {
  test("is JSON whatever it is called, and {} if there is none", () => {
    expect(parseBody('{"safe":true}', false)).toEqual({ safe: true });
    expect(parseBody(" ", false)).toEqual({});
    expect(parseBody('{"grant_type":"api_token"}', true)).toEqual({ grant_type: "api_token" });
    expect(parseBody("grant_type=api_token&api_token=a%2Bb", true)).toEqual({
      grant_type: "api_token",
      api_token: "a+b",
    });
  });

  test("with a trailing comma is refused, and the comma pointed at", () => {
    const text = '{"data_retention":\n {"production": {"max_backups": 10},\n }}';
    expect(errorOf(() => parseBody(text, false)).message).toBe(
      "The body is not JSON: there is a comma too many at line 2, column 36.",
    );
    expect(errorOf(() => parseBody('["a,]", 1 , ]', false)).message).toContain("at line 1, column 11.");
  });

  test("with a text that never closes keeps nobody waiting", { timeout: 5000 }, () => {
    const text = `{"a":"${'\\"'.repeat(125_000)}`;
    expect(errorOf(() => parseBody(text, false)).code).toBe("INPUT_INVALID");
  });

  test("that is wrong otherwise is refused without quoting it", () => {
    const error = errorOf(() => parseBody('{"password": hunter2}', false));
    expect([error.code, error.info.http]).toEqual(["INPUT_INVALID", 400]);
    expect(error.message).not.toContain("hunter2");
    expect(errorOf(() => parseBody("safe=true", false)).code).toBe("INPUT_INVALID");
    expect(errorOf(() => parseBody('{"a":["\\u0000"]}', false)).message).toContain("NUL");
    expect(errorOf(() => parseBody("api_token=%00", true)).message).toContain("NUL");
    expect(errorOf(() => parseQuery("in=%00")).message).toContain("NUL");
  });
});

test("a query's parameters come once or several times, with or without brackets", () => {
  expect(parseQuery("type=a&state%5B%5D=b&state[1]=c&__proto__=d&at=2026-11-21T04:12:00.5+00:00")).toEqual(
    Object.fromEntries([
      ["type", "a"],
      ["state", ["b", "c"]],
      ["__proto__", "d"],
      ["at", "2026-11-21T04:12:00.5+00:00"],
    ]),
  );
});

describe("the client's address", () => {
  test("is the peer's, unless the peer is a proxy that is trusted", () => {
    const nobody = new TrustedProxies([]);
    expect(nobody.clientAddress("::ffff:192.0.2.1", "203.0.113.9")).toBe("192.0.2.1");
    const proxies = new TrustedProxies(["10.0.0.0/8", "::1"]);
    expect(proxies.clientAddress("192.0.2.1", "203.0.113.9")).toBe("192.0.2.1");
    expect(proxies.clientAddress("10.1.2.3", "198.51.100.1, 203.0.113.9, 10.9.9.9")).toBe("203.0.113.9");
    expect(proxies.clientAddress("::1", "not an address")).toBe("::1");
    expect(proxies.clientAddress("::1", undefined)).toBe("::1");
  });

  test("stands for the network that one client has, which of IPv6 is 64 bits", () => {
    expect(clientNetwork("192.0.2.1")).toBe("192.0.2.1");
    const same = ["2001:db8:1:2::", "2001:0DB8:1:2:ffff:1:2:3", "2001:db8:1:2::3", "2001:db8:1:2:3::1.2.3.4"];
    expect(new Set(same.map(clientNetwork))).toEqual(new Set(["2001:db8:1:2::/64"]));
    expect(["::1", "::", "1::", "fe80::1%eth0", "1:2::3:4:5:6:7"].map(clientNetwork)).toEqual([
      "0:0:0:0::/64",
      "0:0:0:0::/64",
      "1:0:0:0::/64",
      "fe80:0:0:0::/64",
      "1:2:0:3::/64",
    ]);
    expect(clientNetwork("unknown")).toBe("unknown");
  });
});

describe("the limit of attempts", () => {
  let nowMs = 0;
  const clock: Clock = { now: () => new Date(nowMs), monotonicMs: () => nowMs };
  const fail = (): Promise<never> => Promise.reject(new HoldfastError("SIGN_IN_FAILED", "no"));

  test("counts failures only, for each key, also of attempts at the same time", async () => {
    const limiter = new AttemptLimiter(clock, { burst: 3, refillMs: 10_000 });
    for (let run = 0; run < 20; run += 1) await limiter.run("a", async () => "in");
    const codes = (await Promise.allSettled(Array.from({ length: 5 }, () => limiter.run("a", fail)))).map((one) =>
      one.status === "rejected" && isHoldfastError(one.reason) ? one.reason.code : "none",
    );
    expect(codes.filter((code) => code === "SIGN_IN_FAILED")).toHaveLength(3);
    expect(codes.filter((code) => code === "TOO_MANY_REQUESTS")).toHaveLength(2);
    await expect(limiter.run("a", async () => "in")).rejects.toMatchObject({ facts: { retryAfterSeconds: 10 } });
    expect(await limiter.run("b", async () => "in")).toBe("in");
    nowMs += 10_000;
    expect(await limiter.run("a", async () => "in")).toBe("in");
  });

  test("is no matter of other failures", async () => {
    const limiter = new AttemptLimiter(clock, { burst: 1, refillMs: 10_000 });
    const broken = (): Promise<never> => Promise.reject(new HoldfastError("STATE_UNUSABLE", "no catalog"));
    for (const way of ["run", "runFirst"] as const) {
      for (let run = 0; run < 3; run += 1) {
        await expect(limiter[way]("a", broken)).rejects.toMatchObject({ code: "STATE_UNUSABLE" });
      }
    }
    expect(await limiter.run("a", async () => "in")).toBe("in");
  });
});
