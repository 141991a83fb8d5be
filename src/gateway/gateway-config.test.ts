import { describe, expect, it } from "vitest";
import { gatewayConfigSchema } from "./gateway-config.ts";

const builtin = { type: "builtin", listen: "127.0.0.1:8080", upstream: "http://127.0.0.1:3000" };

describe("the gateway's configuration", () => {
  it("fills in the documented deadlines", () => {
    expect(gatewayConfigSchema.parse(builtin)).toMatchObject({
      listen: { host: "127.0.0.1", port: 8080 },
      upstream: { host: "127.0.0.1", port: 3000 },
      drainTimeoutMs: 15_000,
      holdTimeoutMs: 30_000,
    });
    const command = { type: "command", hold: ["lb", "drain"], release: ["lb", "ready"], holdTimeout: "1m" };
    expect(gatewayConfigSchema.parse(command)).toMatchObject({ drainTimeoutMs: 15_000, holdTimeoutMs: 60_000 });
  });

  it.each([
    ["[::1]:80", { host: "::1", port: 80 }],
    [":8080", { host: "0.0.0.0", port: 8080 }],
    ["localhost:0", { host: "localhost", port: 0 }],
  ])("listens on %s", (listen, expected) => {
    expect(gatewayConfigSchema.parse({ ...builtin, listen })).toMatchObject({ listen: expected });
  });

  it.each([
    ["http://[::1]:3000", { host: "::1", port: 3000 }],
    ["http://app", { host: "app", port: 80 }],
    ["unix:/run/app.sock", { socketPath: "/run/app.sock" }],
  ])("proxies to %s", (upstream, expected) => {
    expect(gatewayConfigSchema.parse({ ...builtin, upstream })).toMatchObject({ upstream: expected });
  });

  it.each([
    { ...builtin, listen: "8080" },
    { ...builtin, listen: "127.0.0.1:70000" },
    { ...builtin, upstream: "https://app" },
    { ...builtin, upstream: "http://app/below" },
    { ...builtin, drainTimeout: "soon" },
    { ...builtin, drainTimeout: "0s" },
    { ...builtin, healthPath: "health" },
    { ...builtin, drainTimeOut: "1s" },
    { type: "command", hold: [], release: ["x"] },
    { type: "nginx" },
  ])("refuses %j", (config) => {
    expect(gatewayConfigSchema.safeParse(config).success).toBe(false);
  });
});
