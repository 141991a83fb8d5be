import {
  type Clock,
  HoldfastError,
  isHoldfastError,
  messageOf,
  systemClock,
  throwIfAborted,
} from "../../base/index.ts";
import type { Gateway, Hold, HoldFigures, HoldOptions } from "../gateway.ts";
import { runGatewayCommand } from "./gateway-command.ts";
import { ReleaseGuard } from "./release-guard.ts";

/** A release command that takes longer than this is killed and tried again. */
const releaseTimeoutMs = 20_000;
const releaseAttempts = 3;

export interface CommandGatewayCommands {
  /** Drains and holds; exits with 0 once no request runs and new ones wait. */
  readonly hold: readonly string[];
  /** Lets requests go on. Does no harm if nothing is held, and may be run more than once. */
  readonly release: readonly string[];
}

/**
 * A gateway that the user's own commands drive, such as a load balancer's. What requests did meanwhile is not known:
 * the figures' counts are 0, and `longestWaitMs` is the whole time from asking to the end of the release command,
 * which no request can have exceeded. One instance holds once at a time; between processes the engine's lock on the
 * environment sees to that.
 */
export class CommandGateway implements Gateway {
  readonly #commands: CommandGatewayCommands;
  readonly #clock: Clock;
  #owner: string | undefined;

  constructor(commands: CommandGatewayCommands, clock: Clock = systemClock) {
    this.#commands = commands;
    this.#clock = clock;
  }

  /** @throws also HoldfastError COMMAND_FAILED, TOOL_MISSING */
  async hold(options: HoldOptions): Promise<Hold> {
    throwIfAborted(options.signal);
    if (this.#owner !== undefined) {
      throw new HoldfastError("GATEWAY_BUSY", `Requests are held by ${this.#owner} at the moment.`, {
        facts: { owner: this.#owner },
        remedy: "Try again when that has ended.",
      });
    }
    this.#owner = options.owner;
    try {
      return await this.#hold(options);
    } catch (error) {
      this.#owner = undefined;
      throw error;
    }
  }

  /** Only its hold command could tell. */
  async assertReachable(): Promise<void> {
    await Promise.resolve();
  }

  async releaseAbandoned(): Promise<void> {
    if (this.#owner === undefined) await this.#runRelease();
  }

  async #hold(options: HoldOptions): Promise<Hold> {
    const askedAtMs = this.#clock.monotonicMs();
    const guard = await ReleaseGuard.post(this.#commands.release);
    const limitMs = Math.min(options.drainTimeoutMs, options.holdTimeoutMs);
    try {
      const { signal } = options;
      await runGatewayCommand(this.#commands.hold, {
        purpose: "hold",
        timeoutMs: limitMs,
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      // It may have held half of what it should.
      await this.#runRelease();
      await guard.dismiss();
      if (!isHoldfastError(error, "TIMEOUT")) throw error;
      const message = `The gateway's hold command did not end within ${limitMs} ms. It was killed and the release command run.`;
      throw new HoldfastError("HOLD_DEADLINE_PASSED", message, {
        facts: { drainTimeoutMs: limitMs },
        remedy: "Raise gateway.drainTimeout, find the slow requests, or take a live backup with --live.",
        cause: error,
      });
    }
    const heldAtMs = this.#clock.monotonicMs();
    const release = async (): Promise<HoldFigures> => {
      try {
        await this.#runRelease();
      } finally {
        this.#owner = undefined;
        await guard.dismiss();
      }
      const nowMs = this.#clock.monotonicMs();
      return {
        drainMs: heldAtMs - askedAtMs,
        heldMs: nowMs - heldAtMs,
        requestsHeld: 0,
        longestWaitMs: nowMs - askedAtMs,
        requestsFailed: 0,
      };
    };
    return new CommandHold(release, options.holdTimeoutMs - (heldAtMs - askedAtMs), options.holdTimeoutMs);
  }

  async #runRelease(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await runGatewayCommand(this.#commands.release, { purpose: "release", timeoutMs: releaseTimeoutMs });
        return;
      } catch (error) {
        if (attempt < releaseAttempts) continue;
        const program = this.#commands.release[0] ?? "";
        throw new HoldfastError(
          "COMMAND_FAILED",
          `Requests may still be held: the gateway's release command failed ${attempt} times. ${messageOf(error)}`,
          { facts: { program, attempt }, remedy: "Run it by hand now, and correct gateway.release.", cause: error },
        );
      }
    }
  }
}

class CommandHold implements Hold {
  readonly #lost = new AbortController();
  readonly #release: () => Promise<HoldFigures>;
  readonly #timer: NodeJS.Timeout;
  #released: Promise<HoldFigures> | undefined;

  constructor(release: () => Promise<HoldFigures>, leftMs: number, holdTimeoutMs: number) {
    this.#release = release;
    this.#timer = setTimeout(() => this.#expire(holdTimeoutMs), Math.max(0, leftMs));
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  release(): Promise<HoldFigures> {
    clearTimeout(this.#timer);
    this.#released ??= this.#release();
    return this.#released;
  }

  #expire(holdTimeoutMs: number): void {
    const lost = new HoldfastError(
      "HOLD_LOST",
      `The hold lasted longer than ${holdTimeoutMs} ms; the release command was run.`,
      { facts: { holdTimeoutMs }, remedy: "Try again; raise gateway.holdTimeout if this comes back." },
    );
    this.#released = this.#release().then(
      () => {
        throw lost;
      },
      (error: unknown) => {
        throw error;
      },
    );
    // Whoever calls `release` gets it; until then it must not count as unhandled.
    this.#released.catch(() => this.#lost.abort(lost));
  }
}
