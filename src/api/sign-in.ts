import { HoldfastError, type Clock } from "../base/index.ts";
import type { Sessions, Session } from "../control/index.ts";
import type { Body, Operations } from "../contract/index.ts";
import { AttemptLimiter } from "./http/attempt-limiter.ts";
import { clientNetwork } from "./http/client-address.ts";
import type { ServerMetrics } from "./http/metrics.ts";

/** Failures in a row, and how long until one more is allowed. */
const limits = {
  /** Wrong tokens and links of one address. */
  tokensOfAddress: { burst: 20, refillMs: 6000 },
  /** Wrong passwords of one address, whatever the account: each costs 0.3 s of a core. */
  passwordsOfAddress: { burst: 50, refillMs: 6000 },
  /** Wrong passwords for one account from one address. */
  accountFromAddress: { burst: 10, refillMs: 60_000 },
  /** Wrong passwords for one account from everywhere: so many that no single guesser keeps its owner out. */
  account: { burst: 100, refillMs: 6000 },
} as const;

/** Ways to get an access token, each no oftener than somebody who mistypes needs. */
export class SignIn {
  readonly #metrics: ServerMetrics;
  readonly #tokensOfAddress: AttemptLimiter;
  readonly #passwordsOfAddress: AttemptLimiter;
  readonly #accountFromAddress: AttemptLimiter;
  readonly #account: AttemptLimiter;

  constructor(clock: Clock, metrics: ServerMetrics) {
    this.#metrics = metrics;
    this.#tokensOfAddress = new AttemptLimiter(clock, limits.tokensOfAddress);
    this.#passwordsOfAddress = new AttemptLimiter(clock, limits.passwordsOfAddress);
    this.#accountFromAddress = new AttemptLimiter(clock, limits.accountFromAddress);
    this.#account = new AttemptLimiter(clock, limits.account);
  }

  /** @throws HoldfastError SIGN_IN_FAILED, TOO_MANY_REQUESTS, INPUT_INVALID */
  exchange(sessions: Sessions, body: Body<Operations["createAccessToken"]>, address: string): Promise<Session> {
    switch (body.grant_type) {
      case "api_token": {
        const token = given(body.api_token, "api_token");
        return this.withSecret(address, () => sessions.signInWithApiToken(token));
      }
      case "refresh_token": {
        const token = given(body.refresh_token, "refresh_token");
        return this.withSecret(address, () => sessions.refresh(token));
      }
      case "password": {
        const [username, password] = [given(body.username, "username"), given(body.password, "password")];
        const account = username.trim().toLowerCase();
        const network = clientNetwork(address);
        return this.#counted(() =>
          this.#passwordsOfAddress.run(network, () =>
            this.#accountFromAddress.run(JSON.stringify([account, network]), () =>
              this.#account.run(account, () => sessions.signInWithPassword(username, password)),
            ),
          ),
        );
      }
      default:
        throw new HoldfastError("INPUT_INVALID", "This grant_type is not known here.", {
          remedy: "Known are api_token, refresh_token and password.",
        });
    }
  }

  /**
   * With a secret of 256 random bits: nobody guesses one, so the right one is never kept waiting by wrong ones.
   * @throws HoldfastError TOO_MANY_REQUESTS, and what the attempt throws
   */
  withSecret<T>(address: string, run: () => Promise<T>): Promise<T> {
    return this.#counted(() => this.#tokensOfAddress.runFirst(clientNetwork(address), run));
  }

  async #counted<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      this.#metrics.signInFailed();
      throw error;
    }
  }
}

function given(value: string | undefined, name: string): string {
  if (value !== undefined && value !== "") return value;
  throw new HoldfastError("INPUT_INVALID", `The request has no ${name}.`);
}
