import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { Duplex } from "node:stream";
import { HoldfastError, isHoldfastError, messageOf, throwIfAborted } from "../../base/index.ts";
import { startClientTool } from "../client-tool/client-tool.ts";
import type { RedisAddress } from "./redis-config.ts";

// With bash, one cat a direction; the one that reads from the server stays, so that the server's end is our end.
const relay = `
if command -v socat >/dev/null 2>&1; then exec socat - "TCP:$1:$2"; fi
if command -v bash >/dev/null 2>&1; then exec bash -c 'exec 3<>"/dev/tcp/$0/$1" 4<&0 || exit 1; cat <&4 >&3 & exec cat <&3' "$1" "$2"; fi
if command -v nc >/dev/null 2>&1; then exec nc "$1" "$2"; fi
echo "none of socat, bash and nc is installed" >&2; exit 127`;

/**
 * A byte stream to the server: a socket, or under an exec prefix the standard streams of a relay on the other side.
 * Destroying it ends all.
 * @throws HoldfastError SERVICE_UNREACHABLE, TOOL_MISSING, INTERRUPTED
 */
export async function openTransport(address: RedisAddress, timeoutMs: number, signal?: AbortSignal): Promise<Duplex> {
  throwIfAborted(signal);
  const timeout = AbortSignal.timeout(timeoutMs);
  const either = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
  let stream: Duplex | undefined;
  try {
    if (address.exec.length > 0) {
      stream = relayStream(address);
    } else {
      const socket = connectSocket(
        address.socketPath === undefined ? { host: address.host, port: address.port } : { path: address.socketPath },
      );
      socket.setNoDelay(true);
      stream = socket;
      await once(socket, "connect", { signal: either });
    }
    if (!address.tls) return stream;
    // Loading it reads the system's certificates.
    const { connect: connectTls } = await import("node:tls");
    const secure = connectTls({ socket: stream, servername: /^[\d.:]+$/.test(address.host) ? "" : address.host });
    stream = secure;
    await once(secure, "secureConnect", { signal: either });
    return stream;
  } catch (error) {
    stream?.on("error", () => undefined);
    stream?.destroy();
    throwIfAborted(signal);
    if (isHoldfastError(error)) throw error;
    throw unreachable(address, timeout.aborted ? `no connection within ${timeoutMs} ms` : messageOf(error), error);
  }
}

export function unreachable(address: RedisAddress, why: string, cause?: unknown): HoldfastError {
  return new HoldfastError("SERVICE_UNREACHABLE", `Redis at ${address.label} does not answer: ${why}.`, {
    facts: { server: address.label },
    remedy: "Start the server, or correct the service's url (and exec) in the configuration.",
    cause,
  });
}

function relayStream(address: RedisAddress): Duplex {
  const tool = startClientTool("sh", ["-c", relay, "sh", address.host, String(address.port)], { exec: address.exec });
  const stream = Duplex.from({ writable: tool.stdin, readable: tool.stdout });
  stream.once("close", () => void tool.kill());
  tool.done.then(
    () => stream.destroy(),
    (error: Error) => stream.destroy(error),
  );
  return stream;
}
