import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { clientToolOutput, runClientTool, startClientTool } from "./client-tool.ts";

const secrets = { DB_PASSWORD: 'it\'s $HOME "quoted" \\ s3cret' };
const plain = { exec: [], secrets };

describe("a client tool", () => {
  it("returns standard output", async () => {
    expect(await runClientTool("sh", ["-c", "cat; echo end"], { exec: [], input: "hello\n" })).toBe("hello\nend\n");
  });

  it.each([
    ["no prefix", []],
    ["a prefix that takes arguments", ["env", "-i", "PATH=/usr/bin:/bin"]],
  ])("hands secrets over in the environment and leaves standard input alone, under %s", async (_name, exec) => {
    const output = await runClientTool("sh", ["-c", 'printf "%s\\n" "$DB_PASSWORD"; cat'], {
      exec,
      secrets,
      input: "rest of the input\n",
    });
    expect(output).toBe(`${secrets.DB_PASSWORD}\nrest of the input\n`);
  });

  it("shows no secret on the command line of any process under a prefix", async () => {
    const exec = ["env", "-i", "PATH=/usr/bin:/bin"];
    const tool = startClientTool("sh", ["-c", "echo $$ && cat /proc/$$/cmdline >&2; cat >/dev/null"], {
      exec,
      secrets,
    });
    const [pid] = (await new Promise<Buffer>((resolve) => tool.stdout.once("data", resolve))).toString().split("\n");
    expect(readFileSync(`/proc/${pid}/cmdline`, "latin1")).not.toContain("s3cret");
    tool.stdin.end();
    tool.stdout.resume();
    await tool.done;
  });

  it("reports exit status and standard error, with secrets blotted out", async () => {
    const run = runClientTool("sh", ["-c", 'echo "bad password $DB_PASSWORD" >&2; exit 3'], plain);
    await expect(run).rejects.toMatchObject({
      code: "COMMAND_FAILED",
      facts: { exitCode: 3, stderr: "bad password ***" },
    });
  });

  it("makes spaces of the control characters in what a tool says, but keeps its lines", async () => {
    const run = runClientTool("sh", ["-c", 'printf "no server\\n\\tIs it running?\\033[0m\\n" >&2; exit 3'], plain);
    await expect(run).rejects.toMatchObject({ facts: { stderr: "no server\n Is it running? [0m" } });
  });

  it("says which program is missing, with and without a prefix", async () => {
    const missing = { code: "TOOL_MISSING", facts: { program: "no-such-tool" } };
    await expect(runClientTool("no-such-tool", [], { exec: [] })).rejects.toMatchObject(missing);
    await expect(runClientTool("no-such-tool", [], { exec: ["env"] })).rejects.toMatchObject(missing);
  });

  it("kills a tool and its children when the signal is aborted", async () => {
    const controller = new AbortController();
    const run = runClientTool("sh", ["-c", "sleep 100 & sleep 100"], { exec: [], signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await expect(run).rejects.toMatchObject({ code: "INTERRUPTED" });
  });

  it("times out", async () => {
    const run = runClientTool("sleep", ["100"], { exec: [], timeoutMs: 50 });
    await expect(run).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  it("keeps the output of a tool that has exited before anybody reads it", async () => {
    for (let round = 0; round < 20; round += 1) {
      const tool = startClientTool("echo", ["all of it"], { exec: [] });
      tool.stdin.end();
      await tool.done;
      const seen: string[] = [];
      for await (const chunk of clientToolOutput(tool)) seen.push(Buffer.from(chunk).toString());
      expect(seen.join("")).toBe("all of it\n");
    }
  });

  it("throws after the last byte of a tool that failed", async () => {
    const tool = startClientTool("sh", ["-c", "echo half; exit 1"], { exec: [] });
    tool.stdin.end();
    const seen: string[] = [];
    const drain = async (): Promise<void> => {
      for await (const chunk of clientToolOutput(tool)) seen.push(Buffer.from(chunk).toString());
    };
    await expect(drain()).rejects.toMatchObject({ code: "COMMAND_FAILED" });
    expect(seen.join("")).toBe("half\n");
  });
});
