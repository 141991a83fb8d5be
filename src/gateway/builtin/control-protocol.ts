import type { Socket } from "node:net";
import { z } from "zod";
import { errorCodes } from "../../base/index.ts";

// One JSON object a line in both directions over the control socket. A connection that holds is the lease: when it
// closes, for whatever reason, the gateway releases.

const ms = z.number().positive().max(86_400_000);

/** What a client asks. One `hold` at a time on a connection; `release` ends it. */
const controlRequestSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("hold"), owner: z.string().max(500), drainTimeoutMs: ms, holdTimeoutMs: ms }),
  z.strictObject({ type: z.literal("release") }),
  z.strictObject({ type: z.literal("status") }),
]);

const figuresSchema = z.object({
  drainMs: z.number(),
  heldMs: z.number(),
  requestsHeld: z.number(),
  longestWaitMs: z.number(),
  requestsFailed: z.number(),
  requestsAbandoned: z.number(),
});

const runningSchema = z.object({ method: z.string(), path: z.string(), ageMs: z.number() });

const statusSchema = z.object({
  state: z.enum(["open", "draining", "held", "releasing"]),
  /** Who holds, or null. */
  owner: z.string().nullable(),
  runningCount: z.number(),
  /** The longest running first, 20 at most; paths without their query. */
  running: z.array(runningSchema).readonly(),
  waitingCount: z.number(),
  waitingBytes: z.number(),
  /** WebSockets that are open. */
  tunnelCount: z.number(),
});

/** What the gateway answers. `lost` comes unasked, when a hold ends before its release. */
const controlReplySchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("held"), drainMs: z.number() }),
  z.object({ type: z.literal("released"), figures: figuresSchema }),
  z.object({ type: z.literal("lost"), message: z.string() }),
  z.object({ type: z.literal("status"), status: statusSchema }),
  z.object({
    type: z.literal("error"),
    code: z.enum(Object.keys(errorCodes) as (keyof typeof errorCodes)[]),
    message: z.string(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    remedy: z.string().optional(),
  }),
]);

export type ControlRequest = z.output<typeof controlRequestSchema>;
export type ControlReply = z.output<typeof controlReplySchema>;
export type GatewayStatus = z.output<typeof statusSchema>;

/** Undefined for a line that is not JSON or not a request. */
export function parseRequest(line: string): ControlRequest | undefined {
  return controlRequestSchema.safeParse(parseJson(line)).data;
}

/** Undefined for a line that is not JSON or not a reply. */
export function parseReply(line: string): ControlReply | undefined {
  return controlReplySchema.safeParse(parseJson(line)).data;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const longestLine = 256 * 1024;

/** Calls `onLine` for each line that arrives; `onTooLong` if one does not end in 256 kB. */
export function readLines(socket: Socket, onLine: (line: string) => void, onTooLong: () => void): void {
  let rest = "";
  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
    if (rest.length > longestLine) onTooLong();
  });
}

export function writeLine(socket: Socket, message: ControlRequest | ControlReply): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}
