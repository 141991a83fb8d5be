import { HoldfastError, type Clock } from "../base/index.ts";
import type { Sessions, Session } from "../control/index.ts";
import type { Body, Operations } from "../contract/index.ts";
import { AttemptLimiter } from "./http/attempt-limiter.ts";
import type { ServerMetrics } from "./http/metrics.ts";

/** Failures in a row, and how long until one more is allowed. */
const limits = {
  address: { burst: 20, refillMs: 6000 },
  account: { burst: 10, refillMs: 60_000 },
} as const;

/** Ways to get an access token, each no oftener than somebody who mistypes needs. */
export class SignIn {
  readonly #metrics: ServerMetrics;
  readonly #byAddress: AttemptLimiter;
  readonly #byAccount: AttemptLimiter;

  constructor(clock: Clock, metrics: ServerMetrics) {
    this.#metrics = metrics;
    this.#byAddress = new AttemptLimiter(clock, limits.address);
    this.#byAccount = new AttemptLimiter(clock, limits.account);
  }

  /** @throws HoldfastError SIGN_IN_FAILED, TOO_MANY_REQUESTS, INPUT_INVALID */
  exchange(sessions: Sessions, body: Body<Operations["createAccessToken"]>, address: string): Promise<Session> {
    switch (body.grant_type) {
      case "api_token": {
        const token = given(body.api_token, "api_token");
        return this.attempt(address, () => sessions.signInWithApiToken(token));
      }
      case "refresh_token": {
        const token = given(body.refresh_token, "refresh_token");
        return this.attempt(address, () => sessions.refresh(token));
      }
      case "password": {
        const [username, password] = [given(body.username, "username"), given(body.password, "password")];
        const account = username.trim().toLowerCase();
        return this.attempt(address, () =>
          this.#byAccount.run(account, () => sessions.signInWithPassword(username, password)),
        );
      }
      default:
        throw new HoldfastError("INPUT_INVALID", "This grant_type is not known here.", {
          remedy: "Known are api_token, refresh_token and password.",
        });
    }
  }

  /** Anything that lets somebody guess a secret. @throws HoldfastError TOO_MANY_REQUESTS, and what the attempt throws */
  async attempt<T>(address: string, run: () => Promise<T>): Promise<T> {
    return this.#byAddress.run(address, async () => {
      try {
        return await run();
      } catch (error) {
        this.#metrics.signInFailed();
        throw error;
      }
    });
  }
}

function given(value: string | undefined, name: string): string {
  if (value !== undefined && value !== "") return value;
  throw new HoldfastError("INPUT_INVALID", `The request has no ${name}.`);
}
