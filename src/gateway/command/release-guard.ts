import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { HoldfastError, systemErrorCode } from "../../base/index.ts";

// `read` fails at the end of the pipe, which is there when its other end, the owner, has gone for whatever reason. The
// first line says that the guard stands.
const script = 'trap "" HUP INT TERM; echo ready; read -r word && [ "$word" = done ] || exec "$@"';

/**
 * A small process that outlives this one: if this one dies before it calls `dismiss`, even by kill -9, the guard runs
 * the release command.
 */
export class ReleaseGuard {
  readonly #child: ChildProcessByStdio<Writable, null, null>;

  private constructor(child: ChildProcessByStdio<Writable, null, null>) {
    this.#child = child;
  }

  /** Resolves once the guard stands. @throws HoldfastError TOOL_MISSING if there is no `sh` */
  static async post(release: readonly string[]): Promise<ReleaseGuard> {
    const child = spawn("sh", ["-c", script, "sh", ...release], {
      stdio: ["pipe", "pipe", "ignore"],
      detached: true,
    });
    try {
      await once(child.stdout, "data");
    } catch (error) {
      throw new HoldfastError("TOOL_MISSING", "The shell sh could not be started to guard the release.", {
        facts: { program: "sh" },
        cause: error,
      });
    }
    child.stdout.destroy();
    child.unref();
    return new ReleaseGuard(child as unknown as ChildProcessByStdio<Writable, null, null>);
  }

  /** Sends the guard away; resolves when it has gone. The release is the caller's again, and must be done by then. */
  async dismiss(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.ref();
    child.stdin.on("error", (error) => {
      // It has gone already, killed by somebody: then there is nothing to send away.
      if (systemErrorCode(error) !== "EPIPE") child.stdin.destroy(error);
    });
    child.stdin.end("done\n");
    await gone;
  }
}
