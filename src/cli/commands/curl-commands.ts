import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { HoldfastError } from "../../base/index.ts";
import { chooseEnvironment } from "../choose.ts";
import { fileProblem } from "../../config/index.ts";
import { type Invocation, say } from "../offline/session.ts";
import { openServer } from "../open-control-plane.ts";
import type { RunCommand } from "../run-command.ts";

interface CurlOptions {
  readonly request?: string;
  readonly data?: string;
  readonly json?: string;
  readonly include: boolean;
  readonly head: boolean;
  readonly fail: boolean;
  readonly header: readonly string[];
}

/** curl's own for an answer of 400 and above. */
const refusedExit = 22;

export function registerCurlCommands(program: Command, run: RunCommand): void {
  for (const [name, what] of [
    ["project:curl", "the project"],
    ["environment:curl", "the environment"],
  ] as const) {
    program
      .command(name)
      .description(`Send a request to the server's API, below ${what}`)
      .argument("[path]", "the path below it: settings")
      .option("-X, --request <method>", "the method")
      .option("-d, --data <data>", "the body; @FILE for a file's, @- for standard input")
      .option("--json <data>", "the body, as JSON")
      .option("-i, --include", "print the answer's head, too", false)
      .option("-I, --head", "print the answer's head alone", false)
      .option("-f, --fail", "print no body of a refusal", false)
      .option("-H, --header <header>", 'a header: "Name: value" (may be repeated)', collect, [])
      .action(run((invocation, options: CurlOptions, path?: string) => curl(invocation, name, options, path ?? "")));
  }
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

async function curl(invocation: Invocation, name: string, options: CurlOptions, path: string): Promise<number> {
  const { host } = invocation;
  const below = path.replace(/^\/+/, "");
  if (/^\w+:/.test(below) || path.startsWith("//")) {
    throw new HoldfastError("INPUT_INVALID", "The path names a server; requests go to the one that is set only.", {
      remedy: "Write the path alone: settings",
    });
  }
  const headers = Object.fromEntries(options.header.map(parseHeader));
  const body = await bodyOf(invocation, options);
  const { client, plane } = await openServer(invocation);
  let base = `/projects/${encodeURIComponent(plane.project.id)}`;
  if (name === "environment:curl") {
    const all = { id: plane.project.id, environments: await plane.environments() };
    base += `/environments/${encodeURIComponent(chooseEnvironment(all, invocation.options.environment).id)}`;
  }
  const { response, body: answer } = await client.raw({
    method: options.request ?? (options.head ? "HEAD" : body === undefined ? "GET" : "POST"),
    path: below === "" ? base : `${base}/${below}`,
    headers: {
      accept: "application/json",
      ...(body === undefined
        ? {}
        : { "content-type": options.json === undefined ? "application/x-www-form-urlencoded" : "application/json" }),
      ...headers,
    },
    body,
  });
  const status = response.statusCode ?? 0;
  if (options.include || options.head) host.stdout.write(headOf(response));
  const isRefused = status >= 400;
  let isMidLine = false;
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    if (isRefused && options.fail) continue;
    host.stdout.write(chunk);
    isMidLine = chunk.at(-1) !== 0x0a;
  }
  if (!isRefused) return 0;
  say(invocation, `${isMidLine ? "\n" : ""}The server answered ${status}.`);
  return refusedExit;
}

function parseHeader(text: string): [name: string, value: string] {
  const [, name, value] = /^([\w-]+):\s*(.*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new HoldfastError("INPUT_INVALID", `${JSON.stringify(text)} is no header.`, {
      remedy: 'Write it as "Name: value".',
    });
  }
  return [name.toLowerCase(), value];
}

async function bodyOf({ host }: Invocation, options: CurlOptions): Promise<string | undefined> {
  const given = options.json ?? options.data;
  if (given === "@-") return text(host.stdin);
  if (given?.startsWith("@") !== true) return given;
  const file = resolve(host.cwd, given.slice(1));
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new HoldfastError("INPUT_INVALID", `${file} cannot be read: ${fileProblem(error)}.`, { cause: error });
  }
}

function headOf({ httpVersion, statusCode, statusMessage, rawHeaders }: IncomingMessage): string {
  const lines = [`HTTP/${httpVersion} ${statusCode} ${statusMessage}`];
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}
