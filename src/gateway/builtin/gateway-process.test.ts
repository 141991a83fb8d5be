import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { silentLogger } from "../../base/index.ts";
import { builtinConfig, startTestGateway } from "../conformance/test-gateway.ts";
import { BuiltinGateway } from "./builtin-gateway.ts";
import { controlSocketPath } from "./control-socket-path.ts";
import { startGatewayProcess } from "./gateway-process.ts";

describe("a gateway process", () => {
  it("finishes what runs when it is stopped, and accepts no more", async () => {
    await using tested = await startTestGateway();
    const running = fetch(`${tested.url}/slow?ms=300`);
    while (tested.application.running === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    const stopped = tested.process.stop();
    expect((await running).status).toBe(200);
    await stopped;
    await expect(fetch(tested.url)).rejects.toThrow("fetch failed");
  });

  it("cuts off what does not finish in time", async () => {
    await using tested = await startTestGateway();
    const hanging = fetch(`${tested.url}/hang`).then(
      () => "answered",
      () => "cut off",
    );
    while (tested.application.running === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    await tested.process.stop(100);
    expect(await hanging).toBe("cut off");
  });

  it("says which address is taken, and leaves no control socket behind", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const folder = await mkdtemp(path.join(tmpdir(), "holdfast-gateway-"));
    const config = builtinConfig({ listen: `127.0.0.1:${port}`, upstream: "http://127.0.0.1:1" });
    const socketPath = path.join(folder, "g", "gateway.sock");
    const starting = startGatewayProcess({ config, controlSocketPath: socketPath, log: silentLogger });
    await expect(starting).rejects.toMatchObject({ code: "CONFIG_INVALID", facts: { port } });
    await expect(new BuiltinGateway(socketPath).status()).rejects.toMatchObject({ code: "GATEWAY_UNREACHABLE" });
    other.close();
    await rm(folder, { recursive: true });
  });

  it("is alone on its control socket", async () => {
    await using tested = await startTestGateway();
    const config = builtinConfig({ upstream: tested.application.url });
    const second = startGatewayProcess({ config, controlSocketPath: tested.socketPath, log: silentLogger });
    await expect(second).rejects.toMatchObject({ code: "GATEWAY_BUSY" });
    expect((await tested.gateway.status()).state).toBe("open");
  });

  it("takes over the socket that a killed gateway left", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "holdfast-gateway-"));
    const socketPath = path.join(folder, "gateway.sock");
    const child = spawn(
      process.execPath,
      [
        "-e",
        `require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`,
        "--",
        socketPath,
      ],
      { stdio: "ignore" },
    );
    await once(child, "exit");
    const config = builtinConfig({ upstream: "http://127.0.0.1:1" });
    const gateway = await startGatewayProcess({ config, controlSocketPath: socketPath, log: silentLogger });
    expect((await new BuiltinGateway(socketPath).status()).state).toBe("open");
    await gateway.stop();
    await rm(folder, { recursive: true });
  });

  it("refuses a control folder that others may enter", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "holdfast-gateway-"));
    await chmod(folder, 0o755);
    const config = builtinConfig({ upstream: "http://127.0.0.1:1" });
    const controlSocket = path.join(folder, "gateway.sock");
    await expect(
      startGatewayProcess({ config, controlSocketPath: controlSocket, log: silentLogger }),
    ).rejects.toMatchObject({ code: "STATE_UNUSABLE" });
    await rm(folder, { recursive: true });
  });
});

describe("the control socket's path", () => {
  it("is in the state folder", async () => {
    expect(await controlSocketPath("/srv/state", "shop", "main")).toBe("/srv/state/gateway/shop.main.sock");
  });

  it("is short where the state folder's is too long, and works", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "holdfast-gateway-"));
    const state = path.join(folder, "s".repeat(120));
    await mkdir(state);
    const socketPath = await controlSocketPath(state, "shop", "main");
    expect(socketPath.length).toBeLessThan(108);
    expect(await controlSocketPath(state, "shop", "staging")).not.toBe(socketPath);
    const config = builtinConfig({ upstream: "http://127.0.0.1:1" });
    const gateway = await startGatewayProcess({ config, controlSocketPath: socketPath, log: silentLogger });
    expect((await new BuiltinGateway(socketPath).status()).state).toBe("open");
    await gateway.stop();
    expect(existsSync(socketPath)).toBe(false);
    await rm(folder, { recursive: true });
  });
});
